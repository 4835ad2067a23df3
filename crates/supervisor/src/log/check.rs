//! What log options say, looked at when a container is made: as far as Docker does then, and in its words. Files and names of
//! servers may come meanwhile; they are looked at when it starts.

use std::collections::BTreeMap;

use hako_model::duration;

use super::config::{Driver, InvalidLogOption, size};
use super::remote::FACILITIES;

type Options = BTreeMap<String, String>;
type Checked = Result<(), InvalidLogOption>;

/// Refuses what makes no sense.
pub(super) fn check(driver: Driver, options: &Options) -> Checked {
    mode(options)?;
    match driver {
        Driver::Syslog => syslog(options),
        Driver::Gelf => gelf(options),
        Driver::Fluentd => fluentd(options),
        Driver::Journald | Driver::JsonFile | Driver::Local | Driver::None => Ok(()),
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T, InvalidLogOption> {
    Err(InvalidLogOption::Said { text: text.into() })
}

fn value<'a>(options: &'a Options, name: &str) -> &'a str {
    options.get(name).map_or("", String::as_str)
}

fn mode(options: &Options) -> Checked {
    let mode = value(options, "mode");
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return refuse(format!("logger: logging mode not supported: {mode}"));
    }
    match options.get("max-buffer-size") {
        Some(_) if mode != "non-blocking" => {
            refuse("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        }
        Some(text) if size("max-buffer-size", text).is_err() => {
            refuse(format!("error parsing option max-buffer-size: invalid size: '{text}'"))
        }
        _ => Ok(()),
    }
}

fn syslog(options: &Options) -> Checked {
    let address = value(options, "syslog-address");
    let (scheme, place) = address.split_once("://").unwrap_or(("", address));
    match scheme {
        "" if address.is_empty() => {}
        "unix" | "unixgram" if std::fs::metadata(place).is_err() => {
            return refuse(format!("stat {place}: no such file or directory"));
        }
        "unix" | "unixgram" => {}
        "tcp" | "udp" | "tcp+tls" => drop(port(scheme, place)?),
        scheme => return refuse(format!("unsupported scheme: '{scheme}'")),
    }
    let facility = value(options, "syslog-facility");
    let known = |(name, number): &(&str, u8)| *name == facility || facility.parse() == Ok(*number);
    if !facility.is_empty() && !FACILITIES.iter().any(known) {
        return refuse("invalid syslog facility");
    }
    match value(options, "syslog-format") {
        "" | "rfc3164" | "rfc5424" | "rfc5424micro" => Ok(()),
        _ => refuse("Invalid syslog format"),
    }
}

/// The port of `HOST[:PORT]`, as Go's `url.Parse` understands it.
fn port<'a>(scheme: &str, place: &'a str) -> Result<&'a str, InvalidLogOption> {
    let place = place.split('/').next().unwrap_or_default();
    match place.rsplit_once(':') {
        Some((_, port)) if port.ends_with(']') => Ok(""),
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        Some((_, port)) => refuse(format!(
            "parse {:?}: invalid port {:?} after host",
            format!("{scheme}://{place}"),
            format!(":{port}")
        )),
        None => Ok(""),
    }
}

