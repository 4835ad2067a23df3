//! The verbs of `compose` that look at a project or reach into it; where programs read the output, it is compared with
//! docker compose's.

use std::process::{Command, Stdio};

use crate::compose::{Described, docker_compose};
use crate::house::{House, await_that, finish, signal};
use crate::registry::Registry;

const SHOP: &str = "\
services:
  db:
    image: busybox
    command: sh -c 'echo ready; exec sleep 600'
    volumes: [stock:/data]
    stop_grace_period: 0s
  web:
    image: busybox
    command: sh -c 'while read line; do echo \"got $$line\"; done; exec sleep 600'
    stdin_open: true
    ports: ['8080:80']
    depends_on: [db]
    stop_grace_period: 0s
volumes: {stock: }
";

fn shop(house: &House) -> Described<'_> {
    let shop = Described::new(house, SHOP);
    shop.ok(&["up", "-d"]);
    shop
}

#[test]
fn files_go_in_and_out() {
    let house = House::new();
    let shop = shop(&house);
    std::fs::write(shop.directory.join("price"), "7").unwrap();
    shop.ok(&["cp", "price", "db:/tmp/price"]);
    assert_eq!(shop.ok(&["exec", "-T", "db", "cat", "/tmp/price"]), "7");
    shop.ok(&["cp", "db:/tmp/price", "copied"]);
    assert_eq!(std::fs::read_to_string(shop.directory.join("copied")).unwrap(), "7");
    assert!(shop.run(&["cp", "nobody:/x", "."]).stderr.contains("no container found for service \"nobody\""));
    shop.ok(&["export", "-o", "db.tar", "db"]);
    let listed = crate::house::run_tool("tar", ["-tf", shop.directory.join("db.tar").to_str().unwrap()]);
    assert!(listed.lines().any(|line| line.ends_with("tmp/price")), "the file system is in the archive");
    shop.ok(&["commit", "db", "priced:1"]);
    assert_eq!(house.ok(["run", "--rm", "priced:1", "cat", "/tmp/price"]), "7");
    shop.ok(&["down", "-v"]);
}

