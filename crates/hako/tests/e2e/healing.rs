//! What somebody takes away comes back by itself: rules, bridges, with a daemon and without.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::house::{House, await_that, run_tool};

const SERVE: &str = "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\npage' | nc -l -p 80 >/dev/null; done";

fn page() -> bool {
    let fetch = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&"127.0.0.1:8888".parse().unwrap(), Duration::from_millis(300))?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    fetch().is_ok_and(|answer| answer.ends_with("page"))
}

/// Everything works again within two seconds of `harm`.
fn heals(what: &str, harm: impl FnOnce(), works: impl Fn() -> bool) {
    heals_within(Duration::from_secs(2), what, harm, works);
}

fn heals_within(bound: Duration, what: &str, harm: impl FnOnce(), works: impl Fn() -> bool) {
    await_that("things to work before", &works);
    harm();
    let began = Instant::now();
    while !works() {
        assert!(began.elapsed() < bound, "{what}: not mended within {bound:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn rules_and_bridges_come_back_by_themselves() {
    let house = House::new();
    house.ok(["network", "create", "front"]);
    house.ok(["run", "-d", "--name", "web", "--network", "front", "-p", "8888:80", "busybox", "sh", "-c", SERVE]);
    house.ok(["run", "-d", "--name", "bob", "--network", "front", "busybox", "sleep", "600"]);
    let bridge = format!("hk-{}", &house.ok(["network", "inspect", "-f", "{{.Id}}", "front"])[..12]);
    let pid = house.inspect("bob", "{{.State.Pid}}");
    let pings = || {
        let told = ["-t", &pid, "-n", "busybox", "ping", "-c1", "-W1"];
        let web = house.inspect("web", "{{.NetworkSettings.Networks.front.IPAddress}}");
        std::process::Command::new("nsenter").args(told).arg(&web).output().is_ok_and(|ended| ended.status.success())
    };
    let flush = || drop(run_tool("nft", ["flush", "ruleset"]));
    let empty = || {
        let tables = run_tool("nft", ["list", "tables"]);
        let ours = tables.lines().find(|line| line.contains("hako")).unwrap().to_owned();
        run_tool("sh", ["-c", &format!("nft flush {ours}")]);
    };
    let delete = || drop(run_tool("ip", ["link", "del", &bridge]));
    let listed = || run_tool("nft", ["-a", "list", "ruleset"]);
    // Every chain of the table, one after the other: emptied, or taken away as far as nothing refers to it.
    let chains = || {
        let (mut table, mut found) = (String::new(), Vec::new());
        for line in listed().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["table", family, name, ..] => table = format!("{family} {name}"),
                ["chain", name, ..] if table.contains("hako") => found.push(format!("{table} {name}")),
                _ => {}
            }
        }
        found
    };
    let drop_table = || {
        let tables = run_tool("nft", ["list", "tables"]);
        for table in tables.lines().filter(|line| line.contains("hako")) {
            run_tool("sh", ["-c", &format!("nft delete {table}")]);
        }
    };
    heals("flushed rules", flush, page);
    heals("an emptied table", empty, page);
    heals("deleted tables", drop_table, || page() && !chains().is_empty());
    let all = chains();
    assert!(all.len() > 3, "{all:?}");
    let rules_of = |chain: &str| run_tool("sh", ["-c", &format!("nft list chain {chain}")]);
    for chain in &all {
        let before = rules_of(chain);
        let flush = || drop(run_tool("sh", ["-c", &format!("nft flush chain {chain}")]));
        heals(&format!("an emptied chain {chain}"), flush, || page() && rules_of(chain) == before);
    }
    heals("a deleted bridge", delete, || page() && pings());
    house.kill_daemon();
    heals("flushed rules without a daemon", flush, page);
    heals("a deleted bridge without a daemon", delete, page);
    heals(
        "both at once",
        || {
            flush();
            delete();
        },
        || page() && pings(),
    );
    house.ok(["run", "--rm", "--network", "front", "busybox", "ping", "-c1", "-W2", "web"]);
}

