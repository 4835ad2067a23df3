//! Compose when things go otherwise: interruptions at any point, first steps that fail, hooks, orphans, locks, and what
//! `watch` does beside copying.

use std::process::Stdio;
use std::time::Duration;

use crate::compose::Described;
use crate::house::{House, await_that, signal};
use crate::registry::Registry;

const IDLE: &str = "Nothing to do: everything is as described.";

/// A chain of five, of which each waits for the one before it, and two that wait for nobody.
const CHAIN: &str = "\
x-box: &box {image: busybox, command: sleep 600, stop_grace_period: 0s}
services:
  a: {<<: *box, healthcheck: {test: [CMD, 'true'], interval: 50ms}}
  b: {<<: *box, depends_on: {a: {condition: service_healthy}}}
  c: {<<: *box, depends_on: [b], volumes: ['stock:/stock'], networks: [back, default]}
  d: {<<: *box, depends_on: [c], networks: [back]}
  e: {<<: *box, scale: 3}
volumes: {stock: }
networks: {back: }
";

#[test]
fn an_interrupted_up_is_completed_by_the_next() {
    let house = House::new();
    let shop = Described::new(&house, CHAIN);
    house.ok(["version"]);
    let running = || house.ok(["ps", "-q"]).lines().count();
    // Later each time, until it came too late: wherever the interruption falls, the same must hold.
    for round in 0..10_u64 {
        let flags: &[&str] = if round % 2 == 0 { &["up"] } else { &["up", "-d"] };
        let mut child = shop.command(flags).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::park_timeout(Duration::from_millis(15 * round * round));
        signal(child.id().cast_signed(), "INT");
        let code = child.wait().unwrap().code();
        // None: it was ended by the signal, before it listened for it or because it never does.
        assert!([None, Some(130), Some(0)].contains(&code), "round {round}: {code:?}");
        if code == Some(130) {
            assert_eq!(running(), 0, "round {round}: Ctrl-C stops what runs");
        }
        shop.ok(&["up", "-d"]);
        assert_eq!(shop.ok(&["plan"]), IDLE, "round {round}");
        let states = shop.states();
        assert!(states.lines().count() == 7 && states.lines().all(|line| line.ends_with(" running")), "{states}");
        shop.ok(&["down", "-v"]);
        assert_eq!(house.ok(["ps", "-aq"]) + &house.ok(["volume", "ls", "-q"]), "", "round {round}");
        assert_eq!(house.ok(["network", "ls", "-q"]).lines().count(), 3, "round {round}");
    }
}

