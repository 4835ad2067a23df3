//! `hako bake`: files that describe builds, and what becomes of them.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::house::{Ended, House, finish, run_tool};
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
      ssh: [default, \"k=./key\"]
      ulimits: {nproc: {soft: 5, hard: 6}}
      shm_size: 1g
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
                "ssh": [{"id": "default"}, {"id": "k", "paths": ["key"]}],
                "shm-size": "1GiB",
                "ulimits": ["nproc=5:6"],
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

/// Serves the repositories below a directory by git's own protocol, as long as the tests run; gives the port.
pub(crate) fn serve_git(base: &Path) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let base = base.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let ends = (OwnedFd::from(stream.try_clone().unwrap()), OwnedFd::from(stream));
            let mut git = Command::new("git");
            git.args(["daemon", "--inetd", "--export-all", &format!("--base-path={}", base.display())]).arg(&base);
            // Several are asked at a time.
            let mut child = git.stdin(ends.0).stdout(ends.1).stderr(Stdio::null()).spawn().unwrap();
            std::thread::spawn(move || child.wait());
        }
    });
    port
}

/// Makes a repository of these files, or commits them to one.
pub(crate) fn repository(dir: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
    let git = |words: &[&str]| {
        run_tool("git", ["-C", dir.to_str().unwrap()].into_iter().chain(who).chain(words.iter().copied()))
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "files"]);
}

const AFAR: &str = r#"
target "default" {
  tags = ["afar:1"]
}
target "part" {
  context = "part"
  tags = ["afar:part"]
}
target "named" {
  contexts = { part = "part" }
  dockerfile-inline = "FROM busybox\nCOPY --from=part own /own\n"
  tags = ["afar:named"]
}
target "mine" {
  context = BAKE_CMD_CONTEXT
  dockerfile = "cwd://Mine.df"
  tags = ["afar:mine"]
}
target "beyond" {
  context = "../.."
  tags = ["afar:beyond"]
}
"#;

#[test]
fn definitions_lie_in_repositories_archives_and_files_elsewhere() {
    let house = House::new();
    let base = house.path().join("served");
    let repo = base.join("repo");
    let file = "FROM busybox\nCOPY . /c\n";
    repository(
        &repo,
        &[
            ("docker-bake.hcl", AFAR),
            ("Dockerfile", file),
            ("part/Dockerfile", file),
            ("part/own", "part's"),
            ("root", ""),
        ],
    );
    let address = format!("git://127.0.0.1:{}/repo", serve_git(&base));
    let dir = folder(&house, &[("Mine.df", "FROM busybox\nCOPY mine /mine\n"), ("mine", "caller's")]);
    baked(&house, &dir, &[&address, "default", "part", "named", "mine"]);
    assert_eq!(house.ok(["run", "--rm", "afar:1", "ls", "/c"]), "Dockerfile\ndocker-bake.hcl\npart\nroot");
    assert_eq!(house.ok(["run", "--rm", "afar:part", "ls", "/c"]), "Dockerfile\nown");
    assert_eq!(house.ok(["run", "--rm", "afar:named", "cat", "/own"]), "part's");
    assert_eq!(house.ok(["run", "--rm", "afar:mine", "cat", "/mine"]), "caller's");
    let printed = baked(&house, &dir, &[&address, "--print"]);
    assert!(printed.contains(&format!("\"context\": \"{address}\"")), "{printed}");
    baked(&house, &dir, &[&address, "beyond"]);
    assert!(house.ok(["run", "--rm", "afar:beyond", "ls", "/c"]).contains("root"), "nothing leads out of a repository");
    let none = bake(&house, &dir, &[&address, "-f", "none.hcl"]);
    assert!(none.stderr.contains("lstat none.hcl: no such file or directory"), "{}", none.stderr);
    // What is not the caller's own directory must be allowed, whoever wrote the definition.
    let outside = bake(&house, &dir, &[&address, "part", "--set", "part.contexts.x=cwd:///etc"]);
    assert!(outside.code == 1 && outside.stderr.contains("fs.read=../../../etc"), "{}", outside.stderr);
    // Only a first word is an address.
    let file = bake(&house, &dir, &["-f", &address]);
    assert!(file.stderr.contains(&format!("open {address}: no such file or directory")), "{}", file.stderr);
}

#[test]
fn repositories_bring_submodules_along_and_are_checked() {
    let house = House::new();
    let base = house.path().join("served");
    repository(&base.join("part"), &[("own", "part's")]);
    let whole = base.join("whole");
    repository(&whole, &[("Dockerfile", "FROM busybox\nCOPY . /c\n"), ("sub/deep", "deep")]);
    let port = serve_git(&base);
    let add = ["submodule", "--quiet", "add", &format!("git://127.0.0.1:{port}/part"), "mod"].map(str::to_owned);
    run_tool("git", ["-C".to_owned(), whole.display().to_string()].into_iter().chain(add));
    repository(&whole, &[("more", "")]);
    let commit = run_tool("git", ["-C", whole.to_str().unwrap(), "rev-parse", "HEAD"]).trim().to_owned();
    let address = format!("git://127.0.0.1:{port}/whole");
    house.ok(["build", "-q", "-t", "whole", &address]);
    assert_eq!(house.ok(["run", "--rm", "whole", "cat", "/c/mod/own"]), "part's");
    assert_eq!(house.ok(["run", "--rm", "whole", "ls", "-A", "/c/mod"]), "own", "nothing leads to a .git that is gone");
    house.ok(["build", "-q", "-t", "kept", "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", &address]);
    house.ok(["run", "--rm", "kept", "test", "-d", "/c/.git"]);
    let build = |line: &str| {
        let dir = folder(&house, &[("Dockerfile", &format!("FROM busybox\n{line}\n"))]);
        house.run(["build", "-t", "added", dir.to_str().unwrap()])
    };
    for line in [
        format!("ADD --checksum={commit} {address} /c"),
        format!("ADD --checksum={} {address} /c", &commit[..10]),
        format!("ADD {address}?subdir=sub&checksum={commit} /c"),
        format!("ADD --keep-git-dir=true {address}#main:sub /c"),
    ] {
        let ended = build(&line);
        assert_eq!(ended.code, 0, "{line}: {}", ended.stderr);
    }
    assert_eq!(house.ok(["run", "--rm", "added", "cat", "/c/deep"]), "deep");
    for (line, said) in [
        (format!("ADD --checksum={} {address} /c", "0".repeat(40)), format!("got {commit}")),
        (format!("ADD --checksum=sha256:00 {address} /c"), "expected hex commit hash".to_owned()),
        (format!("ADD {address}#nope /c"), "repository does not contain ref nope".to_owned()),
        (format!("ADD {address}#:nope /c"), "invalid subdir nope".to_owned()),
        ("ADD --checksum=sha256:00 http://127.0.0.1:1/f /c".to_owned(), "invalid checksum digest length".to_owned()),
        ("ADD --checksum=md5:00 http://127.0.0.1:1/f /c".to_owned(), "unsupported digest algorithm".to_owned()),
        ("ADD --checksum=sha256:00 Dockerfile /c".to_owned(), "checksum requires HTTP(S) or Git sources".to_owned()),
    ] {
        let ended = build(&line);
        assert!(ended.code == 1 && ended.stderr.contains(&said), "{line}: {}", ended.stderr);
    }
}
