//! The members of request bodies as the API spells them. Docker reads them whatever their case, and clients rely on it.

use serde_json::Value;

/// All members, in the order of their lower-case spellings.
const MEMBERS: &[&str] = &[
    "Aliases",
    "Annotations",
    "ArgsEscaped",
    "Attachable",
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "AutoRemove",
    "AuxiliaryAddresses",
    "BindOptions",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeight",
    "BlkioWeightDevice",
    "Capabilities",
    "CapAdd",
    "CapDrop",
    "Cgroup",
    "CgroupnsMode",
    "CgroupParent",
    "CgroupPermissions",
    "ClusterVolumeSpec",
    "Cmd",
    "Config",
    "ConfigFrom",
    "ConfigOnly",
    "Consistency",
    "ConsoleSize",
    "Container",
    "ContainerIDFile",
    "Count",
    "CpuCount",
    "CpuPercent",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "CpuShares",
    "CreateMountpoint",
    "Destination",
    "Detach",
    "DetachKeys",
    "DeviceCgroupRules",
    "DeviceIDs",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DNSNames",
    "DnsOptions",
    "DnsSearch",
    "Domainname",
    "Driver",
    "DriverConfig",
    "DriverOpts",
    "EnableIPv4",
    "EnableIPv6",
    "EndpointConfig",
    "EndpointID",
    "EndpointsConfig",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "ExtraHosts",
    "Force",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "GroupAdd",
    "GwPriority",
    "Hard",
    "Healthcheck",
    "HostConfig",
    "HostIp",
    "Hostname",
    "HostPort",
    "Image",
    "ImageOptions",
    "Ingress",
    "Init",
    "Internal",
    "Interval",
    "IOMaximumBandwidth",
    "IOMaximumIOps",
    "IPAddress",
    "IPAM",
    "IPAMConfig",
    "IpcMode",
    "IPPrefixLen",
    "IPRange",
    "IPv4Address",
    "IPv6Address",
    "IPv6Gateway",
    "Isolation",
    "KernelMemoryTCP",
    "Labels",
    "LinkLocalIPs",
    "Links",
    "LogConfig",
    "MacAddress",
    "MaskedPaths",
    "MaximumRetryCount",
    "Memory",
    "MemoryBytes",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "Mode",
    "Mounts",
    "Name",
    "NanoCpus",
    "Network",
    "NetworkDisabled",
    "NetworkID",
    "NetworkingConfig",
    "NetworkMode",
    "NoCopy",
    "NonRecursive",
    "OnBuild",
    "OomKillDisable",
    "OomScoreAdj",
    "OpenStdin",
    "Options",
    "Path",
    "PathInContainer",
    "PathOnHost",
    "PidMode",
    "Pids",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "Propagation",
    "PublishAllPorts",
    "Rate",
    "ReadOnly",
    "ReadOnlyForceRecursive",
    "ReadOnlyNonRecursive",
    "ReadonlyPaths",
    "ReadonlyRootfs",
    "RestartPolicy",
    "Retries",
    "Runtime",
    "RW",
    "Scope",
    "SecurityOpt",
    "Shell",
    "ShmSize",
    "SizeBytes",
    "Soft",
    "Source",
    "StartInterval",
    "StartPeriod",
    "StdinOnce",
    "StopSignal",
    "StopTimeout",
    "StorageOpt",
    "Subnet",
    "Subpath",
    "Sysctls",
    "Target",
    "Test",
    "Timeout",
    "Tmpfs",
    "TmpfsOptions",
    "Tty",
    "Type",
    "Ulimits",
    "User",
    "UsernsMode",
    "UTSMode",
    "VolumeDriver",
    "VolumeOptions",
    "Volumes",
    "VolumesFrom",
    "Weight",
    "WorkingDir",
];

/// Members whose value is an object of names that people chose: those are left as they are.
const OF_NAMES: &[&str] = &[
    "Annotations",
    "AuxiliaryAddresses",
    "Config",
    "DriverOpts",
    "Labels",
    "Options",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
];

/// Members whose value is an object with members of its own.
const OBJECTS: &[&str] = &[
    "BindOptions",
    "ClusterVolumeSpec",
    "ConfigFrom",
    "DriverConfig",
    "EndpointConfig",
    "Healthcheck",
    "HostConfig",
    "ImageOptions",
    "IPAM",
    "IPAMConfig",
    "LogConfig",
    "NetworkingConfig",
    "RestartPolicy",
    "TmpfsOptions",
    "VolumeOptions",
];

/// Members whose value is a list of such objects.
const LISTS_OF_OBJECTS: &[&str] = &[
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeightDevice",
    "Config",
    "DeviceRequests",
    "Devices",
    "Mounts",
    "PortBindings",
    "Ports",
    "Ulimits",
];

/// How the API spells a member; what it does not know stays as it is.
pub(super) fn spelled(name: &str) -> Option<&'static str> {
    let place = MEMBERS.binary_search_by(|known| lower(known).cmp(lower(name))).ok()?;
    Some(MEMBERS[place])
}

/// Whether the members of this member's value are names.
pub(super) fn holds_names(name: &str) -> bool {
    OF_NAMES.contains(&name)
}

/// Whether this member's value is an object with members of its own.
pub(super) fn is_object(name: &str) -> bool {
    OBJECTS.contains(&name)
}

/// Whether this member's value is a list of such objects.
pub(super) fn holds_objects(name: &str) -> bool {
    LISTS_OF_OBJECTS.contains(&name)
}

/// How many items this member's list has, however many were sent.
pub(super) fn length(name: &str) -> Option<usize> {
    (name == "ConsoleSize").then_some(2)
}

/// What Go makes of a `null` in this member's list.
pub(super) fn empty_item(name: &str) -> Value {
    match name {
        "Capabilities" => Value::Array(Vec::new()),
        "ConsoleSize" => Value::from(0),
        name if holds_objects(name) => Value::Object(serde_json::Map::new()),
        _ => Value::String(String::new()),
    }
}

fn lower(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(MEMBERS.is_sorted_by(|a, b| lower(a).lt(lower(b))));
    }

    #[test]
    fn any_case_is_the_apis() {
        for (given, expect) in
            [("detachKeys", Some("DetachKeys")), ("IMAGE", Some("Image")), ("nanocpus", Some("NanoCpus"))]
        {
            assert_eq!(spelled(given), expect);
        }
        assert_eq!(spelled("colour"), None);
    }
}
