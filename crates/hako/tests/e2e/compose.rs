//! `compose`: described systems, alone and beside docker compose on the same project.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::house::{Ended, HAKO, House, await_that, finish, signal};
use crate::transcript;

const PAGE: &str = include_str!("../../../../docs/tutorial/03-compose.md");

const TWO: &str = "\
services:
  db:
    image: busybox
    command: sh -c 'echo ready; exec sleep 600'
    healthcheck: {test: [CMD, 'true'], interval: 200ms}
    environment: {LEVEL: one}
    configs: [greeting]
    stop_grace_period: 0s
  web:
    image: busybox
    command: sleep 600
    depends_on: {db: {condition: service_healthy, restart: true}}
    deploy: {replicas: 2}
    post_start: [{command: [sh, -c, 'echo hooked > /tmp/hook']}]
    stop_grace_period: 0s
configs: {greeting: {content: hello}}
";

/// A project in a directory of the house.
pub(crate) struct Described<'h> {
    house: &'h House,
    pub(crate) directory: PathBuf,
}

impl<'h> Described<'h> {
    pub(crate) fn new(house: &'h House, text: &str) -> Self {
        let directory = house.path().join("shop");
        std::fs::create_dir_all(&directory).unwrap();
        let described = Self { house, directory };
        described.write(text);
        described
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.directory.join("compose.yaml"), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(HAKO);
        command.arg("compose").args(args).current_dir(&self.directory);
        self.house.at_home(&mut command);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        finish(self.command(args).output().expect("the hako binary"))
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "hako compose {args:?}\n{}{}", ended.stdout, ended.stderr);
        ended.stdout.trim_end().to_owned()
    }

    /// Name and state of every container.
    pub(crate) fn states(&self) -> String {
        self.ok(&["ps", "-a", "--format", "{{.Name}} {{.State}}"])
    }

    pub(crate) fn id(&self, container: &str) -> String {
        self.house.inspect(container, "{{.Id}}")
    }
}

#[test]
fn a_system_comes_up_in_order_and_goes_without_a_trace() {
    let house = House::new();
    let shop = Described::new(&house, TWO);
    shop.ok(&["up", "-d"]);
    assert_eq!(shop.states(), "shop-db-1 running\nshop-web-1 running\nshop-web-2 running");
    assert_eq!(shop.ok(&["exec", "-T", "db", "cat", "/greeting"]), "hello");
    assert_eq!(shop.ok(&["exec", "-T", "--index", "2", "web", "cat", "/tmp/hook"]), "hooked");
    assert_eq!(shop.ok(&["logs", "db"]), "db-1  | ready");
    let healthy = house.inspect("shop-db-1", "{{(index .State.Health.Log 0).End}}");
    assert!(house.inspect("shop-web-1", "{{.State.StartedAt}}").as_str() > healthy.get(..19).unwrap());
    let ended = shop.run(&["run", "--rm", "-T", "db", "sh", "-c", "echo once; exit 3"]);
    assert_eq!((ended.code, ended.stdout.trim()), (3, "once"));
    shop.ok(&["scale", "web=3"]);
    assert!(shop.states().ends_with("shop-web-3 running"));
    shop.ok(&["stop", "web"]);
    assert!(shop.states().contains("shop-web-1 exited"));
    shop.ok(&["top"]);
    shop.ok(&["start"]);
    assert!(shop.states().contains("shop-web-1 running"));
    shop.ok(&["restart", "-t", "0", "db"]);
    shop.ok(&["pause", "db"]);
    assert!(shop.states().contains("shop-db-1 paused"));
    shop.ok(&["unpause", "db"]);
    shop.ok(&["kill", "web"]);
    shop.ok(&["rm", "-f"]);
    assert_eq!(shop.states(), "shop-db-1 running");
    assert!(shop.ok(&["ls"]).contains("running(1)"));
    shop.ok(&["down", "-v"]);
    assert_eq!(house.ok(["ps", "-aq"]), "");
    assert_eq!(house.ok(["network", "ls", "-q"]).lines().count(), 3);
}

