//! From flags and `daemon.json` to what engine and server are told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hako_engine::Settings;
use hako_model::amount;
use hako_model::budget::Budget;
use hako_model::container::Ulimit;
use serde_json::{Map, Value};

use super::file;
use super::flags::{self, FIXED};
use crate::tls::Files;

/// How long a daemon that was started by need stays without anything to do.
const IDLE: Duration = Duration::from_secs(300);

/// Where the configuration file is looked for.
const CONFIG_FILE: &str = "/etc/hako/daemon.json";

/// The system's key of secrets; a private root has its own beside its data.
const SECRET_KEY: &str = "/etc/hako/secret.key";

/// What the daemon was told.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) settings: Settings,
    pub(super) hosts: Vec<String>,
    /// Plain TCP on loopback is wanted.
    pub(super) plain: bool,
    /// Mutual TLS on TCP sockets.
    pub(super) tls: Option<Files>,
    pub(super) group: Option<String>,
    pub(super) pid_file: PathBuf,
    pub(super) log_level: String,
    /// Log as JSON.
    pub(super) log_json: bool,
    /// Where scrapers of metrics ask.
    pub(super) metrics: Option<SocketAddr>,
    /// `None` means that it stays.
    pub(super) idle_timeout: Option<Duration>,
}

impl Options {
    /// Puts flags, file and defaults together.
    pub(super) fn gather(flags: &flags::Given) -> Result<Self, String> {
        let named = flags.get("config-file").and_then(|values| values.last());
        let root = private_root(flags.get("root").and_then(|values| values.last()).map(String::as_str));
        // A private root has nothing to do with the system's configuration: it has its own.
        let usual = root.map_or_else(|| PathBuf::from(CONFIG_FILE), |root| root.join("daemon.json"));
        let path = named.map_or(usual, PathBuf::from);
        let found = file::read(&path, named.is_some())?.unwrap_or_default();
        let given = Given(file::merge(flags, &found, &path)?);
        given.refuse_unsupported(&found)?;
        given.options(proxies(&found)?)
    }
}

/// The directory below which an independent daemon keeps everything, by its flag or by `HAKO_ROOT`.
fn private_root(flag: Option<&str>) -> Option<PathBuf> {
    let variable = || std::env::var_os("HAKO_ROOT").filter(|root| !root.is_empty()).map(PathBuf::from);
    flag.map(PathBuf::from).or_else(variable)
}

/// Everything that was given, by the flags' names.
struct Given(flags::Given);

impl Given {
    fn options(&self, proxies: BTreeMap<String, String>) -> Result<Options, String> {
        let (data_root, exec_root) = self.roots();
        let mut settings = Settings::new(data_root, &exec_root);
        self.network(&mut settings)?;
        self.containers(&mut settings)?;
        self.registries(&mut settings)?;
        if private_root(self.text("root")).is_none() {
            settings.secret_key = PathBuf::from(SECRET_KEY);
        }
        let budget = self.text("disk-budget");
        let budget = budget.map(|text| Budget::parse(text).map_err(|cause| refused("disk-budget", text, cause)));
        settings.disk_budget = budget.transpose()?;
        settings.labels = self.list("label");
        settings.shutdown_timeout = self.number("shutdown-timeout")?.unwrap_or(settings.shutdown_timeout);
        settings.proxies = proxies;
        let debug = self.switch("debug")?.unwrap_or(false);
        Ok(Options {
            settings,
            hosts: self.list("host"),
            plain: self.switch("tls")? == Some(false),
            tls: self.tls()?,
            group: self.text("group").map(str::to_owned),
            pid_file: self.text("pidfile").map_or_else(|| exec_root.join("daemon.pid"), PathBuf::from),
            log_level: self.log_level(debug)?,
            log_json: self.log_json()?,
            metrics: self.metrics()?,
            idle_timeout: self.idle_timeout()?,
        })
    }

    fn roots(&self) -> (PathBuf, PathBuf) {
        let root = private_root(self.text("root"));
        let below =
            |name: &str, usual: &str| root.as_ref().map_or_else(|| PathBuf::from(usual), |root| root.join(name));
        let data_root = self.text("data-root").map_or_else(|| below("data", "/var/lib/hako"), PathBuf::from);
        let exec_root = self.text("exec-root").map_or_else(|| below("run", "/run/hako"), PathBuf::from);
        (data_root, exec_root)
    }

