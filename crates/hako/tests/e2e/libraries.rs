//! Libraries and tools that speak to Docker, unmodified, on hako's socket: what their users do first. The programs are
//! `tests/clients/first/*`. Where a library cannot be installed (there is no network, no Node), its test says so and
//! passes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::house::{HAKO, House, await_that, busybox_tar, finish, run_tool};

/// Where the programs are.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients")
}

/// Makes an environment once for all runs: a directory whose file `complete` says what was installed.
fn environment(name: &str, what: &str, install: impl FnOnce(&Path) -> Vec<Command>) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(name);
    std::fs::create_dir_all(&dir).unwrap();
    // Tests are threads of one process, and several processes may run.
    let lock = File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let complete = dir.join("complete");
    if std::fs::read_to_string(&complete).is_ok_and(|text| text == what) {
        return Some(dir);
    }
    for mut command in install(&dir) {
        match command.current_dir(&dir).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                eprintln!("skipped: {what} cannot be installed: {}", String::from_utf8_lossy(&output.stderr));
                return None;
            }
            Err(error) => {
                eprintln!("skipped: {what} cannot be installed: {:?}: {error}", command.get_program());
                return None;
            }
        }
    }
    std::fs::write(&complete, what).unwrap();
    Some(dir)
}

fn words(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn python() -> Option<PathBuf> {
    let packages = [
        "docker==7.1.0",
        "python-on-whales==0.81.0",
        "pytest==9.2.0",
        "pytest-docker==3.2.6",
        "testcontainers==4.15.0",
    ];
    let dir = environment("python", &packages.join(" "), |_| {
        vec![
            words("python3", &["-m", "venv", "venv"]),
            words("venv/bin/pip", &[&["install", "-q"][..], &packages].concat()),
        ]
    });
    dir.map(|dir| dir.join("venv/bin/python"))
}

fn node() -> Option<PathBuf> {
    let packages = ["dockerode@5", "testcontainers@10", "@devcontainers/cli@0"];
    environment("node", &packages.join(" "), |_| {
        let flags = ["install", "--no-audit", "--no-fund", "--no-save"];
        vec![words("npm", &[&flags[..], &packages].concat())]
    })
}

/// Runs a program against the house's socket.
fn run(house: &House, program: &Path, args: &[&str], more: &[(&str, &str)]) {
    let mut command = Command::new(program);
    house.at_home(&mut command);
    let socket = format!("unix://{}", house.socket().display());
    command.args(args).current_dir(house.path()).env_remove("HAKO_ROOT").env("DOCKER_HOST", socket);
    command.envs(more.iter().copied());
    let ended = finish(command.output().unwrap());
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
}

/// A selection of docker-py's own integration tests: those that have found something here.
#[test]
fn docker_pys_own_tests() {
    let runner = sources().join("docker-py/run");
    let fetch = |dir: &Path| {
        let mut fetch = words(runner.to_str().unwrap(), &["--fetch"]);
        fetch.env("CARGO_TARGET_DIR", dir);
        vec![fetch]
    };
    let Some(dir) = environment("docker-py", "docker-py's tests", fetch) else { return };
    let selected = "ExecDemuxTest or exec_start_socket or detach_with_config_file or restart_policy or attach_no_stream \
                    or remove_link or streamed_logs or with_links or ipv6_address or load_error or commit_with_changes \
                    or volume_driver or healthcheck or stderr_data or prune";
    let ended = Command::new(&runner)
        .args(["-k", selected])
        .env("CARGO_TARGET_DIR", &dir)
        .env("HAKO", HAKO)
        .env_remove("HAKO_ROOT")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{said}\n{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn python_on_whales() {
    let Some(python) = python() else { return };
    let house = House::new();
    run(&house, &python, &[sources().join("first/whales.py").to_str().unwrap()], &[]);
}

#[test]
fn dockerode() {
    let Some(modules) = node() else { return };
    let house = House::new();
    let modules = modules.join("node_modules");
    let program = sources().join("first/dockerode.js");
    run(&house, Path::new("node"), &[program.to_str().unwrap()], &[("NODE_PATH", modules.to_str().unwrap())]);
}

/// The image of the stand-in for testcontainers' reaper: busybox, a script and hako.
fn make_reaper(house: &House) {
    let root = house.path().join("reaper");
    std::fs::create_dir(&root).unwrap();
    run_tool("tar", ["-C", root.to_str().unwrap(), "-xf", busybox_tar().to_str().unwrap()]);
    std::fs::copy(sources().join("reaper/reaper"), root.join("bin/reaper")).unwrap();
    std::fs::copy(HAKO, root.join("bin/hako")).unwrap();
    let tar = house.path().join("reaper.tar");
    run_tool("tar", ["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
    let changes = ["--change", "ENTRYPOINT [\"/bin/reaper\", \"--listen\"]", "--change", "EXPOSE 8080"];
    house.ok(["import"].into_iter().chain(changes).chain([tar.to_str().unwrap(), "reaper:1"]));
}

fn with_reaper(house: &House, program: &Path, args: &[&str], more: &[(&str, &str)]) {
    make_reaper(house);
    let socket = house.socket().display().to_string();
    // The tests may themselves run in a container of somebody's; published ports are on this side nevertheless.
    let reaper = [
        ("RYUK_CONTAINER_IMAGE", "reaper:1"),
        ("TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE", socket.as_str()),
        ("TESTCONTAINERS_HOST_OVERRIDE", "localhost"),
    ];
    run(house, program, args, &[&reaper[..], more].concat());
    // The program left a container behind; the reaper sees that its connection is gone, and ends itself, or is ended.
    await_that("the reaper's work", || {
        !house.ok(["ps", "-a", "--format", "{{.Image}}"]).lines().any(|image| image == "busybox")
    });
}

#[test]
fn testcontainers_for_python() {
    let Some(python) = python() else { return };
    let house = House::new();
    with_reaper(&house, &python, &[sources().join("first/containers.py").to_str().unwrap()], &[]);
}

#[test]
fn testcontainers_for_node() {
    let Some(modules) = node() else { return };
    let house = House::new();
    // An ES module is looked for beside its importer.
    let program = modules.join("containers.mjs");
    std::fs::copy(sources().join("first/containers.mjs"), &program).unwrap();
    with_reaper(&house, Path::new("node"), &[program.to_str().unwrap()], &[]);
}

#[test]
fn pytest_docker() {
    let Some(python) = python() else { return };
    let house = House::new();
    let tests = house.path().join("tests");
    std::fs::create_dir(&tests).unwrap();
    std::fs::write(
        tests.join("docker-compose.yml"),
        "services:\n  web:\n    image: busybox\n    command: sh -c \"nc -ll -p 80 -e echo hello\"\n    ports: [\"80\"]\n",
    )
    .unwrap();
    std::fs::copy(sources().join("first/pytest_docker.py"), tests.join("test_web.py")).unwrap();
    run(&house, &python, &["-m", "pytest", "-q", tests.to_str().unwrap()], &[("HAKO", HAKO)]);
    assert_eq!(house.ok(["ps", "-aq"]), "");
}

#[test]
fn the_devcontainers_cli() {
    let Some(modules) = node() else { return };
    let house = House::new();
    let project = house.path().join("project");
    std::fs::create_dir_all(project.join(".devcontainer")).unwrap();
    std::fs::write(
        project.join(".devcontainer/devcontainer.json"),
        r#"{"image": "busybox", "overrideCommand": true, "remoteUser": "root", "updateRemoteUserUID": false,
            "containerEnv": {"A": "b"}, "postCreateCommand": "echo made > /tmp/made"}"#,
    )
    .unwrap();
    std::fs::write(project.join("file"), "of the project").unwrap();
    let cli = modules.join("node_modules/.bin/devcontainer");
    let folder = project.to_str().unwrap();
    run(&house, &cli, &["up", "--workspace-folder", folder], &[]);
    let mut exec = Command::new(&cli);
    house.at_home(&mut exec);
    exec.env("DOCKER_HOST", format!("unix://{}", house.socket().display()));
    exec.args(["exec", "--workspace-folder", folder, "sh", "-c", "echo $A; cat file /tmp/made"]);
    let ended = finish(exec.output().unwrap());
    assert_eq!(ended.stdout.replace('\r', ""), "b\nof the projectmade\n", "{}", ended.stderr);
}

#[test]
fn bollard() {
    let manifest = "[package]\nname = \"first\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[[bin]]\nname = \"first\"\npath = \"main.rs\"\n\n\
                    [dependencies]\nbollard = \"=0.19.4\"\nfutures-util = \"0.3\"\ntokio = { version = \"1\", features = [\"macros\", \"rt\"] }\n\n[workspace]\n";
    let source = std::fs::read_to_string(sources().join("first/bollard.rs")).unwrap();
    let Some(dir) = environment("bollard", &format!("bollard 0.19.4\n{source}"), |dir| {
        std::fs::write(dir.join("Cargo.toml"), manifest).unwrap();
        std::fs::write(dir.join("main.rs"), &source).unwrap();
        // Installed, not built: the settings of a checkout above this directory say where built programs lie.
        let mut build = words("cargo", &["install", "--quiet", "--debug", "--path", ".", "--root", "."]);
        build.env("CARGO_TARGET_DIR", dir.join("target"));
        vec![build]
    }) else {
        return;
    };
    let house = House::new();
    run(&house, &dir.join("bin/first"), &[], &[]);
}
