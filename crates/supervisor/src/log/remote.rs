//! Log drivers that send elsewhere (syslog, journald, gelf, fluentd): their options, in Docker's words.
//!
//! What they are given is kept in files as by the driver `local`, as far as its bounds go, and sent from there: a server
//! that is away or slow costs the container nothing, and `logs` reads the same files.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::config::{Driver, InvalidLogOption, Source, refuse};

type Options = BTreeMap<String, String>;

/// Where journald listens.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Where syslog listens on this machine.
const SYSLOG: &str = "/dev/log";
/// The most that waits in non-blocking mode, if nothing else is said.
const BUFFER: u64 = 1024 * 1024;

/// Where entries go, and how they look there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Where to.
    pub address: Address,
    /// How they look.
    pub format: Format,
    /// What they say of the container.
    pub subject: Subject,
    /// In non-blocking mode: the most bytes that may wait; older entries are dropped, and counted. Otherwise all wait
    /// that the files hold.
    pub buffer: Option<u64>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Address {
    /// Packets.
    Udp(SocketAddr),
    /// A stream.
    Tcp(SocketAddr),
    /// A stream inside TLS.
    Tls(SocketAddr, Tls),
    /// Packets to a socket of this machine.
    Packets(PathBuf),
    /// A stream to a socket of this machine.
    Stream(PathBuf),
}

/// Who is believed to be the server, and who this is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The server's name, or its address.
    pub name: String,
    /// Certificates of the authority that vouches for it; otherwise those of this machine.
    pub authority: Option<PathBuf>,
    /// A certificate of one's own, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Any server will do.
    pub any: bool,
}

/// How an entry looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// One line of syslog.
    Syslog {
        /// Its number, times eight.
        facility: u8,
        /// The shape of its head.
        head: SyslogHead,
    },
    /// The journal's fields.
    Journald,
    /// Graylog's JSON.
    Gelf {
        /// How packets are compressed.
        compression: Compression,
    },
    /// Fluentd's msgpack.
    Fluentd {
        /// Whether times have nanoseconds.
        precise: bool,
    },
}

/// The shape of a syslog line's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyslogHead {
    /// Without the host, as programs of this machine write it.
    Local,
    /// The old one.
    Rfc3164,
    /// The new one, to the second.
    Rfc5424,
    /// The new one, to the microsecond.
    Rfc5424Micro,
}

/// How packets are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// zlib.
    Zlib,
    /// Not at all.
    None,
}

/// The container, as entries name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subject {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image's name.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// What it runs.
    pub command: String,
    /// When it was made.
    pub created: String,
    /// The tag.
    pub tag: String,
    /// This machine.
    pub host: String,
}

impl Remote {
    /// Reads the options of a driver that sends; none for others. `tag` is the expanded one.
    pub(super) fn from_options(
        driver: Driver,
        options: &Options,
        source: Source<'_>,
        tag: Option<String>,
    ) -> Result<Option<Self>, InvalidLogOption> {
        let short = || source.id.get(..12).unwrap_or(source.id).to_owned();
        let (address, format) = match driver {
            Driver::Syslog => (syslog_address(options)?, syslog_format(options)?),
            Driver::Journald => (Address::Packets(JOURNAL.into()), Format::Journald),
            Driver::Gelf => gelf(options)?,
            Driver::Fluentd => fluentd(options)?,
            Driver::JsonFile | Driver::Local | Driver::None => return Ok(None),
        };
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        let subject = Subject {
            id: source.id.to_owned(),
            name: source.name.to_owned(),
            image: source.image.to_owned(),
            image_id: source.image_id.to_owned(),
            command: source.command.to_owned(),
            created: source.created.to_owned(),
            tag: tag.unwrap_or_else(short),
            host,
        };
        Ok(Some(Self { address, format, subject, buffer: buffer(options)? }))
    }
}

fn buffer(options: &Options) -> Result<Option<u64>, InvalidLogOption> {
    if options.get("mode").map(String::as_str) != Some("non-blocking") {
        return Ok(None);
    }
    options.get("max-buffer-size").map_or(Ok(BUFFER), |text| super::config::size("max-buffer-size", text)).map(Some)
}

fn syslog_address(options: &Options) -> Result<Address, InvalidLogOption> {
    let text = options.get("syslog-address").map_or("", String::as_str);
    match text.split_once("://") {
        None if text.is_empty() => Ok(Address::Packets(SYSLOG.into())),
        Some(("unix" | "unixgram", path)) if path.starts_with('/') => Ok(Address::Packets(path.into())),
        Some(("udp", place)) => Ok(Address::Udp(place_of("syslog-address", place, 514)?)),
        Some(("tcp", place)) => Ok(Address::Tcp(place_of("syslog-address", place, 514)?)),
        Some(("tcp+tls", place)) => {
            let address = place_of("syslog-address", place, 514)?;
            Ok(Address::Tls(address, syslog_tls(options, host_of(place))?))
        }
        _ => Err(refuse("syslog-address", text, "want udp://, tcp://, tcp+tls://, unix:// or unixgram://")),
    }
}