fn gelf(options: &Options) -> Checked {
    let Some(address) = options.get("gelf-address").filter(|address| !address.is_empty()) else {
        return refuse("gelf-address is a required parameter");
    };
    let (scheme, place) = address.split_once("://").unwrap_or(("", address));
    if !matches!(scheme, "tcp" | "udp") {
        return refuse("gelf: endpoint needs to be TCP or UDP");
    }
    if port(scheme, place)?.is_empty() {
        return refuse("gelf: please provide gelf-address as proto://host:port");
    }
    let unknown =
        |name: &str, text: &str| refuse(format!("unknown value {text:?} for log opt {name:?} for gelf log driver"));
    for (name, text) in options {
        match name.as_str() {
            "gelf-compression-level" | "gelf-compression-type" if scheme == "tcp" && text != "none" => {
                return refuse("compression is only supported on UDP");
            }
            "gelf-compression-level" if !text.parse().is_ok_and(|level: i8| (-1..=9).contains(&level)) => {
                return unknown(name, text);
            }
            "gelf-compression-type" if !matches!(text.as_str(), "gzip" | "zlib" | "none") => {
                return unknown(name, text);
            }
            "gelf-tcp-max-reconnect" | "gelf-tcp-reconnect-delay" if scheme == "udp" => {
                return refuse(format!("{name:?} is only valid for TCP"));
            }
            "gelf-tcp-max-reconnect" | "gelf-tcp-reconnect-delay" if text.parse::<u32>().is_err() => {
                return refuse(format!("{name:?} must be a positive integer"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn fluentd(options: &Options) -> Checked {
    for (name, text) in options {
        let text = text.as_str();
        match name.as_str() {
            "fluentd-address" => fluentd_address(text)?,
            "fluentd-buffer-limit" if size("fluentd-buffer-limit", text).is_err() => {
                return refuse(format!("invalid size: '{text}'"));
            }
            "fluentd-retry-wait" | "fluentd-async-reconnect-interval" | "fluentd-write-timeout"
                if duration::parse(text).is_err() =>
            {
                return refuse(format!("time: invalid duration {text:?}"));
            }
            "fluentd-max-retries" if text.parse::<u64>().is_err() => {
                return refuse(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"));
            }
            "fluentd-async" | "fluentd-request-ack" | "fluentd-sub-second-precision" if truth(text).is_none() => {
                return refuse(format!("strconv.ParseBool: parsing {text:?}: invalid syntax"));
            }
            "fluentd-request-ack" if truth(text) == Some(true) => {
                return refuse("fluentd-request-ack: acknowledgements are not supported");
            }
            _ => {}
        }
    }
    Ok(())
}

fn fluentd_address(text: &str) -> Checked {
    let (scheme, place) = text.split_once("://").unwrap_or(("tcp", text));
    let refused = |cause: String| refuse(format!("invalid fluentd-address ({text}): {cause}"));
    match scheme {
        _ if text.is_empty() => Ok(()),
        "unix" => Ok(()),
        "tcp" | "tls" => port(scheme, place).map(drop).or_else(|error| refused(error.to_string())),
        scheme => refused(format!("unsupported scheme: '{scheme}'")),
    }
}

/// Go's booleans.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    /// A driver, options, and what is said of them.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

    #[test]
    fn refusals_are_dockers() {
        let cases: &[Case] = &[
            ("syslog", &[("syslog-address", "nope")], "unsupported scheme: ''"),
            ("syslog", &[("syslog-address", "ftp://127.0.0.1")], "unsupported scheme: 'ftp'"),
            (
                "syslog",
                &[("syslog-address", "tcp://127.0.0.1:x")],
                "parse \"tcp://127.0.0.1:x\": invalid port \":x\" after host",
            ),
            ("syslog", &[("syslog-address", "unix:///none")], "stat /none: no such file or directory"),
            ("syslog", &[("syslog-address", "tcp://no.such.host.invalid:1")], ""),
            ("syslog", &[("syslog-facility", "nope")], "invalid syslog facility"),
            ("syslog", &[("syslog-facility", "23")], ""),
            ("syslog", &[("syslog-format", "nope")], "Invalid syslog format"),
            ("syslog", &[("syslog-tls-ca-cert", "/none")], ""),
            ("gelf", &[], "gelf-address is a required parameter"),
            ("gelf", &[("gelf-address", "nope")], "gelf: endpoint needs to be TCP or UDP"),
            ("gelf", &[("gelf-address", "udp://a")], "gelf: please provide gelf-address as proto://host:port"),
            (
                "gelf",
                &[("gelf-address", "udp://a:1"), ("gelf-compression-level", "99")],
                "unknown value \"99\" for log opt \"gelf-compression-level\" for gelf log driver",
            ),
            (
                "gelf",
                &[("gelf-address", "tcp://a:1"), ("gelf-compression-type", "gzip")],
                "compression is only supported on UDP",
            ),
            (
                "gelf",
                &[("gelf-address", "tcp://a:1"), ("gelf-tcp-max-reconnect", "x")],
                "\"gelf-tcp-max-reconnect\" must be a positive integer",
            ),
            (
                "fluentd",
                &[("fluentd-address", "nope://x")],
                "invalid fluentd-address (nope://x): unsupported scheme: 'nope'",
            ),
            (
                "fluentd",
                &[("fluentd-address", "a:x")],
                "invalid fluentd-address (a:x): parse \"tcp://a:x\": invalid port \":x\" after host",
            ),
            ("fluentd", &[("fluentd-address", "tls://a:1")], ""),
            ("fluentd", &[("fluentd-buffer-limit", "x")], "invalid size: 'x'"),
            ("fluentd", &[("fluentd-retry-wait", "x")], "time: invalid duration \"x\""),
            ("fluentd", &[("fluentd-max-retries", "x")], "strconv.ParseUint: parsing \"x\": invalid syntax"),
            ("fluentd", &[("fluentd-async", "x")], "strconv.ParseBool: parsing \"x\": invalid syntax"),
            ("json-file", &[("mode", "nope")], "logger: logging mode not supported: nope"),
            (
                "local",
                &[("max-buffer-size", "1m")],
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            ),
            (
                "json-file",
                &[("mode", "non-blocking"), ("max-buffer-size", "x")],
                "error parsing option max-buffer-size: invalid size: 'x'",
            ),
            ("json-file", &[("max-size", "x")], ""),
        ];
        for (driver, options, wanted) in cases {
            let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let said = super::super::config::LogConfig::check(driver, &options);
            assert_eq!(said.map_or_else(|error| error.to_string(), |_| String::new()), *wanted, "{driver} {options:?}");
        }
    }
}