/// A bridge that is nearly full, by devices that are ports as containers' are.
fn crowded(bridge: &str) {
    let line = |number| {
        let join = |end: &str| format!("link set {end}{number} master {bridge}\n");
        format!("link add d{number} type veth peer name e{number}\n{}{}", join("d"), join("e"))
    };
    let lines: String = (0..480).map(line).collect();
    let mut ip = std::process::Command::new("ip");
    let mut child = ip.args(["-batch", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_joins_a_thousand_containers_comes_back_by_itself() {
    let house = House::new();
    house.ok(["network", "create", "front"]);
    let start = |name: &str| {
        house.ok(["run", "-d", "--name", name, "--network", "front", "busybox", "sleep", "600"]);
        house.inspect(name, "{{.NetworkSettings.Networks.front.IPAddress}}")
    };
    let first = start("first");
    let bridge = format!("hk-{}", &house.ok(["network", "inspect", "-f", "{{.Id}}", "front"])[..12]);
    crowded(&bridge);
    start("door");
    let addresses = [start("one"), start("two"), first];
    let pids = ["one", "two"].map(|name| house.inspect(name, "{{.State.Pid}}"));
    let pings = || {
        pids.iter().flat_map(|pid| addresses.iter().map(move |address| (pid, address))).all(|(pid, address)| {
            let mut ping = std::process::Command::new("nsenter");
            ping.args(["-t", pid, "-n", "busybox", "ping", "-c1", "-W1", address]);
            ping.output().is_ok_and(|ended| ended.status.success())
        })
    };
    let links = run_tool("ip", ["-br", "link"]);
    let device = |which: &dyn Fn(&str) -> bool| {
        let mut names = links.lines().filter_map(|line| line.split([' ', '@']).next());
        names.find(|name| which(name)).unwrap_or_else(|| panic!("{links}")).to_owned()
    };
    let annex = device(&|name| name.starts_with("hk.") && name.ends_with(".1"));
    let hub = device(&|name| name.starts_with("hk.") && name.ends_with('h'));
    let [near, far] = ["u0", "d1"].map(|end| device(&|name| name.starts_with("hk_") && name.ends_with(end)));
    // Each look takes some pings, of which a lost one takes a second.
    let bound = Duration::from_secs(20);
    for gone in [&annex, &hub, &near, &far, &bridge] {
        heals_within(bound, &format!("{gone} was deleted"), || drop(run_tool("ip", ["link", "del", gone])), pings);
    }
    house.kill_daemon();
    heals_within(bound, "an annex without a daemon", || drop(run_tool("ip", ["link", "del", &annex])), pings);
    house.ok(["rm", "-f", "first", "door", "one", "two"]);
    house.ok(["network", "rm", "front"]);
    let left = run_tool("ip", ["-br", "link"]);
    assert!(!left.contains("hk.") && !left.contains("hk_"), "{left}");
}

#[test]
fn a_firewall_that_reloads_with_a_policy_of_drop_is_no_end() {
    let house = House::new();
    house.ok(["network", "create", "front"]);
    house.ok(["run", "-d", "--name", "web", "--network", "front", "busybox", "sleep", "600"]);
    let reload = || {
        let rules = "table inet fw; flush table inet fw; \
             table inet fw { chain forward { type filter hook forward priority 0; policy drop; ct state established accept; }; }";
        run_tool("nft", [rules]);
    };
    let admitted = || run_tool("nft", ["list", "ruleset"]).contains("by hako");
    reload();
    house.ok(["run", "--rm", "--network", "front", "busybox", "true"]);
    heals("a reloaded firewall", reload, admitted);
    let flush = || drop(run_tool("nft", ["flush chain inet fw forward"]));
    heals("a chain of another's that was emptied", flush, admitted);
    let one = || {
        let rules = run_tool("nft", ["-a", "list", "chain", "inet", "fw", "forward"]);
        let rule = rules.lines().find(|line| line.contains("by hako")).unwrap();
        let handle = rule.rsplit(' ').next().unwrap();
        run_tool("nft", [&format!("delete rule inet fw forward handle {handle}")]);
    };
    let both = || run_tool("nft", ["list", "ruleset"]).matches("by hako").count() == 2;
    heals("one of the two rules that was taken out", one, both);
    run_tool("nft", ["delete", "table", "inet", "fw"]);
}

#[test]
fn bridges_are_made_anew_when_nothing_runs() {
    let house = House::new();
    house.ok(["network", "create", "front"]);
    let bridge = format!("hk-{}", &house.ok(["network", "inspect", "-f", "{{.Id}}", "front"])[..12]);
    run_tool("ip", ["link", "del", &bridge]);
    run_tool("nft", ["flush", "ruleset"]);
    house.ok(["run", "--rm", "--network", "front", "busybox", "true"]);
    assert!(run_tool("ip", ["link", "show", &bridge]).contains(&bridge));
    run_tool("ip", ["link", "del", &bridge]);
    house.ok(["network", "rm", "front"]);
}
