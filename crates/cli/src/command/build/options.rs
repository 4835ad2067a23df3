//! From flags to an order.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_api::build::Order;
use hako_model::annotation::Annotations;
use hako_model::attestation::Attestations;
use hako_model::container::Resources;
use hako_model::platform::Platform;
use hako_model::reference::Reference;

use super::context::Plan;
use crate::creation::environment::pairs;
use crate::creation::ulimit;
use crate::failure::{Failure, path_failure};
use crate::flags::Matches;

/// The largest secret, as BuildKit has it.
const SECRET: usize = 500 << 10;

/// Variables of the caller that builds take over as arguments, as Docker does.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What Docker's client says of words of its old builder that come to nothing.
const GONE: [(&str, &str); 3] = [
    ("isolation", "isolation flag is deprecated with BuildKit."),
    ("security-opt", "security-opt flag is deprecated. \"RUN --security=insecure\" should be used with BuildKit."),
    (
        "squash",
        "experimental flag squash is removed with BuildKit. You should squash inside build using a multi-stage \
         Dockerfile for efficiency.",
    ),
];

/// Says what comes to nothing.
pub(super) fn warn(found: &Matches) -> Result<(), Failure> {
    let mut given = GONE.iter().filter(|(flag, _)| found.given(flag));
    given.try_for_each(|(_, words)| crate::output::complain(format!("WARNING: {words}\n")))
}

/// The order of a command line; contexts are added later.
pub(super) fn order(found: &Matches, plan: &Plan) -> Result<Order, Failure> {
    let arguments = arguments(&found.list("build-arg"));
    let epoch = match arguments.get(EPOCH).cloned().or_else(|| std::env::var(EPOCH).ok()) {
        Some(text) if !text.is_empty() => {
            Some(text.parse().map_err(|_| Failure::local(format!("invalid {EPOCH}: {text}")))?)
        }
        _ => None,
    };
    let tags: Vec<String> = found.strings("tag");
    for tag in &tags {
        Reference::parse(tag).map_err(|error| Failure::local(format!("invalid tag {tag:?}: {error}")))?;
    }
    let (platform, platforms) = platforms(&found.list("platform"))?;
    Ok(Order {
        dockerfile: plan.dockerfile.clone(),
        name: plan.name.clone(),
        target: found.text("target").to_owned(),
        arguments,
        labels: pairs(found.list("label").into_iter()),
        platform,
        platforms,
        attest: attestations(found)?,
        annotations: annotations(&found.list("annotation"))?,
        no_cache: found.on("no-cache"),
        no_cache_filter: found.strings("no-cache-filter"),
        pull: found.on("pull"),
        network: found.text("network").to_owned(),
        host_network: allowed(&found.list("allow"))?,
        hosts: hosts(&found.list("add-host"))?,
        shm_size: found.bytes("shm-size"),
        resources: resources(found)?,
        tags,
        keep: true,
        contexts: BTreeMap::new(),
        secrets: secrets(&found.list("secret"))?,
        epoch,
        ..Order::default()
    })
}

/// Whether steps may ask for the host's network: the one thing that can be allowed.
fn allowed(flags: &[&str]) -> Result<bool, Failure> {
    let more = |flag: &&&str| **flag != "network.host";
    match flags.iter().find(more) {
        None => Ok(!flags.is_empty()),
        Some(other) if !matches!(*other, "security.insecure" | "device") && !other.starts_with("device=") => {
            Err(Failure::local(format!("ERROR: failed to build: unknown entitlement {other}")))
        }
        Some(other) => {
            let why = "steps have no more privileges than containers; network.host is all that can be allowed";
            Err(Failure::local(format!("--allow {other} is not supported: {why}")))
        }
    }
}

/// The platform, or the platforms if they are several, each once and in its usual spelling.
fn platforms(flags: &[&str]) -> Result<(String, Vec<String>), Failure> {
    let mut all: Vec<String> = Vec::new();
    for text in flags.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty()) {
        let platform = match text {
            "local" => Platform::host(),
            text => Platform::parse(text).map_err(|error| Failure::local(error.to_string()))?,
        };
        if !all.contains(&platform.to_string()) {
            all.push(platform.to_string());
        }
    }
    Ok(if all.len() > 1 { (String::new(), all) } else { (all.pop().unwrap_or_default(), Vec::new()) })
}