#[test]
fn first_steps_are_waited_for_and_must_succeed() {
    let house = House::new();
    let text = "\
services:
  schema: {image: busybox, command: sh -c 'sleep 0.3; echo made > /stock/schema', volumes: ['stock:/stock']}
  web:
    image: busybox
    command: sh -c 'cat /stock/schema; exec sleep 600'
    volumes: ['stock:/stock']
    depends_on: {schema: {condition: service_completed_successfully}, extra: {condition: service_started, required: false}}
    stop_grace_period: 0s
  extra: {image: busybox, command: sleep 600, profiles: [more]}
volumes: {stock: }
";
    let shop = Described::new(&house, text);
    shop.ok(&["up", "-d"]);
    await_that("the schema", || shop.ok(&["logs", "--no-log-prefix", "web"]) == "made");
    assert_eq!(shop.states(), "shop-schema-1 exited\nshop-web-1 running", "what is not required is not missed");
    shop.ok(&["down", "-v"]);
    shop.write(&text.replace("echo made > /stock/schema", "echo no room; exit 4"));
    let ended = shop.run(&["up", "-d"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("didn't complete successfully: exit 4"), "{}", ended.stderr);
    assert!(shop.states().contains("shop-web-1 created"), "{}", shop.states());
    // With an end that counts as a failure everything ends, and with its code.
    shop.write(
        &text
            .replace("condition: service_completed_successfully", "condition: service_started")
            .replace("cat /stock/schema; exec sleep 600", "sleep 0.2; exit 6"),
    );
    let ended = shop.run(&["up", "--abort-on-container-failure"]);
    assert_eq!(ended.code, 6, "{}{}", ended.stdout, ended.stderr);
    shop.ok(&["down", "-v"]);
}

#[test]
fn hooks_run_at_their_time() {
    let house = House::new();
    let text = "\
services:
  web:
    image: busybox
    command: sh -c 'echo up >> /seen/log; exec sleep 600'
    volumes: ['seen:/seen']
    stop_grace_period: 0s
    post_start: [{command: [sh, -c, 'echo after $$WORD >> /seen/log'], environment: [WORD=start], user: root}]
    pre_stop: [{command: [sh, -c, 'echo before >> /seen/log; pwd >> /seen/log'], working_dir: /tmp}]
volumes: {seen: }
";
    let shop = Described::new(&house, text);
    shop.ok(&["up", "-d"]);
    shop.ok(&["stop"]);
    let told = || house.ok(["run", "--rm", "-v", "shop_seen:/seen", "busybox", "cat", "/seen/log"]);
    let mut lines: Vec<String> = told().lines().map(str::to_owned).collect();
    // The program and the hook after its start run side by side.
    lines[..2].sort();
    assert_eq!(lines, ["after start", "up", "before", "/tmp"]);
    shop.ok(&["down", "-v"]);
    shop.write(&text.replace("echo after", "exit 9; echo after"));
    let ended = shop.run(&["up", "-d"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("web") && ended.stderr.contains('9'), "{}", ended.stderr);
    shop.ok(&["down", "-v"]);
}

#[test]
fn what_is_described_no_longer_is_told_and_removed_when_asked() {
    let house = House::new();
    let text = "services:\n  web: {image: busybox, command: sleep 600, stop_grace_period: 0s}\n";
    let shop = Described::new(&house, &format!("{text}  old: {{image: busybox, command: sleep 600}}\n"));
    shop.ok(&["up", "-d"]);
    shop.write(text);
    let ended = shop.run(&["up", "-d"]);
    assert!(ended.code == 0 && ended.stderr.contains("Found orphan containers ([shop-old-1])"), "{}", ended.stderr);
    assert!(house.ok(["ps", "--format", "{{.Names}}"]).contains("shop-old-1"));
    shop.ok(&["up", "-d", "--remove-orphans", "-t", "0"]);
    assert_eq!(house.ok(["ps", "-a", "--format", "{{.Names}}"]), "shop-web-1");
    shop.ok(&["down"]);
}

#[test]
fn locked_images_are_the_ones_that_were_there() {
    let house = House::new();
    let text = "services:\n  web: {image: 'app:1', command: sleep 600, stop_grace_period: 0s}\n";
    let shop = Described::new(&house, text);
    house.ok(["tag", "busybox", "app:1"]);
    let first = house.inspect("app:1", "{{.Id}}");
    assert!(shop.run(&["up", "-d", "--locked"]).stderr.contains("compose.lock"), "there is no lock yet");
    assert_eq!(shop.ok(&["lock"]), format!("app:1 {first}"));
    house.ok(["create", "--name", "other", "busybox"]);
    house.ok(["commit", "-c", "LABEL version=2", "other", "app:1"]);
    house.ok(["rm", "other"]);
    shop.ok(&["up", "-d", "--locked"]);
    assert_eq!(house.inspect("shop-web-1", "{{.Image}}"), first, "what is pinned, whatever the name means now");
    shop.write(&format!("{text}  more: {{image: 'busybox', command: sleep 600}}\n"));
    let ended = shop.run(&["up", "-d", "--locked"]);
    assert!(
        ended.code == 1 && ended.stderr.contains("does not pin \"busybox\" of service \"more\""),
        "{}",
        ended.stderr
    );
    shop.write(text);
    shop.ok(&["up", "-d"]);
    assert_ne!(house.inspect("shop-web-1", "{{.Image}}"), first, "without the lock the name counts");
    shop.ok(&["down"]);
}

#[test]
fn watched_files_restart_and_run_what_they_should() {
    let house = House::new();
    let text = "\
services:
  one: {image: busybox, command: sleep 600, stop_grace_period: 0s, develop: {watch: [{path: ./one, action: restart}]}}
  two: {image: busybox, command: sleep 600, stop_grace_period: 0s, develop: {watch: [{path: ./two, action: sync+restart, target: /app}]}}
  three:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    develop: {watch: [{path: ./three, action: sync+exec, target: /app, exec: {command: sh -c 'cat /app/f >> /told'}}]}
";
    let shop = Described::new(&house, text);
    for name in ["one", "two", "three"] {
        std::fs::create_dir_all(shop.directory.join(name)).unwrap();
        std::fs::write(shop.directory.join(name).join("f"), "old").unwrap();
    }
    let errors = shop.directory.join("errors");
    let file = std::fs::File::create(&errors).unwrap();
    let mut child = shop.command(&["watch"]).stderr(file).spawn().unwrap();
    await_that("the watch", || std::fs::read_to_string(&errors).unwrap().contains("Watch enabled"));
    let began = |service: &str| house.inspect(&format!("shop-{service}-1"), "{{.State.StartedAt}}");
    let inside = |service: &str, path: &str| shop.run(&["exec", "-T", service, "cat", path]).stdout;
    let before = ["one", "two", "three"].map(began);
    let write = |name: &str| std::fs::write(shop.directory.join(name).join("f"), "new, and longer").unwrap();
    write("three");
    await_that("the command", || inside("three", "/told") == "new, and longer");
    write("one");
    await_that("the restart", || began("one") != before[0]);
    write("two");
    await_that("the copy and the restart", || {
        began("two") != before[1] && inside("two", "/app/f") == "new, and longer"
    });
    assert_eq!(began("three"), before[2], "a command is no restart");
    assert_eq!(inside("one", "/app/f"), "", "a restart is no copy");
    signal(child.id().cast_signed(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    shop.ok(&["down"]);
}

#[test]
fn images_that_grew_too_old_are_pulled_again() {
    let house = House::new();
    let registry = Registry::start();
    let image = format!("{}/app:1", registry.address());
    house.ok(["tag", "busybox", &image]);
    house.ok(["push", "-q", &image]);
    let text = |policy: &str| {
        format!(
            "services:\n  web: {{image: '{image}', command: sleep 600, stop_grace_period: 0s, pull_policy: {policy}}}\n"
        )
    };
    let shop = Described::new(&house, "");
    for (policy, pulls) in
        [("missing", false), ("daily", false), ("every_1w2d", false), ("refresh", true), ("every_1s", true)]
    {
        shop.write(&text(policy));
        let since = house.inspect(&image, "{{.Metadata.LastTagTime}}");
        await_that("a second to go by", || house.ok(["events", "--since", "1s", "--until", "0s"]).is_empty());
        let ended = shop.run(&["up", "-d"]);
        assert_eq!(ended.code, 0, "{policy}: {}", ended.stderr);
        assert_eq!(ended.stderr.contains("Pull"), pulls, "{policy}, tagged {since}: {}", ended.stderr);
    }
    shop.write(&text("every_1.5h"));
    let refused = shop.run(&["config"]).stderr;
    assert!(refused.contains("compose.yaml:2:") && refused.contains("pull_policy"), "{refused}");
    shop.write(&text("missing"));
    shop.ok(&["down"]);
}
