//! Log drivers and their options, in Docker's words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::remote::Remote;

/// Files kept by default, the current one included.
pub const DEFAULT_FILES: u32 = 5;
/// Bytes after which a file is full by default.
pub const DEFAULT_SIZE: u64 = 20 * 1024 * 1024;

/// A log driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// Docker's json-file: one JSON object a line.
    #[default]
    JsonFile,
    /// Docker's local: compact protobuf entries.
    Local,
    /// Nothing is kept.
    None,
    /// Sent to a syslog.
    Syslog,
    /// Sent to systemd's journal.
    Journald,
    /// Sent to a Graylog.
    Gelf,
    /// Sent to a fluentd.
    Fluentd,
}

/// The options of single drivers. Those that say how hard to try again are taken: it is tried until it works.
const SYSLOG: &[&str] = &[
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
];
const GELF: &[&str] = &[
    "gelf-address",
    "gelf-compression-type",
    "gelf-compression-level",
    "gelf-tcp-max-reconnect",
    "gelf-tcp-reconnect-delay",
];
const FLUENTD: &[&str] = &[
    "fluentd-address",
    "fluentd-async",
    "fluentd-async-reconnect-interval",
    "fluentd-buffer-limit",
    "fluentd-max-retries",
    "fluentd-request-ack",
    "fluentd-retry-wait",
    "fluentd-sub-second-precision",
    "fluentd-write-timeout",
];

impl Driver {
    /// Docker's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::None => "none",
            Self::Syslog => "syslog",
            Self::Journald => "journald",
            Self::Gelf => "gelf",
            Self::Fluentd => "fluentd",
        }
    }

    /// Whether its files are those of `local`; drivers that send elsewhere keep theirs so.
    pub(crate) const fn is_local(self) -> bool {
        !matches!(self, Self::JsonFile | Self::None)
    }

    fn named(name: &str) -> Result<Self, InvalidLogOption> {
        match name {
            "" | "json-file" => Ok(Self::JsonFile),
            "local" => Ok(Self::Local),
            "none" => Ok(Self::None),
            "syslog" => Ok(Self::Syslog),
            "journald" => Ok(Self::Journald),
            "gelf" => Ok(Self::Gelf),
            "fluentd" => Ok(Self::Fluentd),
            _ => Err(InvalidLogOption::Driver { driver: name.to_owned() }),
        }
    }

    /// Whether the driver knows `option`.
    fn knows(self, option: &str) -> bool {
        let any = ["mode", "max-buffer-size"];
        let local = ["max-size", "max-file", "compress"];
        let json = ["labels", "labels-regex", "env", "env-regex", "tag"];
        let sending =
            json.contains(&option) || ["cache-max-size", "cache-max-file", "cache-compress"].contains(&option);
        match self {
            Self::Syslog => any.contains(&option) || sending || SYSLOG.contains(&option),
            Self::Journald => any.contains(&option) || sending,
            Self::Gelf => any.contains(&option) || sending || GELF.contains(&option),
            Self::Fluentd => any.contains(&option) || sending || FLUENTD.contains(&option),
            Self::None => any.contains(&option),
            Self::Local => any.contains(&option) || local.contains(&option),
            Self::JsonFile => any.contains(&option) || local.contains(&option) || json.contains(&option),
        }
    }
}

/// Where output goes, and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// The driver.
    pub driver: Driver,
    /// The current file; older ones are `PATH.1` (youngest) to `PATH.N`, with `.gz` if compressed.
    pub path: PathBuf,
    /// Bytes after which a file is full; none: never.
    pub max_size: Option<u64>,
    /// Files kept, the current one included.
    pub max_file: u32,
    /// Whether files but the current one are compressed.
    pub compress: bool,
    /// What is added to every line (`attrs`): chosen labels, environment and the tag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Where else the log goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
}

/// A log option was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLogOption {
    /// hako has no such driver.
    #[error("error looking up logging plugin {driver}: plugin \"{driver}\" not found")]
    Driver {
        /// Its name.
        driver: String,
    },
    /// The driver has no such option.
    #[error("unknown log opt '{option}' for {driver} log driver")]
    Option {
        /// The option.
        option: String,
        /// The driver.
        driver: &'static str,
    },
    /// A value makes no sense, in Docker's words.
    #[error("{text}")]
    Said {
        /// What Docker says.
        text: String,
    },
    /// A file it names cannot be read.
    #[error("could not read {what} {path:?}: open {path}: {reason}")]
    File {
        /// What it should hold, in Docker's words.
        what: &'static str,
        /// Its path.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The value makes no sense.
    #[error("invalid value for log opt {option}: {value:?}: {reason}")]
    Value {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        reason: String,
    },
}

