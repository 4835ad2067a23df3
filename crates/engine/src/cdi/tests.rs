//! Requests against directories of descriptions.

use hako_supervisor::spec::{Process, Spec};

use super::*;

const FOO: &str = r#"{"cdiVersion": "0.6.0", "kind": "vendor.com/device",
    "devices": [
        {"name": "foo", "containerEdits": {"env": ["FOO=bar"], "deviceNodes": [{"path": "/dev/foo", "hostPath": "/dev/null"}],
            "mounts": [{"hostPath": "/etc/passwd", "containerPath": "/vendor/passwd", "options": ["ro", "bind"]}]}},
        {"name": "hooked", "containerEdits": {"hooks": [{"hookName": "poststop", "path": "/bin/true"}]}}],
    "containerEdits": {"env": ["ALL=1"]}}"#;
const GPU: &str = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: all\n  containerEdits: {env: [GPU=all]}\n- name: \"0\"\n  containerEdits: {env: [GPU=0]}\n- name: \"1\"\n  containerEdits: {env: [GPU=1]}\n";

struct Host {
    _dir: tempfile::TempDir,
    directories: Vec<PathBuf>,
}

fn host(files: &[(&str, &str)]) -> Host {
    let dir = tempfile::tempdir().unwrap();
    let directories: Vec<PathBuf> = ["etc", "run"].map(|name| dir.path().join(name)).into();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Host { _dir: dir, directories }
}

fn asked(driver: &str, ids: &[&str]) -> DeviceRequest {
    let ids = Some(ids.iter().map(|id| (*id).to_owned()).collect());
    DeviceRequest { driver: driver.to_owned(), device_ids: ids, ..DeviceRequest::default() }
}

fn gpus(count: i64, ids: &[&str]) -> DeviceRequest {
    let capabilities = Some(vec![vec!["gpu".to_owned()]]);
    DeviceRequest { count, capabilities, ..asked("", ids) }
}

fn applied(host: &Host, requests: &[DeviceRequest]) -> Result<Spec> {
    let process = Process { env: vec!["PATH=/bin".to_owned()], ..Process::default() };
    let mut spec = Spec { process: Some(process), ..Spec::default() };
    put_on(&mut spec, requests, &host.directories)?;
    Ok(spec)
}

fn refusal(host: &Host, requests: &[DeviceRequest]) -> String {
    applied(host, requests).unwrap_err().to_string()
}

#[test]
fn a_device_brings_variables_nodes_and_mounts() {
    let host = host(&[("etc/v.json", FOO)]);
    let spec = applied(&host, &[asked("cdi", &["vendor.com/device=foo"])]).unwrap();
    assert_eq!(spec.process.unwrap().env, ["PATH=/bin", "ALL=1", "FOO=bar"]);
    let linux = spec.linux.unwrap();
    let node = &linux.devices[0];
    assert_eq!((node.path.as_str(), node.kind.as_str(), node.major, node.minor), ("/dev/foo", "c", 1, 3));
    assert_eq!(linux.resources.unwrap().devices[0].access, "rwm");
    assert_eq!(spec.mounts[0].destination, "/vendor/passwd");
}

#[test]
fn what_nobody_describes_is_named() {
    let host = host(&[("etc/v.json", FOO), ("etc/bad.json", "{")]);
    let text = refusal(&host, &[asked("cdi", &["vendor.com/other=nope"]), asked("cdi", &["vendor.com/device=x"])]);
    let expect = "CDI device injection failed: unresolvable CDI devices vendor.com/other=nope, vendor.com/device=x";
    assert_eq!(text, expect);
    let text = refusal(&host, &[gpus(-1, &[])]);
    assert_eq!(text, "could not select device driver \"\" with capabilities: [[gpu]]");
    let text = refusal(&host, &[asked("cdi", &["vendor.com/device=hooked"])]);
    assert!(text.contains("a poststop hook (/bin/true) is not supported"), "{text}");
}

#[test]
fn graphics_processors_are_those_of_the_first_vendor() {
    let host = host(&[("etc/nvidia.yaml", GPU)]);
    let env = |request: DeviceRequest| applied(&host, &[request]).unwrap().process.unwrap().env.pop().unwrap();
    assert_eq!(env(gpus(-1, &[])), "GPU=all");
    assert_eq!(env(gpus(2, &[])), "GPU=1");
    assert_eq!(env(gpus(0, &["0"])), "GPU=0");
    assert_eq!(env(DeviceRequest { driver: "nvidia".into(), ..gpus(-1, &[]) }), "GPU=all");
    assert!(refusal(&host, &[DeviceRequest { driver: "amd".into(), ..gpus(-1, &[]) }]).contains("driver \"amd\""));
    assert!(refusal(&host, &[gpus(3, &[])]).ends_with("nvidia.com/gpu=2"));
}

#[test]
fn the_later_directory_has_the_last_word_and_two_files_of_one_none() {
    let other = GPU.replace("GPU=0", "GPU=zero");
    let host = host(&[("etc/n.yaml", GPU), ("run/n.yaml", &other)]);
    let spec = applied(&host, &[gpus(0, &["0"])]).unwrap();
    assert_eq!(spec.process.unwrap().env[1], "GPU=zero");
    let twice = self::host(&[("etc/a.yaml", GPU), ("etc/b.yaml", &other)]);
    assert!(refusal(&twice, &[asked("cdi", &["nvidia.com/gpu=0"])]).contains("unresolvable"));
}