/// What is to be attested; the short flags have the last word.
fn attestations(found: &Matches) -> Result<Attestations, Failure> {
    let refused = |why: String| Failure::local(format!("ERROR: {why}"));
    let mut wanted = Attestations::default();
    for text in found.list("attest") {
        wanted.take(text).map_err(refused)?;
    }
    for kind in ["provenance", "sbom"] {
        if let Some(text) = found.text_given(kind) {
            wanted.set(kind, text).map_err(refused)?;
        }
    }
    Ok(wanted)
}

/// What stands in the image's manifest and index besides.
fn annotations(flags: &[&str]) -> Result<Annotations, Failure> {
    let mut all = Annotations::default();
    for flag in flags {
        all.take(flag).map_err(|why| Failure::local(format!("ERROR: failed to build: parse annotations: {why}")))?;
    }
    Ok(all)
}

/// `NAME=value`, or `NAME` for the caller's own value; without one it is not given at all.
fn arguments(flags: &[&str]) -> BTreeMap<String, String> {
    let argument = |text: &&str| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some(((*text).to_owned(), std::env::var(text).ok()?)),
    };
    flags.iter().filter_map(argument).collect()
}

/// What steps may use at most. Docker's builder takes those of memory and processors, and forgets them.
fn resources(found: &Matches) -> Result<Resources, Failure> {
    let limits = found.list("ulimit").iter().map(|text| ulimit(text)).collect::<Result<Vec<_>, _>>()?;
    Ok(Resources {
        ulimits: Some(limits).filter(|limits| !limits.is_empty()),
        cgroup_parent: found.text("cgroup-parent").to_owned(),
        memory: found.bytes("memory"),
        memory_swap: found.bytes("memory-swap"),
        cpu_shares: found.int("cpu-shares"),
        cpu_period: found.int("cpu-period"),
        cpu_quota: found.int("cpu-quota"),
        cpuset_cpus: found.text("cpuset-cpus").to_owned(),
        cpuset_mems: found.text("cpuset-mems").to_owned(),
        ..Resources::default()
    })
}

