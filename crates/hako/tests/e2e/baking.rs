//! `hako bake`: files that describe builds, and what becomes of them.

use std::path::{Path, PathBuf};

use crate::house::{Ended, House, finish};
use crate::registry::Registry;

/// A folder of the house with these files.
fn folder(house: &House, files: &[(&str, &str)]) -> PathBuf {
    let dir = house.path().join("baking");
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn bake(house: &House, dir: &Path, words: &[&str]) -> Ended {
    let mut command = house.command(["bake"].iter().chain(words));
    finish(command.current_dir(dir).env_remove("SOURCE_DATE_EPOCH").output().unwrap())
}

fn baked(house: &House, dir: &Path, words: &[&str]) -> String {
    let ended = bake(house, dir, words);
    assert_eq!(ended.code, 0, "hako bake {words:?}\n{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

const FILE: &str = r#"
variable "TAG" { default = "one" }
function "name" {
  params = [what]
  result = "${what}:${TAG}"
}
group "default" { targets = ["app", "tool"] }
target "base" {
  context = "base"
}
target "common" {
  args = { MODE = upper("fast") }
}
target "app" {
  inherits = ["common"]
  contexts = { base = "target:base" }
  dockerfile-inline = <<EOT
FROM base
ARG MODE
RUN echo $MODE >> /word
CMD ["cat", "/word"]
EOT
  tags = [name("app")]
}
target "tool" {
  name = "tool-${version}"
  matrix = { version = ["1", "2"] }
  context = "tool"
  args = { VERSION = version }
  tags = ["tool:${version}"]
}
"#;

#[test]
fn targets_become_images() {
    let house = House::new();
    let dir = folder(
        &house,
        &[
            ("docker-bake.hcl", FILE),
            ("base/Dockerfile", "FROM busybox\nRUN echo base > /word\n"),
            ("tool/Dockerfile", "FROM busybox\nARG VERSION\nENV VERSION=$VERSION\n"),
        ],
    );
    baked(&house, &dir, &["--metadata-file", "told.json"]);
    assert_eq!(house.ok(["run", "--rm", "app:one"]), "base\nFAST");
    assert_eq!(house.inspect("tool:2", "{{index .Config.Env 1}}"), "VERSION=2");
    let told: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("told.json")).unwrap()).unwrap();
    assert_eq!(told["app"]["containerimage.config.digest"], house.inspect("app:one", "{{.Id}}").as_str());
    assert_eq!(told["tool-1"]["image.name"], "docker.io/library/tool:1");
    baked(&house, &dir, &["app", "--set", "*.args.MODE=slow", "--set", "app.tags=app:two"]);
    assert_eq!(house.ok(["run", "--rm", "app:two"]), "base\nslow");
    let files = baked(&house, &dir, &["tool-1", "--set", "tool-1.output=type=local,dest=out", "--print"]);
    assert!(files.contains("\"dest\": \"out\""), "{files}");
    let unknown = bake(&house, &dir, &["nothing"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("failed to find target nothing"), "{}", unknown.stderr);
    let none = bake(&house, &dir.join("base"), &[]);
    assert!(none.code == 1 && none.stderr.contains("couldn't find a bake definition"), "{}", none.stderr);
}

#[test]
fn services_are_targets() {
    let house = House::empty();
    let system = "name: proj
services:
  web:
    image: me/web:1
    build:
      context: ./web
      dockerfile: D
      args: {A: \"1\"}
      cache_from: [me/web:cache]
      platforms: [linux/amd64, linux/arm64]
      secrets: [tok]
      extra_hosts: [\"one:10.0.0.1\"]
      tags: [\"a:1\"]
      additional_contexts: {svc: \"service:api\"}
      x-bake: {tags: [\"ct:1\"], output: type=docker}
  api:
    build: ./api
  none:
    image: busybox
secrets:
  tok: {file: ./tok.txt}
";
    let dir = folder(&house, &[("compose.yaml", system), ("web/D", ""), ("api/Dockerfile", ""), ("tok.txt", "")]);
    let printed: serde_json::Value = serde_json::from_str(&baked(&house, &dir, &["--print"])).unwrap();
    let expect = serde_json::json!({
        "group": {"default": {"targets": ["api", "web"]}},
        "target": {
            "api": {"context": "api", "dockerfile": "Dockerfile"},
            "web": {
                "context": "web",
                "contexts": {"svc": "target:api"},
                "dockerfile": "D",
                "args": {"A": "1"},
                "tags": ["a:1", "ct:1"],
                "cache-from": [{"ref": "me/web:cache", "type": "registry"}],
                "secret": [{"id": "tok", "src": "tok.txt"}],
                "platforms": ["linux/amd64", "linux/arm64"],
                "output": [{"type": "docker"}],
                "extra-hosts": {"one": "10.0.0.1"},
            },
        },
    });
    assert_eq!(printed, expect, "{printed:#}");
}

#[test]
fn builds_are_pushed() {
    let house = House::new();
    let registry = Registry::start();
    let name = format!("{}/app:1", registry.address());
    let file = format!("target \"default\" {{\n  tags = [\"{name}\"]\n}}\n");
    let dir = folder(&house, &[("docker-bake.hcl", &file), ("Dockerfile", "FROM busybox\nRUN echo hi > /word\n")]);
    baked(&house, &dir, &["--push"]);
    house.ok(["rmi", &name]);
    assert_eq!(house.ok(["run", "--rm", &name, "cat", "/word"]), "hi");
    let other = format!("{}/app:2", registry.address());
    house.ok(["build", "-q", "--push", "-t", &other, dir.to_str().unwrap()]);
    house.ok(["rmi", &other]);
    house.ok(["pull", "-q", &other]);
    let said = house.fails(1, ["build", "--push", dir.to_str().unwrap()]);
    assert!(said.contains("tag is needed when pushing to registry"), "{said}");
}
