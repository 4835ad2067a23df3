//! Devices that vendors describe: CDI files, `--device vendor.com/class=name`, `--gpus`.

use std::os::unix::fs::PermissionsExt;

use crate::house::House;

/// A house whose daemon looks for descriptions in a directory of its own.
fn house(files: &[(&str, &str)]) -> House {
    let house = House::empty();
    let directory = house.path().join("cdi");
    std::fs::create_dir_all(&directory).unwrap();
    for (name, text) in files {
        std::fs::write(directory.join(name), text.replace("HOUSE", &house.path().display().to_string())).unwrap();
    }
    house.configure(&format!(r#"{{"cdi-spec-dirs": ["{}"]}}"#, directory.display()));
    house.import_busybox();
    house
}

const VENDOR: &str = r#"{"cdiVersion": "0.6.0", "kind": "vendor.com/device", "devices": [
    {"name": "foo", "containerEdits": {
        "env": ["FOO=bar"], "deviceNodes": [{"path": "/dev/foo", "hostPath": "/dev/null"}],
        "mounts": [{"hostPath": "HOUSE/cdi", "containerPath": "/vendor", "options": ["ro", "bind"]}]}},
    {"name": "hooked", "containerEdits": {
        "hooks": [{"hookName": "createContainer", "path": "HOUSE/hook", "args": ["hook", "HOUSE/told"]}]}}]}"#;

#[test]
fn a_described_device_comes_with_what_its_vendor_says() {
    let house = house(&[("vendor.json", VENDOR), ("broken.yaml", "a: [")]);
    let look = "echo $FOO; echo gone >/dev/foo && ls /dev/foo /vendor; touch /vendor/x 2>/dev/null || echo read-only";
    let seen = house.ok(["run", "--rm", "--device", "vendor.com/device=foo", "busybox", "sh", "-c", look]);
    assert_eq!(
        seen.split_whitespace().collect::<Vec<_>>(),
        ["bar", "/dev/foo", "/vendor:", "broken.yaml", "vendor.json", "read-only"]
    );
    let refused = house.fails(125, ["run", "--device", "vendor.com/device=nope", "busybox", "true"]);
    assert!(
        refused.contains("CDI device injection failed: unresolvable CDI devices vendor.com/device=nope"),
        "{refused}"
    );
    let info = house.ok(["info"]);
    assert!(info.contains(" Discovered Devices:\n  cdi: vendor.com/device=foo\n"), "{info}");
}

#[test]
fn a_described_device_may_have_a_program_run() {
    let house = house(&[("vendor.json", VENDOR)]);
    let hook = house.path().join("hook");
    std::fs::write(&hook, "#!/bin/sh\ncat > \"$1\"; cp /proc/self/mounts \"$1.mounts\"\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    // With the description gone, restarts keep what the container was started with.
    assert_eq!(
        house.ok(["run", "--name", "box", "--device", "vendor.com/device=hooked", "busybox", "echo", "runs"]),
        "runs"
    );
    let told = std::fs::read_to_string(house.path().join("told")).unwrap();
    let id = house.inspect("box", "{{.Id}}");
    assert!(told.contains(&format!("\"id\":\"{id}\"")) && told.contains("\"status\":\"creating\""), "{told}");
    let bundle = house.data().join("containers").join(&id);
    assert!(told.contains(&bundle.display().to_string()) && bundle.join("config.json").exists(), "{told}");
    let mounts = std::fs::read_to_string(house.path().join("told.mounts")).unwrap();
    assert!(mounts.contains(&format!("{}/rootfs overlay", bundle.display())), "{mounts}");
}

#[test]
fn graphics_processors_are_what_nvidia_describes() {
    let gpu = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: all\n  containerEdits:\n    env: [GPU=all]\n- name: \"1\"\n  containerEdits: {env: [GPU=one]}\n";
    let house = house(&[("nvidia.yaml", gpu)]);
    assert_eq!(house.ok(["run", "--rm", "--gpus", "all", "busybox", "sh", "-c", "echo $GPU"]), "all");
    assert_eq!(house.ok(["run", "--rm", "--gpus", "device=1", "busybox", "sh", "-c", "echo $GPU"]), "one");
    std::fs::remove_file(house.path().join("cdi/nvidia.yaml")).unwrap();
    let refused = house.fails(125, ["run", "--gpus", "all", "busybox", "true"]);
    assert!(refused.contains("could not select device driver \"\" with capabilities: [[gpu]]"), "{refused}");
    // As in Docker, the wish is kept; only a start must be able to serve it.
    house.ok(["create", "--name", "wish", "--gpus", "all", "busybox", "true"]);
    assert_eq!(
        house.inspect("wish", "{{json .HostConfig.DeviceRequests}}"),
        r#"[{"Driver":"","Count":-1,"DeviceIDs":null,"Capabilities":[["gpu"]],"Options":{}}]"#
    );
}
