//! Which endpoint a method and path mean. Docker's paths have at most one variable part; an image's name may contain
//! slashes, so patterns are prefix and suffix around it, and fixed paths win over variable ones by standing first.

use hako_api::version::ApiVersion;
use http::Method;
use percent_encoding::percent_decode_str;

use crate::failure::Failure;

/// Everything the API can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Ping,
    Version,
    Info,
    Auth,
    Events,
    DiskUsage,
    Metrics,
    ContainerList,
    ContainerCreate,
    ContainerPrune,
    ContainerInspect,
    ContainerTop,
    ContainerLogs,
    ContainerChanges,
    ContainerExport,
    ContainerStats,
    ContainerResize,
    ContainerStart,
    ContainerStop,
    ContainerSucceed,
    ContainerRestart,
    ContainerKill,
    ContainerUpdate,
    ContainerRename,
    ContainerPause,
    ContainerUnpause,
    ContainerAttach,
    ContainerAttachSocket,
    ContainerWait,
    ContainerRemove,
    Checkpoints(OnCheckpoints),
    ArchiveStat,
    ArchiveGet,
    ArchivePut,
    Commit,
    ExecCreate,
    ExecStart,
    ExecResize,
    ExecInspect,
    ImageList,
    ImageCreate,
    ImageSearch,
    ImagePrune,
    ImageSave,
    ImageSaveOne,
    ImageLoad,
    ImageInspect,
    ImageHistory,
    ImagePush,
    ImageTag,
    ImageRemove,
    Distribution,
    VolumeList,
    VolumeCreate,
    VolumePrune,
    VolumeInspect,
    VolumeRemove,
    NetworkList,
    NetworkInspect,
    NetworkCreate,
    /// What only hako has.
    Own(Own),
    NetworkConnect,
    NetworkDisconnect,
    NetworkPrune,
    NetworkRemove,
    Build,
    BuildCancel,
    BuildOrder,
    BuildFiles,
    BuildPrune,
    Session,
    Grpc,
    PluginList,
    /// Never done.
    Refused(Refusal),
}

/// What can be done about a container's checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnCheckpoints {
    List,
    Create,
    Remove,
}

/// Why something is never done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Only the manager of a cluster does it.
    NoManager,
    /// Only a member of a cluster does it.
    NoMember,
    /// Only volumes of a cluster can be changed.
    NoCluster,
    /// There is no plugin, of whatever name.
    NoPlugin,
    /// Docker has it and hako does not have it yet, or never will.
    Absent(&'static str),
}

/// What only hako can be asked, below `/hako`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    NameTrace,
    JobList,
    PortReach,
    Why,
    SecretList,
    SecretCreate,
    SecretInspect,
    SecretRemove,
    ImageSave,
    ImageLoad,
}

/// A request's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    /// The variable part of the path, decoded; empty when there is none.
    pub(crate) name: String,
    pub(crate) version: ApiVersion,
}

struct Pattern {
    method: Method,
    /// At most one `*`, which stands for one or more characters.
    path: &'static str,
    endpoint: Endpoint,
}

const fn get(path: &'static str, endpoint: Endpoint) -> Pattern {
    Pattern { method: Method::GET, path, endpoint }
}

const fn post(path: &'static str, endpoint: Endpoint) -> Pattern {
    Pattern { method: Method::POST, path, endpoint }
}

const fn delete(path: &'static str, endpoint: Endpoint) -> Pattern {
    Pattern { method: Method::DELETE, path, endpoint }
}

const fn head(path: &'static str, endpoint: Endpoint) -> Pattern {
    Pattern { method: Method::HEAD, path, endpoint }
}

const fn put(path: &'static str, endpoint: Endpoint) -> Pattern {
    Pattern { method: Method::PUT, path, endpoint }
}

const PLUGINS: Endpoint = Endpoint::Refused(Refusal::Absent("plugins"));
const NO_PLUGIN: Endpoint = Endpoint::Refused(Refusal::NoPlugin);
const SWARM: Endpoint = Endpoint::Refused(Refusal::NoManager);