#[test]
fn up_does_what_plan_says() {
    let house = House::new();
    let shop = Described::new(&house, TWO);
    let made = "+ network shop_default\n+ container shop-db-1\n+ container shop-web-1\n+ container shop-web-2";
    assert_eq!(shop.ok(&["plan"]), made);
    shop.ok(&["up", "-d"]);
    let idle = "Nothing to do: everything is as described.";
    assert_eq!(shop.ok(&["plan", "--exit-code"]), idle);
    let (db, web) = (shop.id("shop-db-1"), shop.id("shop-web-1"));
    shop.ok(&["up", "-d"]);
    assert_eq!((shop.id("shop-db-1"), shop.id("shop-web-1")), (db.clone(), web.clone()), "nothing changed");
    shop.write(&TWO.replace("LEVEL: one", "LEVEL: two"));
    let changed = "~ container shop-db-1: made anew\n    environment.LEVEL: \"one\" -> \"two\"\n\
                   > container shop-web-1: restart, because db is made anew\n\
                   > container shop-web-2: restart, because db is made anew";
    assert_eq!(shop.ok(&["plan"]), changed);
    assert_eq!(shop.run(&["plan", "--exit-code"]).code, 2);
    shop.ok(&["--dry-run", "up", "-d"]);
    assert_eq!(shop.id("shop-db-1"), db, "a dry run does nothing");
    shop.ok(&["up", "-d"]);
    assert_ne!(shop.id("shop-db-1"), db);
    assert_eq!(shop.id("shop-web-1"), web);
    assert_eq!(shop.ok(&["plan"]), idle);
    assert!(shop.ok(&["explain", "db.environment.LEVEL"]).contains("from compose.yaml:6:19"));
    shop.ok(&["down"]);
}

