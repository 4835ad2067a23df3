//! What older versions of the API ask and show otherwise. Bodies are made older before they are used, answers after they
//! are made; everything else knows only the newest version.

use hako_api::container::CreateBody;
use hako_api::inspect;
use hako_api::system::Info;
use hako_api::version::ApiVersion;
use hako_model::container::MountKind;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// Length of the id that a container once was known by on its networks.
const SHORT: usize = 12;

/// A create request as a client of `version` means it, and what it is to be warned of.
pub(crate) fn creation(body: &mut CreateBody, version: ApiVersion) -> Result<Vec<String>, Failure> {
    let networks = body.networking_config.as_ref().and_then(|config| config.endpoints_config.as_ref());
    if version < ApiVersion::minor(44) {
        let names: Vec<&str> = networks.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        if names.len() > 1 {
            let text = format!("Container cannot be created with multiple network endpoints: {}", names.join(", "));
            return Err(Failure::invalid(text));
        }
    }
    let host = body.host_config.get_or_insert_default();
    if version < ApiVersion::minor(40) {
        host.resources.pids_limit = None;
        if host.ipc_mode.is_empty() {
            "shareable".clone_into(&mut host.ipc_mode);
        }
    }
    if version < ApiVersion::minor(43) {
        host.annotations = None;
    }
    let within_volume = |mount: &hako_model::container::Mount| {
        mount.volume_options.as_ref().is_some_and(|options| !options.subpath.is_empty())
    };
    if version < ApiVersion::minor(45) && host.mounts.iter().flatten().any(within_volume) {
        return Err(Failure::invalid("VolumeOptions.Subpath needs API v1.45 or newer"));
    }
    let mounts_image = host.mounts.iter().flatten().any(|mount| mount.kind == MountKind::Image);
    if version < ApiVersion::minor(48) && mounts_image {
        return Err(Failure::invalid("Mount type \"Image\" needs API v1.48 or newer"));
    }
    let mut warnings = Vec::new();
    if version >= ApiVersion::minor(44) && !body.config.mac_address.is_empty() {
        warnings.push(
            "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
                .to_owned(),
        );
    }
    Ok(warnings)
}

/// Listed containers: until 1.46 nothing was told of their annotations.
pub(crate) fn listed(found: &mut [hako_api::container::Summary], version: ApiVersion) {
    if version < ApiVersion::minor(46) {
        found.iter_mut().for_each(|summary| summary.host_config.annotations = None);
    }
}

/// An inspected container: until 1.45 its short id was among its aliases on networks with names.
pub(crate) fn inspected(found: &mut inspect::Container, version: ApiVersion) {
    if version >= ApiVersion::minor(45) {
        return;
    }
    let short = found.id.get(..SHORT).unwrap_or(&found.id).to_owned();
    for (name, endpoint) in &mut found.network_settings.networks {
        if !matches!(name.as_str(), "bridge" | "host" | "none") {
            endpoint.aliases.get_or_insert_default().push(short.clone());
        }
    }
}

/// Whether a version tells of an event: that an image was made is news since 1.46.
pub(crate) fn tells(event: &hako_api::system::Event, version: ApiVersion) -> bool {
    version >= ApiVersion::minor(46) || event.kind != hako_model::event::Kind::Image || event.action != "create"
}

/// What `info` told once, and what it did not tell yet.
pub(crate) fn info(info: &mut Info, version: ApiVersion) {
    let before = |minor| version < ApiVersion::minor(minor);
    let mut once = |name: &str, value: Value| drop(info.former.insert(name.to_owned(), value));
    if before(50) {
        once("BridgeNfIptables", json!(false));
        once("BridgeNfIp6tables", json!(false));
        info.discovered_devices.clear();
    }
    if before(49) {
        info.firewall_backend = None;
        for commit in [&mut info.containerd_commit, &mut info.runc_commit, &mut info.init_commit] {
            commit.expected = Some(commit.id.clone()).filter(|id| !id.is_empty());
        }
    }
    if before(47) {
        let former = &mut info.registry_config.former;
        for name in ["AllowNondistributableArtifactsCIDRs", "AllowNondistributableArtifactsHostnames"] {
            former.insert(name.to_owned(), Value::Null);
        }
    }
    if before(42) && info.memory_limit {
        once("KernelMemory", json!(true));
    }
    if before(25) {
        let plain =
            |text: &String| text.split(',').next().map(|name| name.replacen("name=", "", 1)).unwrap_or_default();
        info.security_options = info.security_options.iter().map(plain).collect();
    }
}

