//! The daemon's flags: dockerd's names, each with the key of `daemon.json` that says the same.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Yes or no; alone it means yes.
    Switch,
    /// One value; the last one counts.
    Text,
    /// Several values.
    List,
}

/// A flag.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    short: Option<char>,
    /// Its key in `daemon.json`; empty when there is none.
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    help: &'static str,
}

const fn flag(name: &'static str, key: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { name, short: None, key, kind, help }
}

const fn short(short: char, flag: Flag) -> Flag {
    Flag { short: Some(short), ..flag }
}

use Kind::{List, Switch, Text};

/// Flags that do something, in the order of the help.
pub(super) const FLAGS: &[Flag] = &[
    flag("allow-metadata", "allow-metadata", Switch, "Let containers reach link-local metadata addresses"),
    flag("bip", "bip", Text, "Address and prefix of the default bridge"),
    flag("cdi-spec-dir", "cdi-spec-dirs", List, "Directory with descriptions of devices (CDI)"),
    flag("cgroup-parent", "cgroup-parent", Text, "Parent cgroup of all containers"),
    flag("config-file", "", Text, "Settings file (default /etc/hako/daemon.json or ROOT/daemon.json)"),
    flag("data-root", "data-root", Text, "Directory of persistent state (default \"/var/lib/hako\")"),
    short('D', flag("debug", "debug", Switch, "Log more")),
    flag("default-address-pool", "default-address-pools", List, "Address pool for networks, base=CIDR,size=N"),
    flag("default-cgroupns-mode", "default-cgroupns-mode", Text, "Cgroup namespace of containers: private or host"),
    flag("default-gateway", "default-gateway", Text, "Gateway of the default bridge, if it is not the bridge"),
    flag("default-network-ipv6", "default-network-ipv6", Switch, "New networks have IPv6 unless they say otherwise"),
    flag("default-network-opt", "default-network-opts", List, "Option of new networks, driver=option=value"),
    flag("default-shm-size", "default-shm-size", Text, "Size of /dev/shm in containers (default 64m)"),
    flag("default-ulimit", "default-ulimits", List, "Ulimit of containers, name=soft[:hard]"),
    flag("disk-budget", "disk-budget", Text, "What images, cache and stopped containers may take (50GB:40GB, 60%)"),
    flag("dns", "dns", List, "Name server of containers"),
    flag("dns-opt", "dns-opts", List, "Resolver option of containers"),
    flag("dns-search", "dns-search", List, "Search domain of containers"),
    flag("exec-root", "exec-root", Text, "Directory of volatile state (default \"/run/hako\")"),
    flag("experimental", "experimental", Switch, "Say that experiments are on: then docker shows checkpoint"),
    flag("fixed-cidr", "fixed-cidr", Text, "Part of the default bridge's subnet that containers get"),
    flag("fixed-cidr-v6", "fixed-cidr-v6", Text, "IPv6 subnet of the default bridge"),
    short('G', flag("group", "group", Text, "Group that may use the socket (default hako, else docker)")),
    short('H', flag("host", "hosts", List, "Socket to listen on: unix://PATH, tcp://ADDRESS:PORT or fd://")),
    flag("icc", "icc", Switch, "Let containers reach one another (default true)"),
    flag("idle-timeout", "idle-timeout", Text, "Leave after that long without anything to do; 0 means never"),
    flag("init", "init", Switch, "Run an init in every container"),
    flag("insecure-registry", "insecure-registries", List, "Registry that may be plain http: HOST[:PORT] or CIDR"),
    flag("ip", "ip", Text, "Host address that -p means (default 0.0.0.0)"),
    flag("ip-masq", "ip-masq", Switch, "Masquerade what leaves the default bridge (default true)"),
    flag("iptables", "iptables", Switch, "Write firewall rules (default true)"),
    flag("ipv6", "ipv6", Switch, "Give the default bridge IPv6"),
    flag("label", "labels", List, "Label of the daemon, key=value"),
    flag("log-driver", "log-driver", Text, "Log driver of containers (default \"json-file\")"),
    flag("log-format", "log-format", Text, "text or json (default \"text\")"),
    short('l', flag("log-level", "log-level", Text, "debug, info, warn, error or fatal (default \"info\")")),
    flag("log-opt", "log-opts", List, "Option of the log driver, key=value"),
    flag("max-concurrent-downloads", "max-concurrent-downloads", Text, "Layers downloaded at a time (default 3)"),
    flag("max-concurrent-uploads", "max-concurrent-uploads", Text, "Layers uploaded at a time (default 5)"),
    flag("metrics-addr", "metrics-addr", Text, "Address where /metrics is answered, for Prometheus"),
    flag("mtu", "mtu", Text, "MTU of the default bridge"),
    flag("no-new-privileges", "no-new-privileges", Switch, "Containers never gain privileges"),
    short('p', flag("pidfile", "pidfile", Text, "File for the daemon's process id")),
    flag("publish-by-input", "publish-by-input", Switch, "The host's input rules decide who reaches published ports"),
    flag("registry-mirror", "registry-mirrors", List, "Mirror of docker.io"),
    flag("root", "", Text, "Private root: data in DIR/data, volatile state in DIR/run"),
    flag("seccomp-profile", "seccomp-profile", Text, "Seccomp profile: a file, builtin or unconfined"),
    flag("shutdown-timeout", "shutdown-timeout", Text, "Seconds containers get to stop (default 15)"),
    flag("tls", "tls", Switch, "=false: plain TCP on loopback is wanted; true needs --tlsverify"),
    flag("tlscacert", "tlscacert", Text, "Let in clients of this authority (default /etc/hako/ca.pem)"),
    flag("tlscert", "tlscert", Text, "TLS certificate (default /etc/hako/server-cert.pem)"),
    flag("tlskey", "tlskey", Text, "TLS key (default /etc/hako/server-key.pem)"),
    flag("tlsverify", "tlsverify", Switch, "Speak TLS on TCP sockets, with clients who show a certificate"),
];