const PATTERNS: &[Pattern] = &[
    get("/_ping", Endpoint::Ping),
    head("/_ping", Endpoint::Ping),
    get("/version", Endpoint::Version),
    get("/info", Endpoint::Info),
    post("/auth", Endpoint::Auth),
    get("/events", Endpoint::Events),
    get("/system/df", Endpoint::DiskUsage),
    get("/metrics", Endpoint::Metrics),
    get("/containers/json", Endpoint::ContainerList),
    get("/containers/ps", Endpoint::ContainerList),
    post("/containers/create", Endpoint::ContainerCreate),
    post("/containers/prune", Endpoint::ContainerPrune),
    get("/containers/*/json", Endpoint::ContainerInspect),
    get("/containers/*/top", Endpoint::ContainerTop),
    get("/containers/*/logs", Endpoint::ContainerLogs),
    get("/containers/*/changes", Endpoint::ContainerChanges),
    get("/containers/*/export", Endpoint::ContainerExport),
    get("/containers/*/stats", Endpoint::ContainerStats),
    get("/containers/*/attach/ws", Endpoint::ContainerAttachSocket),
    post("/containers/*/resize", Endpoint::ContainerResize),
    post("/containers/*/start", Endpoint::ContainerStart),
    post("/containers/*/stop", Endpoint::ContainerStop),
    post("/containers/*/restart", Endpoint::ContainerRestart),
    post("/containers/*/kill", Endpoint::ContainerKill),
    post("/containers/*/update", Endpoint::ContainerUpdate),
    post("/containers/*/rename", Endpoint::ContainerRename),
    post("/containers/*/pause", Endpoint::ContainerPause),
    post("/containers/*/unpause", Endpoint::ContainerUnpause),
    post("/containers/*/attach", Endpoint::ContainerAttach),
    post("/containers/*/wait", Endpoint::ContainerWait),
    post("/containers/*/exec", Endpoint::ExecCreate),
    head("/containers/*/archive", Endpoint::ArchiveStat),
    get("/containers/*/archive", Endpoint::ArchiveGet),
    put("/containers/*/archive", Endpoint::ArchivePut),
    get("/containers/*/checkpoints", Endpoint::Checkpoints(OnCheckpoints::List)),
    post("/containers/*/checkpoints", Endpoint::Checkpoints(OnCheckpoints::Create)),
    delete("/containers/*", Endpoint::ContainerRemove),
    post("/commit", Endpoint::Commit),
    post("/exec/*/start", Endpoint::ExecStart),
    post("/exec/*/resize", Endpoint::ExecResize),
    get("/exec/*/json", Endpoint::ExecInspect),
    get("/images/json", Endpoint::ImageList),
    post("/images/create", Endpoint::ImageCreate),
    get("/images/search", Endpoint::ImageSearch),
    post("/images/prune", Endpoint::ImagePrune),
    get("/images/get", Endpoint::ImageSave),
    post("/images/load", Endpoint::ImageLoad),
    get("/images/*/get", Endpoint::ImageSaveOne),
    get("/images/*/json", Endpoint::ImageInspect),
    get("/images/*/history", Endpoint::ImageHistory),
    post("/images/*/push", Endpoint::ImagePush),
    post("/images/*/tag", Endpoint::ImageTag),
    delete("/images/*", Endpoint::ImageRemove),
    get("/distribution/*/json", Endpoint::Distribution),
    get("/volumes", Endpoint::VolumeList),
    post("/volumes/create", Endpoint::VolumeCreate),
    post("/volumes/prune", Endpoint::VolumePrune),
    get("/volumes/*", Endpoint::VolumeInspect),
    delete("/volumes/*", Endpoint::VolumeRemove),
    put("/volumes/*", Endpoint::Refused(Refusal::NoCluster)),
    get("/networks", Endpoint::NetworkList),
    get("/networks/", Endpoint::NetworkList),
    post("/networks/create", Endpoint::NetworkCreate),
    post("/networks/prune", Endpoint::NetworkPrune),
    post("/networks/*/connect", Endpoint::NetworkConnect),
    post("/networks/*/disconnect", Endpoint::NetworkDisconnect),
    get("/networks/*", Endpoint::NetworkInspect),
    delete("/networks/*", Endpoint::NetworkRemove),
    get("/hako/trace", Endpoint::Own(Own::NameTrace)),
    get("/hako/jobs", Endpoint::Own(Own::JobList)),
    post("/hako/succeed/*", Endpoint::ContainerSucceed),
    get("/hako/reach/*", Endpoint::Own(Own::PortReach)),
    get("/hako/why/*", Endpoint::Own(Own::Why)),
    get("/hako/secrets", Endpoint::Own(Own::SecretList)),
    get("/hako/secrets/*", Endpoint::Own(Own::SecretInspect)),
    post("/hako/secrets/create", Endpoint::Own(Own::SecretCreate)),
    delete("/hako/secrets/*", Endpoint::Own(Own::SecretRemove)),
    post("/hako/save", Endpoint::Own(Own::ImageSave)),
    post("/hako/load", Endpoint::Own(Own::ImageLoad)),
    post("/build", Endpoint::Build),
    post("/build/prune", Endpoint::BuildPrune),
    post("/build/cancel", Endpoint::BuildCancel),
    post("/hako/build", Endpoint::BuildOrder),
    get("/hako/build/files", Endpoint::BuildFiles),
    post("/session", Endpoint::Session),
    post("/grpc", Endpoint::Grpc),
    get("/plugins", Endpoint::PluginList),
    get("/plugins/privileges", PLUGINS),
    get("/plugins/*/json", NO_PLUGIN),
    delete("/plugins/*", NO_PLUGIN),
    post("/plugins/pull", PLUGINS),
    post("/plugins/create", PLUGINS),
    post("/plugins/*/enable", NO_PLUGIN),
    post("/plugins/*/disable", NO_PLUGIN),
    post("/plugins/*/upgrade", NO_PLUGIN),
    post("/plugins/*/push", NO_PLUGIN),
    post("/plugins/*/set", NO_PLUGIN),
    get("/swarm", SWARM),
    post("/swarm/leave", Endpoint::Refused(Refusal::NoMember)),
    get("/swarm/*", SWARM),
    post("/swarm/*", SWARM),
    get("/nodes", SWARM),
    get("/nodes/*", SWARM),
    delete("/nodes/*", SWARM),
    post("/nodes/*", SWARM),
    get("/services", SWARM),
    get("/services/*", SWARM),
    delete("/services/*", SWARM),
    post("/services/*", SWARM),
    get("/tasks", SWARM),
    get("/tasks/*", SWARM),
    get("/secrets", SWARM),
    get("/secrets/*", SWARM),
    delete("/secrets/*", SWARM),
    post("/secrets/*", SWARM),
    get("/configs", SWARM),
    get("/configs/*", SWARM),
    delete("/configs/*", SWARM),
    post("/configs/*", SWARM),
];