/// What `labels`, `env` and `tag` are chosen from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The container's name.
    pub name: &'a str,
    /// The image as it was asked for.
    pub image: &'a str,
    /// The image's id.
    pub image_id: &'a str,
    /// What the container runs.
    pub command: &'a str,
    /// When the container was made.
    pub created: &'a str,
    /// The container's labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The container's environment, `NAME=VALUE`.
    pub env: &'a [String],
}

type Options = BTreeMap<String, String>;

impl LogConfig {
    /// Reads Docker's driver name (empty: json-file) and options. `path` is where json-file writes; `local` puts its
    /// file into `local-logs/` beside it. Without options the log is bounded: five files of 20 MiB, old ones compressed.
    pub fn from_options(
        driver: &str,
        options: &Options,
        path: PathBuf,
        source: Source<'_>,
    ) -> Result<Self, InvalidLogOption> {
        let files = Self::of_files(driver, options, path, source)?;
        let remote = Remote::from_options(files.driver, options, source, files.attributes.get("tag").cloned())?;
        Ok(Self { remote, ..files })
    }

    /// Refuses, in Docker's words, what makes no sense before anything is there to be logged.
    pub fn check(driver: &str, options: &Options) -> Result<(), InvalidLogOption> {
        super::check::check(Self::check_names(driver, options)?, options)
    }

    /// Whether there is such a driver, and it has such options.
    fn check_names(driver: &str, options: &Options) -> Result<Driver, InvalidLogOption> {
        let driver = Driver::named(driver)?;
        match options.keys().find(|option| !driver.knows(option)) {
            Some(option) => Err(InvalidLogOption::Option { option: option.clone(), driver: driver.name() }),
            None => Ok(driver),
        }
    }

    /// As much of it as one must know to read what was written: where it was sent may be gone by now.
    pub fn of_files(
        driver: &str,
        options: &Options,
        path: PathBuf,
        source: Source<'_>,
    ) -> Result<Self, InvalidLogOption> {
        let driver = Self::check_names(driver, options)?;
        check_mode(options)?;
        let bounds = bounds(options);
        let (max_size, max_file) = (max_size(&bounds)?, max_file(&bounds)?);
        let compress = compress(&bounds, max_size.is_some() && max_file > 1)?;
        let path = if driver.is_local() { path.with_file_name("local-logs").join("container.log") } else { path };
        Ok(Self { driver, path, max_size, max_file, compress, attributes: attributes(options, source)?, remote: None })
    }

    /// The bounded default at `path`.
    pub fn json_file(path: PathBuf) -> Self {
        Self {
            driver: Driver::JsonFile,
            path,
            max_size: Some(DEFAULT_SIZE),
            max_file: DEFAULT_FILES,
            compress: true,
            attributes: BTreeMap::new(),
            remote: None,
        }
    }
}

/// The bounds of the files: drivers that send elsewhere have them under names of their own.
fn bounds(options: &Options) -> Options {
    options
        .iter()
        .map(|(name, value)| (name.strip_prefix("cache-").unwrap_or(name).to_owned(), value.clone()))
        .collect()
}

pub(super) fn refuse(option: &'static str, value: &str, reason: impl Into<String>) -> InvalidLogOption {
    InvalidLogOption::Value { option, value: value.to_owned(), reason: reason.into() }
}

/// The container never waits for its log, so what is blocking blocks nobody; non-blocking bounds what waits to be sent.
fn check_mode(options: &Options) -> Result<(), InvalidLogOption> {
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(refuse("mode", mode, "want blocking or non-blocking"));
    }
    match options.get("max-buffer-size") {
        Some(value) if mode != "non-blocking" => Err(refuse("max-buffer-size", value, "only with mode=non-blocking")),
        Some(value) => size("max-buffer-size", value).map(drop),
        None => Ok(()),
    }
}

fn max_size(options: &Options) -> Result<Option<u64>, InvalidLogOption> {
    match options.get("max-size").map(String::as_str) {
        None => Ok(Some(DEFAULT_SIZE)),
        Some("-1") => Ok(None),
        Some(value) => match size("max-size", value)? {
            0 => Err(refuse("max-size", value, "must be a positive number")),
            bytes => Ok(Some(bytes)),
        },
    }
}

fn max_file(options: &Options) -> Result<u32, InvalidLogOption> {
    let Some(value) = options.get("max-file") else { return Ok(DEFAULT_FILES) };
    match value.parse() {
        Ok(count) if count >= 1 => Ok(count),
        _ => Err(refuse("max-file", value, "must be a number of at least 1")),
    }
}