/// Flags of dockerd whose other values hako cannot offer: name, key, the values that say what hako does anyway.
pub(super) const FIXED: &[(&str, &str, &[&str])] = &[
    ("default-runtime", "default-runtime", &["runc"]),
    ("exec-opt", "exec-opts", &["native.cgroupdriver=cgroupfs"]),
    ("ip-forward", "ip-forward", &["true"]),
    ("ip6tables", "ip6tables", &["true"]),
    ("live-restore", "live-restore", &["true"]),
    ("selinux-enabled", "selinux-enabled", &["false"]),
    ("storage-driver", "storage-driver", &["overlay2"]),
    ("userland-proxy", "userland-proxy", &["false"]),
];

/// What was given: key or flag name → values, in order.
pub(super) type Given = BTreeMap<&'static str, Vec<String>>;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// To serve with these flags, by name.
    Serve(Given),
    /// To print something.
    Say(String),
}

/// Reads the command line as pflag does.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let mut given = Given::new();
    let mut words = arguments.into_iter();
    while let Some(word) = words.next() {
        let word = text(word)?;
        match word.as_str() {
            "--help" | "-h" => return Ok(Request::Say(help())),
            "--version" | "-v" => return Ok(Request::Say(format!("hako version {}\n", env!("CARGO_PKG_VERSION")))),
            _ => {}
        }
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            take(&mut given, &format!("--{name}"), name, value.map(str::to_owned), &mut words)?;
        } else if let Some(cluster) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            take_shorts(&mut given, cluster, &mut words)?;
        } else {
            return Err(format!("\"hako daemon\" accepts no arguments, but was given \"{word}\""));
        }
    }
    Ok(Request::Serve(given))
}