    fn network(&self, settings: &mut Settings) -> Result<(), String> {
        settings.bip = self.text("bip").map(str::to_owned);
        settings.fixed_cidr = self.text("fixed-cidr").map(str::to_owned);
        settings.mtu = self.number("mtu")?;
        if let Some(address) = self.text("ip") {
            settings.default_publish_ip = address.parse().map_err(|cause| refused("ip", address, cause))?;
        }
        settings.address_pools = self.each("default-address-pool", address_pool)?;
        settings.masquerade = self.switch("ip-masq")?.unwrap_or(settings.masquerade);
        settings.ipv6 = self.switch("ipv6")?.unwrap_or(settings.ipv6);
        settings.ipv6_networks = self.switch("default-network-ipv6")?.unwrap_or(settings.ipv6_networks);
        settings.fixed_cidr_v6 = self.text("fixed-cidr-v6").map(str::to_owned);
        if let Some(address) = self.text("default-gateway") {
            let gateway = address.parse().map_err(|cause| refused("default-gateway", address, cause))?;
            settings.default_gateway = Some(gateway);
        }
        settings.publish_by_input = self.switch("publish-by-input")?.unwrap_or(settings.publish_by_input);
        settings.metadata = self.switch("allow-metadata")?.unwrap_or(settings.metadata);
        settings.network_options = self.each("default-network-opt", network_option)?;
        settings.icc = self.switch("icc")?.unwrap_or(settings.icc);
        settings.firewall = self.switch("iptables")?.unwrap_or(settings.firewall);
        settings.dns = self.each("dns", |text| {
            text.parse::<std::net::IpAddr>().map(|_| text.to_owned()).map_err(|cause| refused("dns", text, cause))
        })?;
        settings.dns_options = self.list("dns-opt");
        settings.dns_search = self.list("dns-search");
        Ok(())
    }

    fn containers(&self, settings: &mut Settings) -> Result<(), String> {
        if let Some(driver) = self.text("log-driver") {
            settings.log.driver = driver.to_owned();
        }
        let log_options: BTreeMap<_, _> = self.each("log-opt", |text| pair("log-opt", text))?.into_iter().collect();
        settings.log.config = (!log_options.is_empty()).then_some(log_options);
        if let Some(size) = self.text("default-shm-size") {
            settings.shm_size =
                amount::bytes(size).ok_or_else(|| refused("default-shm-size", size, "expected a size such as 64m"))?;
        }
        settings.ulimits = self.each("default-ulimit", ulimit)?;
        settings.init = self.switch("init")?.unwrap_or(false);
        settings.experimental = self.switch("experimental")?.unwrap_or(false);
        settings.no_new_privileges = self.switch("no-new-privileges")?.unwrap_or(false);
        settings.seccomp_profile = self.text("seccomp-profile").filter(|text| *text != "builtin").map(str::to_owned);
        settings.cgroup_parent = self.text("cgroup-parent").map(str::to_owned);
        settings.cgroupns_mode = self.cgroupns_mode()?;
        Ok(())
    }

    fn registries(&self, settings: &mut Settings) -> Result<(), String> {
        let described = self.list("cdi-spec-dir");
        if !described.is_empty() {
            settings.cdi_directories =
                described.into_iter().filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        }
        settings.registry_mirrors = self.list("registry-mirror");
        settings.insecure_registries = self.list("insecure-registry");
        if let Some(count) = self.number("max-concurrent-downloads")? {
            settings.max_concurrent_downloads = count;
        }
        if let Some(count) = self.number("max-concurrent-uploads")? {
            settings.max_concurrent_uploads = count;
        }
        Ok(())
    }

    /// TLS is mutual or not there: a listener that lets everybody in who speaks it would protect nobody.
    fn tls(&self) -> Result<Option<Files>, String> {
        let verify = self.switch("tlsverify")?.unwrap_or(false);
        if !verify {
            let files = ["tlscacert", "tlscert", "tlskey"].into_iter().find(|name| self.text(name).is_some());
            return match (self.switch("tls")?, files) {
                (Some(true), _) => {
                    Err("tls=true alone would let every client in: add --tlsverify, with --tlscacert, --tlscert and --tlskey"
                        .to_owned())
                }
                (_, Some(name)) => Err(format!("--{name} means nothing without --tlsverify")),
                (_, None) => Ok(None),
            };
        }
        let file = |name: &str, usual: &str| {
            PathBuf::from(self.text(name).map_or_else(|| format!("/etc/hako/{usual}"), str::to_owned))
        };
        Ok(Some(Files {
            authority: file("tlscacert", "ca.pem"),
            certificate: file("tlscert", "server-cert.pem"),
            key: file("tlskey", "server-key.pem"),
        }))
    }