#[test]
fn a_service_is_attached_to() {
    let house = House::new();
    let shop = shop(&house);
    let mut child = shop.command(&["attach", "web"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"a word\n").unwrap();
    await_that("the answer", || shop.ok(&["logs", "--no-log-prefix", "web"]).contains("got a word"));
    drop(stdin);
    shop.ok(&["kill", "web"]);
    let ended = finish(child.wait_with_output().unwrap());
    assert!(ended.stdout.contains("got a word"), "{}", ended.stdout);
    shop.ok(&["down", "-v"]);
}

#[test]
fn what_there_is_is_told() {
    let house = House::new();
    let shop = shop(&house);
    assert_eq!(shop.ok(&["port", "web", "80"]), "0.0.0.0:8080");
    assert!(shop.run(&["port", "web", "81"]).stderr.contains("no port 81/tcp for container shop-web-1"));
    assert_eq!(shop.ok(&["volumes", "-q"]), "shop_stock");
    assert!(shop.ok(&["volumes"]).contains("local") && shop.ok(&["volumes", "web", "-q"]).is_empty());
    let images = shop.ok(&["images"]);
    assert!(images.contains("shop-db-1") && images.contains("busybox"), "{images}");
    let listed = shop.ok(&["ls", "--format", "json"]);
    assert!(listed.contains("\"Name\":\"shop\"") && listed.contains("\"Status\":\"running(2)\""), "{listed}");
    let top = shop.ok(&["top", "db"]);
    assert!(top.lines().nth(1).is_some_and(|line| line.starts_with("db") && line.contains("sleep 600")), "{top}");
    let stats = shop.ok(&["stats", "--no-stream"]);
    assert!(stats.contains("shop-db-1") && stats.contains("MEM USAGE"), "{stats}");
    shop.ok(&["pause", "db"]);
    assert!(shop.ok(&["ls"]).contains("paused(1), running(1)"));
    shop.ok(&["unpause", "db"]);
    shop.ok(&["scale", "db=2"]);
    assert!(shop.states().contains("shop-db-2 running"));
    assert_eq!(shop.ok(&["version", "--short"]), "2.40.3");
    let graph = shop.ok(&["viz", "--image"]);
    assert!(graph.starts_with("digraph \"shop\" {") && graph.contains("\t\"web\" -> \"db\";"), "{graph}");
    shop.ok(&["down", "-v"]);
    assert_eq!(shop.ok(&["ls", "-q"]), "");
}

#[test]
fn events_and_ends_are_heard() {
    let house = House::new();
    let shop = shop(&house);
    let heard = shop.directory.join("heard");
    let file = std::fs::File::create(&heard).unwrap();
    let mut child = shop.command(&["events", "--json", "web"]).stdout(file).spawn().unwrap();
    let told = || std::fs::read_to_string(&heard).unwrap_or_default();
    // Until it listens nothing is heard: ask for something again and again.
    await_that("an event", || {
        shop.ok(&["pause", "web"]);
        shop.ok(&["unpause", "web"]);
        shop.ok(&["pause", "db"]);
        shop.ok(&["unpause", "db"]);
        told().contains("\"action\":\"unpause\"")
    });
    assert!(told().contains("\"service\":\"web\"") && !told().contains("\"service\":\"db\""), "{}", told());
    // Not by SIGINT, which whoever runs the tests in the background may have had ignored.
    signal(child.id().cast_signed(), "TERM");
    child.wait().unwrap();
    let waiting = shop.command(&["wait", "db"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let waiting = waiting.unwrap();
    shop.ok(&["kill", "-s", "KILL", "db"]);
    let ended = finish(waiting.wait_with_output().unwrap());
    assert!(ended.code == 137 || ended.stderr.contains("no containers"), "{} {}", ended.code, ended.stderr);
    shop.ok(&["down", "-v"]);
}

#[test]
fn images_are_pushed_and_pulled() {
    let house = House::new();
    let registry = Registry::start();
    let image = format!("{}/shop/web", registry.address());
    let text = format!(
        "services:\n  web:\n    image: {image}\n    build: {{context: ., dockerfile_inline: \"FROM busybox\\nCMD [\\\"sleep\\\", \\\"600\\\"]\\n\"}}\n    stop_grace_period: 0s\n"
    );
    let shop = Described::new(&house, &text);
    shop.ok(&["build", "-q"]);
    shop.ok(&["push", "-q"]);
    house.ok(["rmi", &image]);
    shop.ok(&["pull", "-q"]);
    assert!(house.ok(["images"]).contains("shop/web"));
    shop.ok(&["create"]);
    assert_eq!(shop.states(), "shop-web-1 created");
    shop.ok(&["start"]);
    assert_eq!(shop.states(), "shop-web-1 running");
    shop.ok(&["down", "--rmi", "all"]);
}

/// What programs read is, byte for byte, what docker compose says on the same project.
#[test]
fn the_same_words_as_docker_compose() {
    let Some(binary) = docker_compose() else {
        eprintln!("skipped: no docker compose here; HAKO_TEST_DOCKER_COMPOSE names one");
        return;
    };
    let house = House::new();
    let shop = shop(&house);
    let theirs = |args: &[&str]| {
        let mut command = Command::new(&binary);
        command.args(args).current_dir(&shop.directory);
        command.env("DOCKER_HOST", format!("unix://{}", house.socket().display()));
        house.at_home(&mut command);
        let ended = finish(command.output().expect("docker compose"));
        (ended.code, ended.stdout)
    };
    for args in [
        &["ps", "-q"][..],
        &["ps", "--services"],
        &["ps", "--format", "{{.Name}} {{.Service}} {{.State}} {{.Ports}}"],
        &["ls"],
        &["ls", "--format", "json"],
        &["images"],
        &["images", "--format", "json"],
        &["images", "-q"],
        &["port", "web", "80"],
        &["port", "web", "81"],
        &["volumes"],
        &["volumes", "-q"],
        &["volumes", "--format", "json"],
        &["top"],
        &["logs", "--no-log-prefix", "db"],
        &["config", "--services"],
        &["config", "--images"],
        &["config", "--volumes"],
        &["config", "--hash", "db,web"],
        &["config"],
        &["exec", "-T", "db", "sh", "-c", "echo in; exit 3"],
    ] {
        let sorted = |text: &str| {
            // docker compose lists services, images and labels in no order.
            let json = args.contains(&"json");
            let parted = |letter: char| letter == '\n' || json && ",{}[]\"".contains(letter);
            let mut parts: Vec<String> = text.split(parted).map(str::to_owned).collect();
            if json || ["--hash", "--images", "images"].iter().any(|word| args.contains(word)) {
                parts.sort();
            }
            parts
        };
        let said = || {
            let (ours, (code, said)) = (shop.run(args), theirs(args));
            ((ours.code, sorted(&ours.stdout)), (code, sorted(&said)))
        };
        let (mut ours, mut others) = said();
        // An image was made "1 second ago" for the one and "2 seconds ago" for the other who is asked later.
        for _ in 0..20 {
            if ours == others || args != ["images"] {
                break;
            }
            (ours, others) = said();
        }
        assert_eq!(ours, others, "compose {args:?}");
    }
    shop.ok(&["down", "-v"]);
}

/// Both services say a word, wait for a file, and say another one.
const TALKERS: &str = "services:
  one: &talker
    image: busybox
    command: sh -c 'echo up; while [ ! -e /go ]; do sleep 0.05; done; echo down; exit 6'
  two: *talker
";

#[test]
fn logs_and_an_attached_up_survive_the_daemon() {
    let house = House::new();
    let shop = Described::new(&house, TALKERS);
    let text = |name: &str| std::fs::read_to_string(shop.directory.join(name)).unwrap_or_default();
    // Whoever has shown the first words has begun to listen.
    let listening = |name: &str, args: &[&str]| {
        let file = std::fs::File::create(shop.directory.join(name)).unwrap();
        let child = shop.command(args).stdout(file).stderr(Stdio::null()).spawn().unwrap();
        await_that(name, || text(name).matches("| up").count() == 2);
        child
    };
    let mut up = listening("up", &["up"]);
    let mut logs = listening("logs", &["logs", "-f"]);
    for _ in 0..2 {
        house.kill_daemon();
        house.ok(["ps"]);
    }
    house.ok(["exec", "shop-one-1", "touch", "/go"]);
    house.ok(["exec", "shop-two-1", "touch", "/go"]);
    assert!(logs.wait().unwrap().success() && up.wait().unwrap().success());
    for name in ["logs", "up"] {
        let text = text(name);
        let mut lines: Vec<&str> = text.lines().filter(|line| line.contains('|')).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["one-1  | down", "one-1  | up", "two-1  | down", "two-1  | up"], "{name}");
    }
    shop.ok(&["down", "-t", "0"]);
}

/// A provider that notes how it is called and tells the way to what it provides.
const PROVIDER: &str = "#!/bin/sh
echo \"$*\" >> calls
case $2 in
metadata) exit 1 ;;
esac
echo '{\"type\":\"info\",\"message\":\"at work\"}'
[ -e broken ] && echo '{\"type\":\"error\",\"message\":\"it broke\"}' && exit 1
echo '{\"type\":\"setenv\",\"message\":\"URL=db://far:1\"}'
";

#[test]
fn providers_bring_services_that_are_no_containers() {
    let house = House::new();
    let text = "services:\n  store:\n    provider: {type: bringer, options: {size: 5, zone: [a, b]}}\n  \
                web:\n    image: busybox\n    command: sleep 600\n    stop_grace_period: 0s\n    depends_on: [store]\n";
    let shop = Described::new(&house, text);
    let program = shop.directory.join("bringer");
    std::fs::write(&program, PROVIDER).unwrap();
    crate::house::run_tool("chmod", ["+x", program.to_str().unwrap()]);
    let path = format!("{}:{}", shop.directory.display(), std::env::var("PATH").unwrap());
    let run = |args: &[&str]| finish(shop.command(args).env("PATH", &path).output().unwrap());
    let missing = shop.run(&["up", "-d"]);
    assert!(missing.stderr.contains("exec: \"bringer\": executable file not found in $PATH"), "{}", missing.stderr);
    for _ in 0..2 {
        let up = run(&["up", "-d"]);
        assert!(up.code == 0 && up.stderr.contains("store  at work"), "{}", up.stderr);
    }
    assert_eq!(house.ok(["exec", "shop-web-1", "sh", "-c", "echo $STORE_URL"]), "db://far:1");
    assert_eq!(shop.states(), "shop-web-1 running");
    assert_eq!(run(&["down"]).code, 0);
    let asked = "compose metadata\ncompose --project-name=shop VERB --size=5 --zone=a --zone=b store\n";
    let [up, down] = ["up", "down"].map(|verb| asked.replace("VERB", verb));
    assert_eq!(std::fs::read_to_string(shop.directory.join("calls")).unwrap(), format!("{up}{up}{down}"));
    std::fs::write(shop.directory.join("broken"), "").unwrap();
    let broken = run(&["up", "-d"]);
    assert!(broken.code == 1 && broken.stderr.ends_with("it broke\n"), "{}", broken.stderr);
    shop.write("services: {web: {image: busybox, models: [llm]}}\nmodels: {llm: {model: ai/smollm2}}\n");
    let models = shop.run(&["up", "-d"]);
    assert!(models.stderr.contains("'models' support requires Docker Model plugin"), "{}", models.stderr);
    assert_eq!(house.ok(["ps", "-aq"]), "", "nothing was made");
}

#[test]
fn deeds_on_one_container_are_told_as_compose_tells_them() {
    let house = House::new();
    let text = "services:\n  a: {image: busybox, command: sleep 600, stop_grace_period: 0s, init: true}\n  \
                n: {image: busybox, command: sleep 600, stop_grace_period: 0s, init: true, container_name: named}\n";
    let shop = Described::new(&house, text);
    std::fs::write(shop.directory.join("f"), "hello\n").unwrap();
    shop.ok(&["up", "-d"]);
    let check = |args: &[&str], code: i32, stdout: &str, said: &str| {
        let ended = shop.run(args);
        assert_eq!((ended.code, ended.stdout.as_str()), (code, stdout), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    };
    let copied = " shop-a-1 copy f to shop-a-1:/ Copying\n shop-a-1 copy f to shop-a-1:/ Copied\n";
    check(&["cp", "f", "a:/"], 0, "", copied);
    check(&["cp", "f", "f"], 1, "", "unknown copy direction\n");
    let archive = shop.directory.join("out.tar");
    check(&["export", "a", "-o", archive.to_str().unwrap()], 0, "", " shop-a-1 export shop-a-1 to ");
    check(&["commit", "a", "img:1"], 0, "", " shop-a-1 Commit shop-a-1 Committed as sha256:");
    check(&["--dry-run", "commit", "a"], 0, "", "DRY-RUN MODE -  shop-a-1 Commit shop-a-1 Committed\n");
    check(&["--dry-run", "exec", "a", "true"], 1, "", "interactive exec is not supported in dry-run mode");
    for verb in ["export", "commit"] {
        check(&[verb, "nobody"], 1, "", "service \"nobody\" is not running");
    }
    check(&["pause", "a"], 0, "", " Container shop-a-1  Paused\n");
    check(&["pause", "a"], 1, "", "is already paused");
    check(&["unpause", "a"], 0, "", " Container shop-a-1  Unpaused\n");
    check(&["unpause", "a"], 1, "", "is not paused");
    check(&["up", "-d", "--scale", "n=2"], 1, "", "custom container name \"named\"");
    check(&["stop", "a"], 0, "", "Stopped");
    check(&["kill", "a"], 0, "", "no container to kill");
    check(&["exec", "a", "true"], 1, "", "service \"a\" is not running");
    check(&["ps", "--services", "--status", "paused"], 0, "\n", "");
    check(&["wait", "nobody"], 1, "", "no containers for project");
    check(&["up", "-d", "-V", "n"], 0, "", "Recreated");
}

#[test]
fn compose_heeds_the_variables_that_compose_heeds() {
    let house = House::new();
    let service = |name: &str| {
        format!("services: {{{name}: {{image: busybox, command: sleep 600, stop_grace_period: 0s, init: true}}}}\n")
    };
    let shop = Described::new(&house, &service("a"));
    shop.ok(&["up", "-d"]);
    shop.write(&service("b"));
    let run = |variable: (&str, &str), args: &[&str]| {
        crate::house::finish(shop.command(args).env(variable.0, variable.1).output().expect("the hako binary"))
    };
    let quiet = run(("COMPOSE_IGNORE_ORPHANS", "1"), &["up", "-d"]);
    assert!(quiet.code == 0 && !quiet.stderr.contains("orphan"), "{}", quiet.stderr);
    let both = run(("COMPOSE_IGNORE_ORPHANS", "1"), &["up", "-d", "--remove-orphans"]);
    assert!(both.stderr.contains("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans"), "{}", both.stderr);
    let told = run(("COMPOSE_STATUS_STDOUT", "1"), &["up", "-d", "--force-recreate"]);
    assert!(told.stdout.contains("Container shop-b-1  Started"), "{}{}", told.stdout, told.stderr);
    let limit = run(("COMPOSE_PARALLEL_LIMIT", "x"), &["ps"]);
    assert!(limit.code == 1 && limit.stderr.contains("must be an integer (found: \"x\")"), "{}", limit.stderr);
    let odd = run(("COMPOSE_DISABLE_ENV_FILE", "yes"), &["config"]);
    assert!(odd.code == 1 && odd.stderr.contains("no boolean"), "{}", odd.stderr);
    run(("COMPOSE_REMOVE_ORPHANS", "1"), &["down"]);
    assert_eq!(house.ok(["ps", "-aq"]), "", "orphans went, too");
}