#[test]
fn a_service_that_never_gets_well_is_told_with_probe_and_log() {
    let house = House::new();
    let ill = "\
services:
  db:
    image: busybox
    command: sh -c 'echo my last words; exec sleep 600'
    healthcheck: {test: [CMD, sh, -c, 'echo no disk; exit 7'], interval: 100ms, retries: 2}
    stop_grace_period: 0s
  web: {image: busybox, command: sleep 600, depends_on: {db: {condition: service_healthy}}, stop_grace_period: 0s}
";
    let shop = Described::new(&house, ill);
    let ended = shop.run(&["up", "-d"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for words in ["container shop-db-1 is unhealthy", "exited with 7: no disk", "my last words"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert!(shop.states().contains("shop-web-1 created"), "what needs it does not start");
    shop.write(&ill.replace("exit 7", "exit 0"));
    shop.ok(&["up", "-d"]);
    assert!(shop.states().contains("shop-web-1 running"), "the next up completes it");
    shop.ok(&["down"]);
}

#[test]
fn an_attached_up_ends_with_its_service() {
    let house = House::new();
    let job = "\
services:
  server: {image: busybox, command: sleep 600, stop_grace_period: 0s}
  job: {image: busybox, command: sh -c 'echo working; exit 5', depends_on: [server]}
";
    let shop = Described::new(&house, job);
    let ended = shop.run(&["up", "--exit-code-from", "job"]);
    assert_eq!(ended.code, 5, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("job-1     | working"), "{}", ended.stdout);
    assert!(ended.stdout.contains("job-1 exited with code 5"), "{}", ended.stdout);
    assert!(shop.states().contains("shop-server-1 exited"));
    let mut child = shop.command(&["up"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    await_that("the server", || shop.states().contains("shop-server-1 running"));
    await_that("the job's end", || shop.states().contains("shop-job-1 exited"));
    signal(child.id().cast_signed(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(shop.states().contains("shop-server-1 exited"), "Ctrl-C stops");
    shop.ok(&["down"]);
}

#[test]
fn two_at_once_and_a_killed_daemon_do_no_harm() {
    let house = House::new();
    let shop = Described::new(&house, TWO);
    house.ok(["version"]);
    let mut children: Vec<_> =
        (0..2).map(|_| shop.command(&["up", "-d"]).stderr(std::process::Stdio::null()).spawn().unwrap()).collect();
    assert!(children.iter_mut().all(|child| child.wait().is_ok()));
    shop.ok(&["up", "-d"]);
    assert_eq!(shop.states(), "shop-db-1 running\nshop-web-1 running\nshop-web-2 running");
    shop.ok(&["down"]);
    let mut child = shop.command(&["up", "-d"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    await_that("the first container", || house.run(["ps", "-aq"]).stdout.lines().count() > 0);
    house.kill_daemon();
    child.wait().unwrap();
    shop.ok(&["up", "-d"]);
    // Of two containers that were to be made at once either may have been: the one that is missing gets the next number.
    let states = shop.states();
    let webs = states.lines().filter(|line| line.starts_with("shop-web-") && line.ends_with(" running"));
    assert!(states.contains("shop-db-1 running") && webs.count() == 2 && states.lines().count() == 3, "{states}");
    shop.ok(&["down"]);
}

#[test]
fn a_rollout_that_fails_is_rolled_back() {
    let house = House::new();
    let good = "services:\n  web: {image: busybox, command: sleep 600, scale: 2, stop_grace_period: 0s, healthcheck: {test: [CMD, 'true'], interval: 100ms, retries: 1}}\n";
    let shop = Described::new(&house, good);
    shop.ok(&["up", "-d"]);
    let before = [shop.id("shop-web-1"), shop.id("shop-web-2")];
    shop.write(&good.replace("'true'", "'false'"));
    let ended = shop.run(&["up", "-d", "--rollout"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("rolled back"), "{}", ended.stderr);
    assert_eq!([shop.id("shop-web-1"), shop.id("shop-web-2")], before);
    assert_eq!(shop.states(), "shop-web-1 running\nshop-web-2 running");
    shop.write(&good.replace("sleep 600", "sleep 601"));
    shop.ok(&["up", "-d", "--rollout"]);
    assert_ne!([shop.id("shop-web-1"), shop.id("shop-web-2")], before);
    assert_eq!(shop.states(), "shop-web-1 running\nshop-web-2 running");
    shop.ok(&["down"]);
}

#[test]
fn secrets_and_configs_come_from_the_store() {
    let house = House::new();
    let text = "\
services:
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    secrets: [password, {source: token, target: /etc/token, uid: '7', mode: 0400}]
    configs: [motd]
secrets: {password: {external: true}, token: {external: true, name: api-token}}
configs: {motd: {external: true}}
";
    let shop = Described::new(&house, text);
    let refused = shop.run(&["up", "-d"]);
    assert!(refused.code != 0 && refused.stderr.contains("password"), "{}", refused.stderr);
    for (name, content) in [("password", "apple"), ("api-token", "pear"), ("motd", "welcome")] {
        house.run_with_input(["secret", "create", name, "-"], content.as_bytes());
    }
    shop.ok(&["up", "-d"]);
    let told = "cat /run/secrets/password /etc/token /motd; stat -c ' %u %a' /etc/token";
    assert_eq!(shop.ok(&["exec", "-T", "web", "sh", "-c", told]), "applepearwelcome 7 400");
    assert_eq!(shop.ok(&["plan"]), "Nothing to do: everything is as described.");
    shop.ok(&["down"]);
}

#[test]
fn watched_files_follow_into_the_container() {
    let house = House::new();
    let text = "\
services:
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    develop: {watch: [{path: ./src, action: sync, target: /app, initial_sync: true, ignore: ['*.tmp']}]}
";
    let shop = Described::new(&house, text);
    std::fs::create_dir_all(shop.directory.join("src/in")).unwrap();
    std::fs::write(shop.directory.join("src/in/a"), "first").unwrap();
    std::fs::write(shop.directory.join("src/b.tmp"), "not this").unwrap();
    let mut child = shop.command(&["watch"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let inside = |path: &str| shop.run(&["exec", "-T", "web", "cat", path]).stdout;
    await_that("the first copy", || inside("/app/in/a") == "first");
    std::fs::write(shop.directory.join("src/in/a"), "second, longer").unwrap();
    await_that("the change", || inside("/app/in/a") == "second, longer");
    std::fs::remove_file(shop.directory.join("src/in/a")).unwrap();
    await_that("the end of it", || inside("/app/in/a").is_empty());
    assert_eq!(inside("/app/b.tmp"), "");
    signal(child.id().cast_signed(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    shop.ok(&["down"]);
}

#[test]
fn watched_files_are_built_into_the_image() {
    let house = House::new();
    let text = "\
services:
  web:
    build: {context: ., dockerfile_inline: \"FROM busybox\\nCOPY word /word\\nRUN ! grep broken /word\\n\"}
    command: sleep 600
    stop_grace_period: 0s
    develop: {watch: [{path: word, action: rebuild}]}
";
    let shop = Described::new(&house, text);
    let write = |word: &str| std::fs::write(shop.directory.join("word"), word).unwrap();
    write("one");
    let errors = shop.directory.join("errors");
    let file = std::fs::File::create(&errors).unwrap();
    let mut child = shop.command(&["watch", "--quiet"]).stderr(file).spawn().unwrap();
    let says = |text: &str| std::fs::read_to_string(&errors).unwrap().contains(text);
    let inside = |word: &str| shop.run(&["exec", "-T", "web", "cat", "/word"]).stdout == word;
    await_that("the watch", || says("Watch enabled"));
    assert!(inside("one"));
    let before = house.inspect("shop-web-1", "{{.Image}}");
    write("broken, so not built");
    await_that("the failure", || says("Failed to rebuild service \"web\""));
    assert!(inside("one"), "what ran runs on");
    write("two, which is right");
    await_that("the new image", || inside("two, which is right"));
    await_that("the end of the old one", || house.run(["image", "inspect", &before]).code != 0);
    signal(child.id().cast_signed(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    shop.ok(&["down"]);
}

#[test]
fn a_service_is_built_when_its_image_is_missing() {
    let house = House::new();
    let text = "\
services:
  web:
    build: {context: ., args: {WORD: one}, dockerfile_inline: \"FROM busybox\\nARG WORD\\nRUN echo $$WORD > /built\\n\"}
    command: sleep 600
    stop_grace_period: 0s
";
    let shop = Described::new(&house, text);
    shop.ok(&["up", "-d"]);
    assert_eq!(shop.ok(&["exec", "-T", "web", "cat", "/built"]), "one");
    let first = shop.id("shop-web-1");
    shop.ok(&["up", "-d"]);
    assert_eq!(shop.id("shop-web-1"), first, "built once");
    shop.write(&text.replace("WORD: one", "WORD: two"));
    shop.ok(&["up", "-d", "--build"]);
    assert_eq!(shop.ok(&["exec", "-T", "web", "cat", "/built"]), "two");
    assert_ne!(shop.id("shop-web-1"), first, "another image, another container");
    shop.ok(&["build", "--quiet"]);
    shop.ok(&["down", "--rmi", "local"]);
    assert!(!house.ok(["images"]).contains("shop-web"));
}

#[test]
fn linked_services_are_known_by_their_links() {
    let house = House::new();
    let text = "\
services:
  db: {image: busybox, command: sleep 600, stop_grace_period: 0s}
  web: {image: busybox, command: sleep 600, stop_grace_period: 0s, links: ['db:base']}
";
    let shop = Described::new(&house, text);
    shop.ok(&["up", "-d"]);
    for name in ["db", "base", "shop-db-1"] {
        shop.ok(&["exec", "-T", "web", "nslookup", name]);
    }
    shop.ok(&["down"]);
}

/// The power fails: daemon, supervisors and containers are gone at once. What was up comes up again, what others need
/// first, and well.
#[test]
fn after_a_power_cut_a_system_comes_up_in_its_order() {
    let house = House::new();
    let shop = Described::new(
        &house,
        "\
services:
  web: {image: busybox, command: sleep 600, restart: always, depends_on: {cache: {condition: service_started}}}
  cache: {image: busybox, command: sleep 600, restart: always, depends_on: {db: {condition: service_healthy}}}
  db:
    image: busybox
    command: sh -c 'rm -f /well; sleep 0.5; touch /well; exec sleep 600'
    restart: unless-stopped
    healthcheck: {test: [CMD, test, -e, /well], interval: 100ms, retries: 100}
  once: {image: busybox, command: 'true'}
",
    );
    shop.ok(&["up", "-d"]);
    shop.ok(&["stop", "-t", "0", "once"]);
    let root = house.path().to_str().unwrap().to_owned();
    let of_house = |command: &str| command.contains("supervise") || command.contains(&root);
    let supervisors: Vec<i32> = ["web", "cache", "db"]
        .iter()
        .map(|service| {
            let inside: i32 = house.inspect(&format!("shop-{service}-1"), "{{.State.Pid}}").parse().unwrap();
            let stat = std::fs::read_to_string(format!("/proc/{inside}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
        })
        .collect();
    let commands = crate::house::processes();
    let is_known = |pid: &i32| commands.iter().any(|(known, command)| known == pid && of_house(command));
    assert!(supervisors.iter().all(is_known), "{supervisors:?}");
    house.kill_daemon();
    supervisors.iter().for_each(|pid| signal(*pid, "KILL"));
    let all_run = || {
        let states = shop.states();
        ["web", "cache", "db"].iter().all(|service| states.contains(&format!("shop-{service}-1 running")))
    };
    await_that("the system", all_run);
    let began = |service: &str| house.inspect(&format!("shop-{service}-1"), "{{.State.StartedAt}}");
    let well = house.inspect("shop-db-1", "{{range .State.Health.Log}}{{if eq .ExitCode 0}}{{.End}} {{end}}{{end}}");
    let well = well.split("Z").next().unwrap_or_default().split(" +").next().unwrap_or_default().to_owned();
    assert!(
        began("db") < began("cache") && began("cache") < began("web"),
        "{} {} {}",
        began("db"),
        began("cache"),
        began("web")
    );
    assert!(!well.is_empty());
    // In the history of events, too: after the last start of the database came its health, and only then the cache.
    let format = "{{.Action}} {{.Actor.Attributes.name}}";
    let events =
        house.ok(["events", "--since", "1h", "--until", "0s", "--filter", "type=container", "--format", format]);
    let last = |event: &str| events.lines().collect::<Vec<_>>().iter().rposition(|line| *line == event);
    let order = ["start shop-db-1", "health_status: healthy shop-db-1", "start shop-cache-1", "start shop-web-1"];
    let places = order.map(|event| last(event).unwrap_or_else(|| panic!("{event} in {events}")));
    assert!(places.is_sorted(), "{places:?} {events}");
    assert!(shop.states().contains("shop-once-1 exited"));
    shop.ok(&["down", "-t", "0"]);
}

/// docker compose's own binary, if this machine has one.
pub(crate) fn docker_compose() -> Option<PathBuf> {
    let named = std::env::var_os("HAKO_TEST_DOCKER_COMPOSE").map(PathBuf::from);
    let clients =
        std::env::var_os("HAKO_TEST_CLIENTS").map(|dir| PathBuf::from(dir).join("cli-plugins/docker-compose"));
    let usual = ["/usr/libexec/docker/cli-plugins/docker-compose", "/usr/local/lib/docker/cli-plugins/docker-compose"];
    named.into_iter().chain(clients).chain(usual.map(PathBuf::from)).find(|path| path.exists())
}

#[test]
fn docker_compose_and_hako_manage_one_project() {
    let Some(binary) = docker_compose() else {
        eprintln!("skipped: no docker compose here; HAKO_TEST_DOCKER_COMPOSE names one");
        return;
    };
    let house = House::new();
    let shop = Described::new(&house, TWO);
    house.ok(["version"]);
    let theirs = |args: &[&str]| {
        let mut command = Command::new(&binary);
        command.args(args).current_dir(&shop.directory);
        command.env("DOCKER_HOST", format!("unix://{}", house.socket().display()));
        house.at_home(&mut command);
        let ended = finish(command.output().expect("docker compose"));
        assert_eq!(ended.code, 0, "docker compose {args:?}\n{}{}", ended.stdout, ended.stderr);
        ended.stdout
    };
    theirs(&["up", "-d"]);
    let (db, web) = (shop.id("shop-db-1"), shop.id("shop-web-1"));
    assert_eq!(shop.ok(&["plan"]), "Nothing to do: everything is as described.");
    shop.ok(&["up", "-d"]);
    shop.ok(&["scale", "web=3"]);
    theirs(&["up", "-d"]);
    assert_eq!(shop.states().lines().count(), 3, "theirs removed what we added");
    assert_eq!((shop.id("shop-db-1"), shop.id("shop-web-1")), (db, web.clone()), "nobody made anything anew");
    shop.write(&TWO.replace("LEVEL: one", "LEVEL: two"));
    shop.ok(&["up", "-d"]);
    let db = shop.id("shop-db-1");
    theirs(&["up", "-d"]);
    assert_eq!((shop.id("shop-db-1"), shop.id("shop-web-1")), (db, web));
    assert_eq!(theirs(&["exec", "-T", "db", "cat", "/greeting"]), "hello");
    assert!(theirs(&["ps"]).contains("shop-web-2"));
    shop.ok(&["down"]);
    shop.ok(&["up", "-d"]);
    theirs(&["down", "-v"]);
    assert_eq!(house.ok(["ps", "-aq"]), "");
}

#[test]
fn chapter_three() {
    let house = House::new();
    house.ok(["version"]);
    let bin = house.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(Path::new(HAKO), bin.join("hako")).unwrap();
    transcript::follow(&house, PAGE, &bin);
    assert_eq!(house.ok(["ps", "-aq"]), "", "the chapter tidies up");
}