    fn cgroupns_mode(&self) -> Result<Option<String>, String> {
        match self.text("default-cgroupns-mode") {
            None => Ok(None),
            Some(mode @ ("private" | "host")) => Ok(Some(mode.to_owned())),
            Some(other) => Err(refused("default-cgroupns-mode", other, "expected private or host")),
        }
    }

    fn log_level(&self, debug: bool) -> Result<String, String> {
        let level = self.text("log-level").unwrap_or(if debug { "debug" } else { "info" });
        match level {
            _ if debug => Ok("debug".to_owned()),
            "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "panic" => Ok(level.to_owned()),
            other => Err(refused("log-level", other, "expected debug, info, warn, error or fatal")),
        }
    }

    fn log_json(&self) -> Result<bool, String> {
        match self.text("log-format") {
            None | Some("text") => Ok(false),
            Some("json") => Ok(true),
            Some(other) => Err(refused("log-format", other, "expected text or json")),
        }
    }

    fn metrics(&self) -> Result<Option<SocketAddr>, String> {
        let read = |text: &str| text.parse().map_err(|cause| refused("metrics-addr", text, cause));
        self.text("metrics-addr").filter(|text| !text.is_empty()).map(read).transpose()
    }

    /// A daemon that was started by need leaves by itself; one that a person or a service manager started stays.
    fn idle_timeout(&self) -> Result<Option<Duration>, String> {
        let Some(text) = self.text("idle-timeout") else {
            let by_need = std::env::var_os("LISTEN_FDS").is_some() && !crate::listen::is_managed();
            return Ok(by_need.then_some(IDLE));
        };
        let time =
            duration(text).ok_or_else(|| refused("idle-timeout", text, "expected a duration such as 5m or 30s"))?;
        Ok((!time.is_zero()).then_some(time))
    }

    fn refuse_unsupported(&self, file: &Map<String, Value>) -> Result<(), String> {
        for (name, key, accepted) in FIXED {
            let unsupported = self.values(name).iter().find(|value| !accepted.contains(&value.as_str()));
            if let Some(value) = unsupported {
                let accepted = accepted.join(", ");
                return Err(format!("{key}={value} is not supported: hako only knows {accepted}"));
            }
        }
        match file.get("features").and_then(Value::as_object).and_then(|features| features.keys().next()) {
            Some(feature) => Err(format!("features.{feature} is not supported")),
            None => Ok(()),
        }
    }

    fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.values(name).last().map(String::as_str)
    }

    fn list(&self, name: &str) -> Vec<String> {
        self.values(name).to_vec()
    }

    fn each<T>(&self, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
        self.values(name).iter().map(|text| read(text)).collect()
    }

    fn switch(&self, name: &str) -> Result<Option<bool>, String> {
        self.text(name)
            .map(|text| boolean(text).ok_or_else(|| refused(name, text, "expected true or false")))
            .transpose()
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, String> {
        self.text(name).map(|text| text.parse().map_err(|cause| refused(name, text, cause))).transpose()
    }
}

fn refused(name: &str, value: &str, reason: impl std::fmt::Display) -> String {
    format!("invalid argument \"{value}\" for \"--{name}\": {reason}")
}

/// Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn pair(name: &str, text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| refused(name, text, "expected key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `bridge=com.docker.network.driver.mtu=1400`.
fn network_option(text: &str) -> Result<(String, String, String), String> {
    let mut parts = text.splitn(3, '=').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(driver), Some(name), Some(value)) if !driver.is_empty() => Ok((driver, name, value)),
        _ => Err(refused("default-network-opt", text, "expected driver=option=value")),
    }
}

fn address_pool(text: &str) -> Result<(String, u8), String> {
    let wrong = || refused("default-address-pool", text, "expected base=CIDR,size=N");
    let field = |key: &str| text.split(',').find_map(|part| part.trim().strip_prefix(key)?.strip_prefix('='));
    let size = field("size").and_then(|size| size.parse().ok()).ok_or_else(wrong)?;
    Ok((field("base").ok_or_else(wrong)?.to_owned(), size))
}