/// Finds the endpoint.
pub(crate) fn route(method: &Method, path: &str) -> Result<Route, Failure> {
    let (version, rest) = split_version(path)?;
    let decoded = percent_decode_str(rest).decode_utf8().map_err(|_| Failure::page_not_found())?;
    if *method == Method::DELETE
        && let Some(both) = decoded.strip_prefix("/containers/").filter(|rest| rest.contains("/checkpoints/"))
    {
        // The one path with two variable parts.
        return Ok(Route { endpoint: Endpoint::Checkpoints(OnCheckpoints::Remove), name: both.to_owned(), version });
    }
    let found = PATTERNS.iter().filter(|pattern| pattern.method == *method);
    for pattern in found {
        if let Some(name) = capture(pattern.path, &decoded) {
            return Ok(Route { endpoint: pattern.endpoint, name: name.to_owned(), version });
        }
    }
    Err(Failure::page_not_found())
}

/// What the star stands for; empty text when the pattern has none and matches.
fn capture<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    match pattern.split_once('*') {
        None => (pattern == path).then_some(""),
        Some((prefix, suffix)) => {
            let name = path.strip_prefix(prefix)?.strip_suffix(suffix)?;
            let name = name.strip_prefix('/').unwrap_or(name);
            (!name.is_empty()).then_some(name)
        }
    }
}