/// The empty configuration of the container that an image was made of, until 1.45.
pub(crate) fn empty_config() -> Value {
    let texts = ["Hostname", "Domainname", "User", "Image", "WorkingDir"].map(|name| (name, json!("")));
    let switches = ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"];
    let nothing = ["Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"];
    let switches = switches.map(|name| (name, json!(false)));
    let nothing = nothing.map(|name| (name, Value::Null));
    let all = texts.into_iter().chain(switches).chain(nothing);
    Value::Object(all.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: Value) -> CreateBody {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn creation_means_what_it_meant() {
        let two = || body(json!({"Image": "x", "NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}}));
        let refused = creation(&mut two(), ApiVersion::minor(43)).unwrap_err().message;
        assert_eq!(refused, "Container cannot be created with multiple network endpoints: a, b");
        assert!(creation(&mut two(), ApiVersion::minor(44)).unwrap().is_empty());
        let limited = || body(json!({"Image": "x", "HostConfig": {"PidsLimit": 5}}));
        for (minor, ipc, pids) in [(39, "shareable", None), (40, "", Some(5)), (51, "", Some(5))] {
            let mut body = limited();
            creation(&mut body, ApiVersion::minor(minor)).unwrap();
            let host = body.host_config.unwrap();
            assert_eq!((host.ipc_mode.as_str(), host.resources.pids_limit), (ipc, pids), "1.{minor}");
        }
        let within = || {
            body(json!({"Image": "x", "HostConfig": {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/v",
                "VolumeOptions": {"Subpath": "a"}}]}}))
        };
        let refused = creation(&mut within(), ApiVersion::minor(44)).unwrap_err().message;
        assert_eq!(refused, "VolumeOptions.Subpath needs API v1.45 or newer");
        assert!(creation(&mut within(), ApiVersion::minor(45)).is_ok());
        let named = || body(json!({"Image": "x", "MacAddress": "02:42:ac:11:00:99"}));
        assert_eq!(creation(&mut named(), ApiVersion::minor(43)).unwrap().len(), 0);
        assert_eq!(creation(&mut named(), ApiVersion::minor(44)).unwrap().len(), 1);
    }

    #[test]
    fn info_tells_what_it_told() {
        let full = || Info {
            security_options: vec!["name=seccomp,profile=builtin".to_owned()],
            firewall_backend: Some(hako_api::system::FirewallBackend::default()),
            discovered_devices: vec![hako_api::system::DeviceInfo::default()],
            memory_limit: true,
            ..Info::default()
        };
        for (minor, options, bridge, kernel, devices, firewall, nondistributable) in [
            (24, "seccomp", true, true, false, false, true),
            (41, "name=seccomp,profile=builtin", true, true, false, false, true),
            (42, "name=seccomp,profile=builtin", true, false, false, false, true),
            (47, "name=seccomp,profile=builtin", true, false, false, false, false),
            (49, "name=seccomp,profile=builtin", true, false, false, true, false),
            (51, "name=seccomp,profile=builtin", false, false, true, true, false),
        ] {
            let mut told = full();
            info(&mut told, ApiVersion::minor(minor));
            let told = serde_json::to_value(told).unwrap();
            let has = |pointer: &str| told.pointer(pointer).is_some();
            assert_eq!(told["SecurityOptions"][0], options, "1.{minor}");
            assert_eq!(has("/BridgeNfIptables"), bridge, "1.{minor}");
            assert_eq!(has("/KernelMemory"), kernel, "1.{minor}");
            assert_eq!(has("/DiscoveredDevices"), devices, "1.{minor}");
            assert_eq!(has("/FirewallBackend"), firewall, "1.{minor}");
            assert_eq!(has("/RegistryConfig/AllowNondistributableArtifactsCIDRs"), nondistributable, "1.{minor}");
        }
    }

    #[test]
    fn that_an_image_was_made_is_news() {
        use hako_model::event::Kind;
        let event = |kind, action: &str| {
            hako_api::system::Event::new(kind, action, "x", Default::default(), hako_model::time::Timestamp::ZERO)
        };
        for (kind, action, minor, told) in [
            (Kind::Image, "create", 45, false),
            (Kind::Image, "create", 46, true),
            (Kind::Image, "tag", 45, true),
            (Kind::Container, "create", 24, true),
        ] {
            assert_eq!(tells(&event(kind, action), ApiVersion::minor(minor)), told, "{action} 1.{minor}");
        }
    }

    #[test]
    fn a_short_id_was_an_alias() {
        let found = || {
            let mut found = inspect::Container { id: "0123456789abcdef".to_owned(), ..inspect::Container::default() };
            for name in ["bridge", "own"] {
                found.network_settings.networks.insert(name.to_owned(), Default::default());
            }
            found
        };
        for (minor, aliases) in [(44, Some(vec!["0123456789ab".to_owned()])), (45, None)] {
            let mut container = found();
            inspected(&mut container, ApiVersion::minor(minor));
            assert_eq!(container.network_settings.networks["own"].aliases, aliases);
            assert_eq!(container.network_settings.networks["bridge"].aliases, None);
        }
    }
}