/// Compressing is the default where there is something to compress, and refused where there is not.
fn compress(options: &Options, rotates: bool) -> Result<bool, InvalidLogOption> {
    let Some(value) = options.get("compress") else { return Ok(rotates) };
    match value.as_str() {
        "true" | "1" | "t" | "T" | "TRUE" | "True" if rotates => Ok(true),
        "true" | "1" | "t" | "T" | "TRUE" | "True" => {
            Err(refuse("compress", value, "cannot be true when max-file is less than 2 or max-size is not set"))
        }
        "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
        _ => Err(refuse("compress", value, "want true or false")),
    }
}

/// A size in Docker's units: `10`, `10k`, `10kb`, `10KiB`, `1.5m`, `1g`; all powers of 1024.
pub(super) fn size(option: &'static str, text: &str) -> Result<u64, InvalidLogOption> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let unit = lower[digits..].trim().trim_end_matches('b').trim_end_matches('i');
    let Some(power) = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit) else {
        return Err(refuse(option, text, "want a number and k, m or g"));
    };
    let number: f64 = lower[..digits].parse().map_err(|_| refuse(option, text, "want a number and k, m or g"))?;
    // Sizes beyond 2^53 bytes are not meant exactly.
    Ok((number * 1024_f64.powi(i32::try_from(power).unwrap_or(0))) as u64)
}