/// Takes `/v1.24` and the like off the front.
fn split_version(path: &str) -> Result<(ApiVersion, &str), Failure> {
    let Some((text, rest)) = versioned(path) else { return Ok((ApiVersion::CURRENT, path)) };
    let asked: ApiVersion = text.parse().map_err(|_| Failure::page_not_found())?;
    if asked > ApiVersion::CURRENT {
        let maximum = ApiVersion::CURRENT;
        let message = format!("client version {text} is too new. Maximum supported API version is {maximum}");
        return Err(Failure::invalid(message));
    }
    if asked < ApiVersion::MINIMUM {
        let minimum = ApiVersion::MINIMUM;
        return Err(Failure::invalid(format!(
            "client version {text} is too old. Minimum supported API version is {minimum}, \
             please upgrade your client to a newer version"
        )));
    }
    Ok((asked, rest))
}

fn versioned(path: &str) -> Option<(&str, &str)> {
    let after = path.strip_prefix("/v")?;
    let end = after.find('/')?;
    let (text, rest) = after.split_at(end);
    let is_version = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_version.then_some((text, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(method: Method, path: &str) -> Option<(Endpoint, String)> {
        route(&method, path).ok().map(|route| (route.endpoint, route.name))
    }

    #[test]
    fn paths_mean_what_docker_says() {
        let table = [
            (Method::GET, "/_ping", Endpoint::Ping, ""),
            (Method::GET, "/v1.24/_ping", Endpoint::Ping, ""),
            (Method::GET, "/v1.51/containers/json", Endpoint::ContainerList, ""),
            (Method::GET, "/containers/json/json", Endpoint::ContainerInspect, "json"),
            (Method::GET, "/containers/%2Fweb/json", Endpoint::ContainerInspect, "web"),
            (Method::GET, "/images/library/nginx:1/json", Endpoint::ImageInspect, "library/nginx:1"),
            (Method::GET, "/images/h:5000%2Fa%2Fb@sha256:00/history", Endpoint::ImageHistory, "h:5000/a/b@sha256:00"),
            (Method::GET, "/images/get", Endpoint::ImageSave, ""),
            (Method::GET, "/images/json/get", Endpoint::ImageSaveOne, "json"),
            (Method::DELETE, "/images/a/b/json", Endpoint::ImageRemove, "a/b/json"),
            (Method::DELETE, "/v1.30/volumes/v", Endpoint::VolumeRemove, "v"),
            (Method::POST, "/v1.51/build", Endpoint::Build, ""),
            (Method::POST, "/swarm/init", SWARM, "init"),
        ];
        for (method, path, endpoint, name) in table {
            assert_eq!(check(method, path), Some((endpoint, name.to_owned())), "{path}");
        }
    }

    /// The paths of Docker's own description of the API, 1.51.
    #[test]
    fn every_path_of_the_description_means_something() {
        let described = include_str!("router/engine-api-1.51.txt");
        assert_eq!(described.lines().count(), 107);
        for line in described.lines() {
            let (method, path) = line.split_once(' ').unwrap();
            let path = format!("/v1.51{}", path.replace("{id}", "any").replace("{name}", "any"));
            assert!(check(method.parse().unwrap(), &path).is_some(), "{line}");
        }
    }

    #[test]
    fn other_paths_mean_nothing() {
        let table = [
            (Method::GET, "/"),
            (Method::GET, ""),
            (Method::GET, "/v1.51"),
            (Method::POST, "/containers/json"),
            (Method::GET, "/containers//json"),
            (Method::GET, "/v1.2.3/info"),
            (Method::GET, "/vx/info"),
            (Method::GET, "/images/%ff/json"),
            (Method::HEAD, "/info"),
        ];
        for (method, path) in table {
            assert_eq!(check(method, path), None, "{path}");
        }
    }

    #[test]
    fn versions_out_of_range_are_refused_in_dockers_words() {
        let message = |path| route(&Method::GET, path).unwrap_err().message;
        let new = "client version 1.99 is too new. Maximum supported API version is 1.51";
        assert_eq!(message("/v1.99/info"), new);
        let old = "client version 1.23 is too old. Minimum supported API version is 1.24, \
                   please upgrade your client to a newer version";
        assert_eq!(message("/v1.23/info"), old);
    }

    proptest! {
        #[test]
        fn any_path_is_answered(path in "\\PC{0,80}") {
            let _ = route(&Method::GET, &path);
            let _ = route(&Method::POST, &format!("/v1.51/{path}"));
        }
    }
}
