//! Updates that nobody notices: containers are replaced under constant requests to a fixed host port.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::compose::Described;
use crate::house::{HAKO, House, await_that, signal};
use crate::transcript;

const PAGE: &str = include_str!("../../../../docs/rollout.md");

/// How many rollouts the test makes; the figure in the benchmark's tables is of a hundred.
fn rounds() -> usize {
    std::env::var("HAKO_TEST_ROLLOUTS").ok().and_then(|number| number.parse().ok()).unwrap_or(4)
}

/// Clients that ask again and again, each time over a connection of its own.
struct Clients {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Clients {
    /// So many requests a second in all, from a few threads to a few addresses.
    fn begin(addresses: &[&str], per_second: u32) -> Self {
        const THREADS: u32 = 8;
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let pause = Duration::from_secs(1) * THREADS / per_second;
        let threads = (0..THREADS).map(|number| {
            let address: SocketAddr = addresses[number as usize % addresses.len()].parse().unwrap();
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                let (mut failures, mut next) = (Vec::new(), Instant::now());
                while !stop.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    match ask(address) {
                        Ok(answer) if answer.ends_with("version\n") => {}
                        Ok(answer) => failures.push(format!("{address} answered {answer:?}")),
                        Err(error) => failures.push(format!("{address}: {error}")),
                    }
                    next += pause;
                    std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
                }
                failures
            })
        });
        Self { threads: threads.collect(), stop, asked }
    }

    /// How many requests there were, and what went wrong.
    fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (self.asked.load(Ordering::Relaxed), failures)
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn the_page_about_rollouts() {
    let house = House::new();
    house.ok(["version"]);
    let bin = house.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(HAKO, bin.join("hako")).unwrap();
    transcript::follow(&house, PAGE, &bin);
    assert_eq!(house.ok(["ps", "-aq"]), "", "the page tidies up");
}

/// One replica, a fixed port, no health check: that it listens is all there is to go by.
fn web(version: usize) -> String {
    format!(
        "services:\n  web:\n    image: busybox\n    ports: ['8080:80']\n    stop_grace_period: 0s\n    \
         command: sh -c 'mkdir -p /www && echo {version} version > /www/index.html && sleep 0.1 && exec httpd -f -h /www -p 80'\n"
    )
}

#[test]
fn a_fixed_port_moves_without_a_failed_request() {
    let house = House::new();
    let shop = Described::new(&house, "");
    shop.write(&web(0));
    shop.ok(&["up", "-d", "--wait"]);
    await_that("the first answer", || {
        ask("127.0.0.1:8080".parse().unwrap()).is_ok_and(|text| text.contains("0 version"))
    });
    let clients = Clients::begin(&["127.0.0.1:8080", "[::1]:8080"], 1000);
    for round in 1..=rounds() {
        shop.write(&web(round));
        shop.ok(&["up", "-d", "--rollout"]);
        let answer = ask("127.0.0.1:8080".parse().unwrap()).unwrap();
        assert!(answer.contains(&format!("{round} version")), "{answer}");
        assert_eq!(shop.states(), "shop-web-1 running");
    }
    let (asked, failures) = clients.end();
    println!("{} rollouts, {asked} requests, {} failed", rounds(), failures.len());
    assert!(
        failures.is_empty(),
        "{} of {asked} requests failed: {:?}",
        failures.len(),
        &failures[..failures.len().min(5)]
    );
    assert_eq!(house.ok(["port", "shop-web-1"]), "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080");
    assert_eq!(shop.ok(&["plan"]), "Nothing to do: everything is as described.");
    shop.ok(&["down"]);
    assert_eq!(house.ok(["ps", "-aq"]), "");
}