/// `--ulimit`, looked at with the other flags.
pub(super) fn check_ulimit(text: &str) -> Result<(), String> {
    ulimit(text).map(drop)
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`, addresses also in brackets, as `NAME:ADDRESS`.
fn hosts(flags: &[&str]) -> Result<Vec<String>, Failure> {
    let host = |text: &str| {
        let (name, address) = text.split_once('=').or_else(|| text.split_once(':'))?;
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let known = address == "host-gateway" || bare.parse::<std::net::IpAddr>().is_ok();
        (!name.is_empty() && known).then(|| format!("{name}:{bare}"))
    };
    let host =
        |text: &str| host(text).ok_or_else(|| Failure::local(format!("ERROR: failed to build: invalid host {text}")));
    flags.iter().filter(|text| !text.is_empty()).flat_map(|text| text.split(',')).map(host).collect()
}

/// `id=NAME[,src=FILE|,env=VARIABLE]`.
fn secrets(flags: &[&str]) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    for flag in flags {
        let (id, bytes) = secret(flag)?;
        if bytes.len() > SECRET {
            return Err(Failure::local(format!("secret {id} too big: at most {SECRET} bytes")));
        }
        found.insert(id, STANDARD.encode(bytes));
    }
    Ok(found)
}

fn secret(flag: &str) -> Result<(String, Vec<u8>), Failure> {
    let (mut id, mut file, mut variable, mut kind) = ("", "", "", "");
    for field in flag.split(',') {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| Failure::local(format!("invalid field '{field}' must be a key=value pair")))?;
        match key.to_ascii_lowercase().as_str() {
            "id" => id = value,
            "src" | "source" => file = value,
            "env" => variable = value,
            "type" if matches!(value, "file" | "env") => kind = value,
            _ => return Err(Failure::local(format!("unexpected key '{key}' in '{field}'"))),
        }
    }
    if kind == "env" && variable.is_empty() {
        (variable, file) = (file, "");
    }
    if id.is_empty() {
        return Err(Failure::local(format!("secret {flag}: it needs an id")));
    }
    let named = if variable.is_empty() { id } else { variable };
    if file.is_empty()
        && let Some(value) = std::env::var_os(named)
    {
        use std::os::unix::ffi::OsStringExt;
        return Ok((id.to_owned(), value.into_vec()));
    }
    if !variable.is_empty() {
        return Err(Failure::local(format!("secret {id}: variable {variable} is not set")));
    }
    let path = if file.is_empty() { id } else { file };
    let bytes = std::fs::read(path).map_err(|error| path_failure("open", path, &error))?;
    Ok((id.to_owned(), bytes))
}

/// `ID[=SOCKET]`: the sockets of SSH agents, held open for a daemon on this host.
pub(super) fn agents(flags: &[&str]) -> Result<BTreeMap<String, OwnedFd>, Failure> {
    use rustix::fs::{FileType, Mode, OFlags};
    let mut found = BTreeMap::new();
    for flag in flags {
        let (id, path) = flag.split_once('=').unwrap_or((flag, ""));
        let path = match path {
            "" => std::env::var("SSH_AUTH_SOCK")
                .map_err(|_| Failure::local(format!("--ssh {id}: SSH_AUTH_SOCK is not set: name a socket")))?,
            path => path.to_owned(),
        };
        let failed = |error: std::io::Error| path_failure("open", &path, &error);
        let socket = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let socket = socket.map_err(|errno| failed(errno.into()))?;
        let about = rustix::fs::fstat(&socket).map_err(|errno| failed(errno.into()))?;
        if FileType::from_raw_mode(about.st_mode) != FileType::Socket {
            let why = "it is no socket: start an agent, add the key to it, and name the agent's socket";
            return Err(Failure::local(format!("--ssh {id}={path}: {why}")));
        }
        found.insert(id.to_owned(), socket);
    }
    Ok(found)
}

pub(crate) fn check_progress(text: &str) -> Result<(), String> {
    match text {
        "auto" | "none" | "plain" | "quiet" | "rawjson" | "tty" | "" => Ok(()),
        other => Err(format!("invalid progress mode {other}: want auto, plain, quiet, rawjson or tty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_hosts_are_read_as_buildx_reads_them() {
        let read = |text: &str| hosts(&[text]).map_err(|error| error.to_string());
        let table: [(&str, &[&str]); 10] = [
            ("a:1.2.3.4", &["a:1.2.3.4"]),
            ("a=1.2.3.4", &["a:1.2.3.4"]),
            ("a:::1", &["a:::1"]),
            ("a=::1", &["a:::1"]),
            ("a:[::1]", &["a:::1"]),
            ("a=[::1]", &["a:::1"]),
            ("a:host-gateway", &["a:host-gateway"]),
            ("a=host-gateway", &["a:host-gateway"]),
            ("a:1.2.3.4,b=::2", &["a:1.2.3.4", "b:::2"]),
            ("", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for wrong in ["a", "a:", ":1.2.3.4", "a:bogus", "a=bogus", "a:1.2.3", "a:1.2.3.4,b"] {
            let own = wrong.rsplit(',').next().unwrap();
            assert_eq!(read(wrong).unwrap_err(), format!("ERROR: failed to build: invalid host {own}"));
        }
    }

    #[test]
    fn only_what_exists_can_be_allowed() {
        let read = |text: &str| allowed(&[text]).map_err(|error| error.to_string());
        assert_eq!(read("network.host"), Ok(true));
        assert_eq!(read("bogus").unwrap_err(), "ERROR: failed to build: unknown entitlement bogus");
        assert!(read("security.insecure").unwrap_err().contains("is not supported"));
    }
}