/// `-D`, `-Hvalue`, `-H value`, `-DH value`.
fn take_shorts(given: &mut Given, cluster: &str, words: &mut impl Iterator<Item = OsString>) -> Result<(), String> {
    for (index, letter) in cluster.char_indices() {
        let found = FLAGS.iter().find(|flag| flag.short == Some(letter));
        let Some(flag) = found else { return Err(format!("unknown shorthand flag: '{letter}' in -{cluster}")) };
        let rest = &cluster[index + letter.len_utf8()..];
        let attached = rest.strip_prefix('=').unwrap_or(rest);
        if flag.kind != Switch || rest.starts_with('=') {
            let value = (!rest.is_empty()).then(|| attached.to_owned());
            return take(given, &format!("-{letter}"), flag.name, value, words);
        }
        take(given, &format!("-{letter}"), flag.name, None, words)?;
    }
    Ok(())
}

fn take(
    given: &mut Given,
    shown: &str,
    name: &str,
    value: Option<String>,
    words: &mut impl Iterator<Item = OsString>,
) -> Result<(), String> {
    let (name, kind) = find(name).ok_or_else(|| format!("unknown flag: {shown}"))?;
    let value = match value {
        Some(value) => value,
        None if kind == Switch => "true".to_owned(),
        None => text(words.next().ok_or_else(|| format!("flag needs an argument: {shown}"))?)?,
    };
    let values = given.entry(name).or_default();
    if kind != List {
        values.clear();
    }
    values.push(value);
    Ok(())
}

fn find(name: &str) -> Option<(&'static str, Kind)> {
    if let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) {
        return Some((flag.name, flag.kind));
    }
    let (fixed, _, values) = FIXED.iter().find(|(fixed, ..)| *fixed == name)?;
    let kind = if matches!(values, ["true" | "false"]) { Switch } else { List };
    Some((fixed, kind))
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string().map_err(|word| format!("argument is not UTF-8: {}", word.display()))
}

/// The help, in the layout of dockerd's.
fn help() -> String {
    let mut text =
        "\nUsage:  hako daemon [OPTIONS]\n\nA self-sufficient runtime for containers\n\nOptions:\n".to_owned();
    let width = FLAGS.iter().map(|flag| shown(flag).len()).max().unwrap_or(0) + 3;
    for flag in FLAGS {
        let _ = writeln!(text, "  {:<width$}{}", shown(flag), flag.help);
    }
    text.push_str(
        "\nExample:\n  hako daemon -H tcp://0.0.0.0:2376 --tlsverify -H unix:///run/hako/hako.sock --debug\n",
    );
    text
}

fn shown(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
    let kind = match flag.kind {
        Switch => "",
        Text => " string",
        List => " list",
    };
    format!("{short}--{}{kind}", flag.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str) -> Result<Vec<(&'static str, String)>, String> {
        match parse(words.split_whitespace().map(OsString::from))? {
            Request::Serve(given) => Ok(given.into_iter().map(|(name, values)| (name, values.join(" "))).collect()),
            Request::Say(text) => Err(text),
        }
    }

    #[test]
    fn flags_read_as_pflag_reads_them() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("-D", &[("debug", "true")]),
            ("-D=false", &[("debug", "false")]),
            ("--debug=false --debug", &[("debug", "true")]),
            ("-H unix:///a -Hunix:///b --host=fd://", &[("host", "unix:///a unix:///b fd://")]),
            ("-DH x", &[("debug", "true"), ("host", "x")]),
            ("--data-root /a --data-root=/b", &[("data-root", "/b")]),
            ("--userland-proxy=false", &[("userland-proxy", "false")]),
        ];
        for (words, expect) in table {
            let expect: Vec<_> = expect.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            assert_eq!(check(words), Ok(expect), "{words}");
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert_eq!(check("--swarm-thing").unwrap_err(), "unknown flag: --swarm-thing");
        assert_eq!(check("-Dx").unwrap_err(), "unknown shorthand flag: 'x' in -Dx");
        assert_eq!(check("--bip").unwrap_err(), "flag needs an argument: --bip");
        assert!(check("extra").unwrap_err().contains("accepts no arguments"));
    }

    #[test]
    fn the_help_fits_a_terminal() {
        for line in help().lines() {
            assert!(line.len() <= 110, "{line}");
        }
        assert!(check("--help").unwrap_err().starts_with("\nUsage:  hako daemon"));
    }
}