fn ulimit(text: &str) -> Result<Ulimit, String> {
    let wrong = || refused("default-ulimit", text, "expected name=soft[:hard]");
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |side: &str| side.parse::<i64>().map_err(|_| wrong());
    Ok(Ulimit { name: name.to_owned(), soft: number(soft)?, hard: number(hard)? })
}

/// Go's durations, without fractions of their units: `1h30m`, `90s`, `500ms`, `0`.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let value: u64 = rest[..digits].parse().ok()?;
        let unit_end =
            rest[digits..].find(|letter: char| letter.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let part = match &rest[digits..unit_end] {
            "ms" => Duration::from_millis(value),
            "s" => Duration::from_secs(value),
            "m" => Duration::from_secs(value.checked_mul(60)?),
            "h" => Duration::from_secs(value.checked_mul(3600)?),
            _ => return None,
        };
        sum = sum.checked_add(part)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(sum)
}

/// The file's `proxies`, as the environment variables they stand for; without them, the daemon's own environment.
fn proxies(file: &Map<String, Value>) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        let lower = || std::env::var(name.to_ascii_lowercase()).ok();
        if let Some(value) = std::env::var(name).ok().or_else(lower) {
            found.insert(name.to_owned(), value);
        }
    }
    let Some(given) = file.get("proxies") else { return Ok(found) };
    let members =
        given.as_object().ok_or("invalid value for \"proxies\" in the configuration file: expected an object")?;
    for (key, value) in members {
        let name = match key.as_str() {
            "http-proxy" => "HTTP_PROXY",
            "https-proxy" => "HTTPS_PROXY",
            "no-proxy" => "NO_PROXY",
            other => {
                return Err(format!("the following directives don't match any configuration option: proxies.{other}"));
            }
        };
        let value = value.as_str().ok_or_else(|| format!("invalid value for \"{key}\" in the configuration file"))?;
        found.insert(name.to_owned(), value.to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn given(pairs: &[(&'static str, &str)]) -> Given {
        Given(pairs.iter().map(|(name, value)| (*name, vec![(*value).to_owned()])).collect())
    }

    fn options(pairs: &[(&'static str, &str)]) -> Result<Options, String> {
        let given = given(pairs);
        given.refuse_unsupported(&Map::new())?;
        given.options(BTreeMap::new())
    }

    #[test]
    fn a_private_root_holds_everything() {
        let options = options(&[("root", "/x")]).unwrap();
        assert_eq!(options.settings.data_root, Path::new("/x/data"));
        assert_eq!(options.settings.exec_root, Path::new("/x/run"));
        assert_eq!(options.pid_file, Path::new("/x/run/daemon.pid"));
    }

    #[test]
    fn values_are_checked() {
        let table: &[(&'static str, &str, &str)] = &[
            ("mtu", "big", "invalid argument \"big\" for \"--mtu\": invalid digit found in string"),
            (
                "log-level",
                "loud",
                "invalid argument \"loud\" for \"--log-level\": expected debug, info, warn, error or fatal",
            ),
            ("userland-proxy", "true", "userland-proxy=true is not supported: hako only knows false"),
            (
                "tls",
                "true",
                "tls=true alone would let every client in: add --tlsverify, with --tlscacert, --tlscert and --tlskey",
            ),
            ("tlskey", "/k", "--tlskey means nothing without --tlsverify"),
            (
                "default-ulimit",
                "nofile",
                "invalid argument \"nofile\" for \"--default-ulimit\": expected name=soft[:hard]",
            ),
        ];
        for (name, value, expect) in table {
            assert_eq!(options(&[(name, value)]).unwrap_err(), *expect);
        }
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("5"), None);
        assert_eq!(duration(""), None);
    }

    #[test]
    fn pools_and_ulimits() {
        assert_eq!(address_pool("base=10.0.0.0/8,size=24"), Ok(("10.0.0.0/8".to_owned(), 24)));
        assert!(address_pool("10.0.0.0/8").is_err());
        assert_eq!(ulimit("nofile=1:2"), Ok(Ulimit { name: "nofile".to_owned(), soft: 1, hard: 2 }));
    }
}