fn attributes(options: &Options, source: Source<'_>) -> Result<BTreeMap<String, String>, InvalidLogOption> {
    let mut chosen = BTreeMap::new();
    let listed = |option: &str| -> Vec<String> {
        options
            .get(option)
            .map(|value| value.split(',').map(|name| name.trim().to_owned()).collect())
            .unwrap_or_default()
    };
    let (labels, env) = (listed("labels"), listed("env"));
    let (label_pattern, env_pattern) = (pattern(options, "labels-regex")?, pattern(options, "env-regex")?);
    let wanted = |names: &[String], pattern: &Option<regex_lite::Regex>, name: &str| {
        names.iter().any(|listed| listed == name) || pattern.as_ref().is_some_and(|regex| regex.is_match(name))
    };
    for (name, value) in source.labels {
        if wanted(&labels, &label_pattern, name) {
            chosen.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in source.env.iter().filter_map(|pair| pair.split_once('=')) {
        if wanted(&env, &env_pattern, name) {
            chosen.insert(name.to_owned(), value.to_owned());
        }
    }
    if let Some(tag) = options.get("tag").filter(|tag| !tag.is_empty()) {
        chosen.insert("tag".to_owned(), expand(tag, source)?);
    }
    Ok(chosen)
}

fn pattern(options: &Options, option: &'static str) -> Result<Option<regex_lite::Regex>, InvalidLogOption> {
    let Some(text) = options.get(option).filter(|text| !text.is_empty()) else { return Ok(None) };
    regex_lite::Regex::new(text).map(Some).map_err(|error| refuse(option, text, error.to_string()))
}

/// Docker's tag template: Go's syntax over seven names.
fn expand(template: &str, source: Source<'_>) -> Result<String, InvalidLogOption> {
    let image_id = source.image_id.trim_start_matches("sha256:");
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            return Err(refuse("tag", template, "unclosed action"));
        };
        text.push_str(before);
        text.push_str(match name.trim() {
            ".ID" => source.id.get(..12).unwrap_or(source.id),
            ".FullID" => source.id,
            ".Name" => source.name,
            ".ImageID" => image_id.get(..12).unwrap_or(image_id),
            ".ImageFullID" => source.image_id,
            ".ImageName" => source.image,
            ".DaemonName" => "docker",
            _ => return Err(refuse("tag", template, format!("cannot evaluate {}", name.trim()))),
        });
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(driver: &str, options: &[(&str, &str)]) -> Result<LogConfig, InvalidLogOption> {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "1".to_owned())]);
        let source = Source {
            id: "0123456789abcdef",
            name: "shy_cat",
            image: "nginx:1",
            image_id: "sha256:fedcba9876543210",
            command: "nginx -g daemon",
            created: "2026-11-21T00:00:00Z",
            labels: &labels,
            env: &["A_1=x".to_owned(), "B=y".to_owned()],
        };
        LogConfig::from_options(driver, &options, PathBuf::from("/c/c-json.log"), source)
    }

    #[test]
    fn the_default_is_bounded() {
        assert_eq!(read("", &[]), Ok(LogConfig::json_file(PathBuf::from("/c/c-json.log"))));
        let local = read("local", &[("max-size", "1.5k"), ("max-file", "1")]).unwrap();
        assert_eq!((local.max_size, local.max_file, local.compress), (Some(1536), 1, false));
        assert_eq!(local.path, PathBuf::from("/c/local-logs/container.log"));
        assert_eq!(read("json-file", &[("max-size", "-1")]).unwrap().max_size, None);
    }

    #[test]
    fn sizes() {
        for (text, want) in [("10", 10), ("10k", 10240), ("2mb", 2 << 20), ("3GiB", 3 << 30), ("1 m", 1 << 20)] {
            assert_eq!(size("max-size", text), Ok(want), "{text}");
        }
        for text in ["", "k", "10x", "-5", "1..2m"] {
            assert!(size("max-size", text).is_err(), "{text}");
        }
    }

    #[test]
    fn attributes_are_chosen() {
        let attributes = |options: &[(&str, &str)]| read("json-file", options).unwrap().attributes;
        assert_eq!(attributes(&[("labels", "app,none")]), BTreeMap::from([("app".into(), "web".into())]));
        assert_eq!(attributes(&[("env-regex", "^A_")]), BTreeMap::from([("A_1".into(), "x".into())]));
        let tag = attributes(&[("tag", "{{.ImageName}}/{{.Name}}/{{ .ID }}")]);
        assert_eq!(tag["tag"], "nginx:1/shy_cat/0123456789ab");
    }

    #[test]
    fn drivers_that_send_keep_files_as_local_does() {
        let config =
            read("syslog", &[("syslog-address", "udp://localhost"), ("cache-max-file", "2"), ("tag", "{{.Name}}")]);
        let config = config.unwrap();
        assert_eq!((config.max_file, config.path), (2, PathBuf::from("/c/local-logs/container.log")));
        let remote = config.remote.unwrap();
        assert_eq!(remote.address, super::super::remote::Address::Udp("127.0.0.1:514".parse().unwrap()));
        assert_eq!((remote.subject.tag.as_str(), remote.buffer), ("shy_cat", None));
        let sealed = [
            ("syslog", "syslog-address", "tcp+tls://localhost", 514, "localhost"),
            ("fluentd", "fluentd-address", "tls://[::1]:9", 9, "::1"),
        ];
        for (driver, option, text, port, name) in sealed {
            let remote = read(driver, &[(option, text)]).unwrap().remote.unwrap();
            let super::super::remote::Address::Tls(address, tls) = remote.address else { panic!("{text}") };
            assert_eq!((address.port(), tls.name.as_str(), tls.any), (port, name, false), "{text}");
        }
        let buffered = read("journald", &[("mode", "non-blocking"), ("max-buffer-size", "2m")]).unwrap();
        assert_eq!(buffered.remote.unwrap().buffer, Some(2 << 20));
    }

    #[test]
    fn refusals_name_the_option() {
        for (driver, options) in [
            ("awslogs", &[][..]),
            ("syslog", &[("syslog-tls-key", "/dev/null"), ("syslog-address", "tcp+tls://127.0.0.1:1")]),
            ("syslog", &[("syslog-facility", "nowhere")]),
            ("syslog", &[("max-size", "1m")]),
            ("gelf", &[("gelf-address", "udp://127.0.0.1")]),
            ("gelf", &[("gelf-compression-type", "gzip"), ("gelf-address", "tcp://127.0.0.1:1")]),
            ("fluentd", &[("fluentd-request-ack", "true")]),
            ("fluentd", &[("fluentd-address", "nowhere.invalid:1")]),
            ("journald", &[("syslog-format", "rfc5424")]),
            ("json-file", &[("maxsize", "1")]),
            ("none", &[("max-size", "1m")]),
            ("local", &[("labels", "a")]),
            ("json-file", &[("max-file", "0")]),
            ("json-file", &[("max-size", "0")]),
            ("json-file", &[("compress", "true"), ("max-file", "1")]),
            ("json-file", &[("mode", "fast")]),
            ("json-file", &[("max-buffer-size", "1m")]),
            ("json-file", &[("labels-regex", "(")]),
            ("json-file", &[("tag", "{{.Nope}}")]),
        ] {
            let error = read(driver, options).unwrap_err().to_string();
            assert!(error.contains(options.first().map_or(driver, |(name, _)| name)), "{error}");
        }
        let authority = [("syslog-tls-ca-cert", "/nonesuch"), ("syslog-address", "tcp+tls://127.0.0.1:1")];
        let error = read("syslog", &authority).unwrap_err().to_string();
        assert_eq!(error, "could not read CA certificate \"/nonesuch\": open /nonesuch: no such file or directory");
    }
}