#[test]
fn a_version_that_does_not_listen_never_gets_the_port() {
    let house = House::new();
    let shop = Described::new(&house, "");
    shop.write(&web(1));
    shop.ok(&["up", "-d", "--wait"]);
    await_that("the first answer", || {
        ask("127.0.0.1:8080".parse().unwrap()).is_ok_and(|text| text.contains("1 version"))
    });
    let clients = Clients::begin(&["127.0.0.1:8080"], 200);
    shop.write(&web(2).replace("-p 80", "-p 81"));
    let ended = shop.run(&["up", "-d", "--rollout", "--wait-timeout", "1"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("did not listen at its published port 80/tcp"), "{}", ended.stderr);
    shop.write(&web(3).replace("exec httpd", "exit 9; httpd"));
    let ended = shop.run(&["up", "-d", "--rollout"]);
    assert!(ended.stderr.contains("rolled back"), "{}", ended.stderr);
    let (asked, failures) = clients.end();
    assert!(failures.is_empty(), "{} of {asked}: {:?}", failures.len(), failures.first());
    assert_eq!(shop.states(), "shop-web-1 running");
    shop.ok(&["down"]);
}

/// Three replicas, the last of which falls ill in its new version: the first two go back without a failed request.
#[test]
fn a_rollback_is_not_noticed_either() {
    let house = House::new();
    let shop = Described::new(&house, "");
    let text = |version: usize, test: &str| {
        format!(
            "services:\n  web:\n    image: busybox\n    ports: ['8080-8082:80']\n    scale: 3\n    volumes: ['seen:/seen']\n    stop_grace_period: 0s\n    \
             command: sh -c 'echo {version} version > /index.html && exec httpd -f -h / -p 80'\n    \
             healthcheck: {{test: [CMD, sh, -c, {test:?}], interval: 100ms, retries: 1}}\n    \
             deploy: {{update_config: {{monitor: 100ms, delay: 10ms}}, rollback_config: {{parallelism: 2}}}}\nvolumes: {{seen: }}\n"
        )
    };
    shop.write(&text(1, "true"));
    shop.ok(&["up", "-d", "--wait"]);
    let before = shop.ok(&["ps", "-q"]);
    let clients = Clients::begin(&["127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8082"], 300);
    shop.write(&text(2, "true"));
    shop.ok(&["up", "-d"]);
    let between = shop.ok(&["ps", "-q"]);
    assert_ne!(between, before, "update_config alone makes a rollout of it");
    // Each of the new ones leaves its name in a volume; three are too many.
    shop.write(&text(3, "touch /seen/$$(hostname); test $$(ls /seen | wc -l) -le 2"));
    let ended = shop.run(&["up", "-d"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("Rolled back").count(), 2, "{}", ended.stderr);
    let (asked, failures) = clients.end();
    assert!(failures.is_empty(), "{} of {asked}: {:?}", failures.len(), failures.first());
    assert_eq!(shop.ok(&["ps", "-q"]), between);
    shop.ok(&["down", "-v"]);
}

#[test]
fn a_rollout_cut_short_is_completed_by_the_next_up() {
    let house = House::new();
    let shop = Described::new(&house, "");
    shop.write(&web(1));
    shop.ok(&["up", "-d", "--wait"]);
    shop.write(&web(2).replace("-p 80", "-p 81"));
    let mut child = shop.command(&["up", "-d", "--rollout"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    await_that("the successor", || shop.states().lines().filter(|line| line.ends_with("running")).count() == 2);
    signal(child.id().cast_signed(), "KILL");
    child.wait().unwrap();
    shop.write(&web(3));
    let plan = shop.ok(&["plan"]);
    assert!(plan.contains("- container"), "what was left goes: {plan}");
    shop.ok(&["up", "-d"]);
    assert_eq!(shop.states(), "shop-web-1 running", "{plan}");
    await_that("the answer", || ask("127.0.0.1:8080".parse().unwrap()).is_ok_and(|text| text.contains("3 version")));
    shop.ok(&["down"]);
}

#[test]
fn a_successor_without_its_name_gets_it_from_the_next_up() {
    let house = House::new();
    let shop = Described::new(&house, "services: {web: {image: busybox, command: sleep 600, stop_grace_period: 0s}}");
    shop.ok(&["up", "-d"]);
    let id = shop.id("shop-web-1");
    house.ok(["rename", "shop-web-1", "0123456789ab_shop-web-1"]);
    assert_eq!(shop.ok(&["plan"]), "~ container 0123456789ab_shop-web-1: renamed to shop-web-1");
    shop.ok(&["up", "-d"]);
    assert_eq!((shop.states(), shop.id("shop-web-1")), ("shop-web-1 running".to_owned(), id));
    shop.ok(&["down"]);
}

#[test]
fn the_rest_of_deploy_works_or_is_named() {
    let house = House::new();
    let shop = Described::new(
        &house,
        "services:\n  web:\n    image: busybox\n    command: sleep 600\n    stop_grace_period: 0s\n    deploy:\n      \
         restart_policy: {condition: on-failure, delay: 2s, window: 1m, max_attempts: 3}\n      \
         placement: {constraints: [node.role==manager]}\n",
    );
    let ended = shop.run(&["up", "-d"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains(r#"service "web": deploy.placement has no effect on one host"#), "{}", ended.stderr);
    let policy = house.inspect("shop-web-1", "{{json .HostConfig.RestartPolicy}}");
    for part in [r#""MaximumRetryCount":3"#, r#""MinimumDelay":2000000000"#, r#""ResetAfter":60000000000"#] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!shop.run(&["up", "-d"]).stderr.contains("placement"), "it is said when something is made");
    shop.ok(&["down"]);
}
