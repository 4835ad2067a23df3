//! `manifest`: lists of images, put together without a daemon and pushed to a real registry.

use crate::house::House;
use crate::registry::Registry;

/// Two images of one repository, for two architectures.
fn pushed(house: &House, registry: &Registry) -> String {
    let base = format!("{}/team/app", registry.address());
    for (tag, platform) in [("amd", "linux/amd64"), ("arm", "linux/arm64")] {
        let tar = house.path().join("layer.tar");
        std::fs::write(&tar, vec![0; 1024]).unwrap();
        house.ok(["import", "--platform", platform, tar.to_str().unwrap(), &format!("{base}:{tag}")]);
        house.ok(["push", "-q", &format!("{base}:{tag}")]);
    }
    base
}

#[test]
fn a_list_is_made_annotated_pushed_and_removed() {
    let house = House::empty();
    let registry = Registry::start();
    let base = pushed(&house, &registry);
    let (list, amd, arm) = (format!("{base}:both"), format!("{base}:amd"), format!("{base}:arm"));
    assert_eq!(house.ok(["manifest", "create", &list, &amd, &arm]), format!("Created manifest list {list}"));
    let refused = house.fails(1, ["manifest", "create", &list, &amd]);
    assert!(refused.contains("refusing to amend an existing manifest list with no --amend flag"), "{refused}");
    house.ok(["manifest", "annotate", &list, &arm, "--variant", "v8", "--os-features", "a,b"]);
    let refused = house.fails(1, ["manifest", "annotate", &list, &arm, "--os", "foo", "--arch", "bar"]);
    assert!(refused.contains("unsupported os/arch combination: foo/bar"), "{refused}");

    let local = house.ok(["manifest", "inspect", &list]);
    let parsed: serde_json::Value = serde_json::from_str(&local).unwrap();
    assert_eq!(parsed["manifests"][0]["platform"], serde_json::json!({"architecture": "amd64", "os": "linux"}));
    assert_eq!(parsed["manifests"][1]["platform"]["variant"], "v8");
    let digest = house.ok(["manifest", "push", "--purge", &list]);
    assert!(digest.starts_with("sha256:"), "{digest}");
    // From the registry now: the same list, of the same bytes.
    assert_eq!(house.ok(["manifest", "inspect", &list]), local);
    let verbose: serde_json::Value = serde_json::from_str(&house.ok(["manifest", "inspect", "-v", &list])).unwrap();
    assert_eq!(verbose.as_array().map(Vec::len), Some(2));
    let one: serde_json::Value = serde_json::from_str(&house.ok(["manifest", "inspect", &amd])).unwrap();
    assert_eq!(one["schemaVersion"], 2);
    house.ok(["pull", "-q", &list]);
    let refused = house.fails(1, ["manifest", "rm", &list]);
    assert!(refused.contains("No such manifest"), "{refused}");
    let refused = house.fails(1, ["manifest", "inspect", &format!("{base}:none")]);
    assert!(refused.contains(&format!("no such manifest: {base}:none")), "{refused}");
}

#[test]
fn a_list_of_another_repository_takes_its_images_along() {
    let house = House::empty();
    let registry = Registry::start();
    let base = pushed(&house, &registry);
    let list = format!("{}/other/app:2", registry.address());
    house.ok(["manifest", "create", &list, &format!("{base}:amd"), &format!("{base}:arm")]);
    let said = house.ok(["manifest", "push", &list]);
    assert_eq!(said.matches("Pushed ref ").count(), 2, "{said}");
    house.ok(["pull", "-q", &list]);
    house.ok(["manifest", "rm", &list]);
    let refused = house.fails(1, ["manifest", "create", &list, &list]);
    assert!(refused.trim_end().ends_with("is a manifest list"), "{refused}");
}
