//! The JSON of real daemons, read and written back unchanged.

use serde_json::{Value, json};

use super::*;

/// What docker 28's `inspect` shows for a plain container.
fn plain_host_config() -> Value {
    serde_json::from_str(
        r#"{
        "Binds": null, "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": "bridge", "PortBindings": {}, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": false, "VolumeDriver": "", "VolumesFrom": null, "ConsoleSize": [30, 120], "CapAdd": null,
        "CapDrop": null, "CgroupnsMode": "private", "Dns": [], "DnsOptions": [], "DnsSearch": [], "ExtraHosts": null,
        "GroupAdd": null, "IpcMode": "private", "Cgroup": "", "Links": null, "OomScoreAdj": 0, "PidMode": "",
        "Privileged": false, "PublishAllPorts": false, "ReadonlyRootfs": false, "SecurityOpt": null, "UTSMode": "",
        "UsernsMode": "", "ShmSize": 67108864, "Runtime": "runc", "Isolation": "", "CpuShares": 0, "Memory": 0,
        "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": [], "BlkioDeviceReadBps": [],
        "BlkioDeviceWriteBps": [], "BlkioDeviceReadIOps": [], "BlkioDeviceWriteIOps": [], "CpuPeriod": 0,
        "CpuQuota": 0, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "",
        "Devices": [], "DeviceCgroupRules": null, "DeviceRequests": null, "MemoryReservation": 0, "MemorySwap": 0,
        "MemorySwappiness": null, "OomKillDisable": false, "PidsLimit": null, "Ulimits": [], "CpuCount": 0,
        "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
        "MaskedPaths": ["/proc/asound"], "ReadonlyPaths": ["/proc/bus"]
    }"#,
    )
    .unwrap()
}

#[test]
fn a_plain_host_config_comes_back_as_it_went() {
    let parsed: HostConfig = serde_json::from_value(plain_host_config()).unwrap();
    assert_eq!(serde_json::to_value(&parsed).unwrap(), plain_host_config());
}

#[test]
fn an_empty_config_shows_what_docker_shows() {
    let shown = serde_json::to_value(Config::default()).unwrap();
    let expect = json!({
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false,
        "AttachStderr": false, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": null, "Cmd": null,
        "Image": "", "Volumes": null, "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": null
    });
    assert_eq!(shown, expect);
}

#[test]
fn a_command_may_be_one_string() {
    let parsed: Config = serde_json::from_value(json!({"Cmd": "true", "Entrypoint": ["sh", "-c"]})).unwrap();
    assert_eq!(parsed.cmd, Some(vec!["true".to_owned()]));
    assert_eq!(parsed.entrypoint, Some(vec!["sh".to_owned(), "-c".to_owned()]));
}

#[test]
fn a_mount_omits_what_it_does_not_say() {
    let mount = Mount {
        kind: MountKind::Tmpfs,
        target: "/t".to_owned(),
        tmpfs_options: Some(TmpfsOptions { size_bytes: 4096, ..TmpfsOptions::default() }),
        ..Mount::default()
    };
    let expect = json!({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096}});
    assert_eq!(serde_json::to_value(mount).unwrap(), expect);
}

#[test]
fn a_port_without_bindings_stays_null() {
    let ports = json!({"53/udp": [{"HostIp": "", "HostPort": "5353"}], "80/tcp": null});
    let parsed: PortMap = serde_json::from_value(ports.clone()).unwrap();
    assert_eq!(parsed["80/tcp"], None);
    assert_eq!(serde_json::to_value(parsed).unwrap(), ports);
}

#[test]
fn health_times_are_nanoseconds_and_zero_is_silent() {
    let check = HealthConfig { test: vec!["NONE".to_owned()], interval: 30_000_000_000, ..HealthConfig::default() };
    assert_eq!(serde_json::to_value(check).unwrap(), json!({"Test": ["NONE"], "Interval": 30_000_000_000_i64}));
}