/// The options about TLS. What files hold is read with each connection; that they are there is checked now.
fn syslog_tls(options: &Options, name: &str) -> Result<Tls, InvalidLogOption> {
    let file = |option: &'static str, what: &'static str| -> Result<Option<PathBuf>, InvalidLogOption> {
        let Some(text) = options.get(option).filter(|text| !text.is_empty()) else { return Ok(None) };
        let path = PathBuf::from(text);
        let unread = |error| InvalidLogOption::File { what, path: text.clone(), reason: reason(&error) };
        std::fs::File::open(&path).map_err(unread)?;
        Ok(Some(path))
    };
    let own = match (file("syslog-tls-cert", "certificate")?, file("syslog-tls-key", "key")?) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => return Err(refuse("syslog-tls-cert", &options["syslog-tls-cert"], "needs syslog-tls-key")),
        (None, Some(_)) => return Err(refuse("syslog-tls-key", &options["syslog-tls-key"], "needs syslog-tls-cert")),
    };
    // As in Docker the option counts, whatever its value.
    let any = options.contains_key("syslog-tls-skip-verify");
    Ok(Tls { name: name.to_owned(), authority: file("syslog-tls-ca-cert", "CA certificate")?, own, any })
}

/// Why a file cannot be read, as Go says it.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Docker's names of facilities, by their numbers.
pub(super) const FACILITIES: &[(&str, u8)] = &[
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

fn syslog_format(options: &Options) -> Result<Format, InvalidLogOption> {
    let text = options.get("syslog-facility").map_or("daemon", String::as_str);
    let named = FACILITIES.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    let numbered = || text.parse().ok().filter(|number| FACILITIES.iter().any(|(_, known)| known == number));
    let facility = named.or_else(numbered).ok_or_else(|| refuse("syslog-facility", text, "invalid syslog facility"))?;
    let head = match options.get("syslog-format").map_or("", String::as_str) {
        "" => SyslogHead::Local,
        "rfc3164" => SyslogHead::Rfc3164,
        "rfc5424" => SyslogHead::Rfc5424,
        "rfc5424micro" => SyslogHead::Rfc5424Micro,
        other => return Err(refuse("syslog-format", other, "want rfc3164, rfc5424 or rfc5424micro")),
    };
    Ok(Format::Syslog { facility: facility << 3, head })
}

fn gelf(options: &Options) -> Result<(Address, Format), InvalidLogOption> {
    let text = options.get("gelf-address").map_or("", String::as_str);
    let address = match text.split_once("://") {
        Some(("udp", place)) => Address::Udp(place_of("gelf-address", place, 0)?),
        Some(("tcp", place)) => Address::Tcp(place_of("gelf-address", place, 0)?),
        _ => return Err(refuse("gelf-address", text, "want udp://HOST:PORT or tcp://HOST:PORT")),
    };
    let streams = matches!(address, Address::Tcp(_));
    let given = options.get("gelf-compression-type").map(String::as_str);
    let compression = match given {
        Some("none") => Compression::None,
        Some(text) if streams => {
            return Err(refuse("gelf-compression-type", text, "compression is only supported on UDP"));
        }
        None if streams => Compression::None,
        None | Some("gzip") => Compression::Gzip,
        Some("zlib") => Compression::Zlib,
        Some(other) => return Err(refuse("gelf-compression-type", other, "want gzip, zlib or none")),
    };
    Ok((address, Format::Gelf { compression }))
}

fn fluentd(options: &Options) -> Result<(Address, Format), InvalidLogOption> {
    let text = options.get("fluentd-address").map_or("", String::as_str);
    let address = match text.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Address::Stream(path.into()),
        Some(("tcp", place)) => Address::Tcp(place_of("fluentd-address", place, 24224)?),
        None if text.is_empty() => Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 24224))),
        None => Address::Tcp(place_of("fluentd-address", text, 24224)?),
        Some(("tls", place)) => {
            let tls = Tls { name: host_of(place).to_owned(), ..Tls::default() };
            Address::Tls(place_of("fluentd-address", place, 24224)?, tls)
        }
        Some(_) => return Err(refuse("fluentd-address", text, "want HOST:PORT, tcp://, tls:// or unix://")),
    };
    if options.get("fluentd-request-ack").is_some_and(|text| text == "true") {
        return Err(refuse("fluentd-request-ack", "true", "acknowledgements are not supported"));
    }
    let precise = options.get("fluentd-sub-second-precision").is_some_and(|text| text == "true");
    Ok((address, Format::Fluentd { precise }))
}

/// `HOST[:PORT]`. A supervisor asks no name server, so names are those of /etc/hosts. A `port` of 0 must be given.
fn place_of(option: &'static str, text: &str, port: u16) -> Result<SocketAddr, InvalidLogOption> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, given)) if !given.ends_with(']') => {
            (host, given.parse().map_err(|_| refuse(option, text, "the port is not a number"))?)
        }
        _ => (text, port),
    };
    if port == 0 {
        return Err(refuse(option, text, "the port is missing"));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = match host {
        "localhost" | "" => Some(IpAddr::from([127, 0, 0, 1])),
        host => host.parse().ok().or_else(|| in_hosts(host)),
    };
    let unknown = || refuse(option, text, format!("{host} is neither an address nor a name in /etc/hosts"));
    address.map(|address| SocketAddr::new(address, port)).ok_or_else(unknown)
}

/// The host of `HOST[:PORT]`, by which its certificate is checked.
fn host_of(text: &str) -> &str {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => text,
    };
    match host.trim_start_matches('[').trim_end_matches(']') {
        "" => "localhost",
        host => host,
    }
}

fn in_hosts(name: &str) -> Option<IpAddr> {
    let hosts = std::fs::read_to_string("/etc/hosts").ok()?;
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.filter_map(|line| line.split_once(char::is_whitespace)).find_map(|(address, names)| {
        names.split_whitespace().any(|known| known.eq_ignore_ascii_case(name)).then(|| address.parse().ok())?
    })
}
