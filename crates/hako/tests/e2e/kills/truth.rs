//! What must be true after a kill, however it came.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::house::{House, await_that, processes, run_tool};

use super::scene::{Scene, Target, Verb, Victim};

/// Spares a daemon keeps.
const SPARES: usize = 3;

/// Everything one round can have changed.
pub(super) fn look_over(scene: &Scene, target: &Target, victim: Victim) {
    for steady in &scene.steady {
        assert_eq!(
            scene.house.inspect(&steady.id, "{{.State.Status}} {{.State.Pid}} {{.RestartCount}}"),
            format!("running {} 0", steady.pid)
        );
        latest_log(&scene.house, &steady.id);
    }
    listing(scene);
    what_was_promised(scene, target, victim);
    if target.makes(scene).is_some() {
        image(scene, target);
    }
    history(scene, target);
    numbered_events(&scene.house);
}

/// What is listed is so: what runs has its process, what does not run has none, and nobody is unlisted.
fn listing(scene: &Scene) {
    soon(|| {
        let mut groups = inhabited(scene);
        let all = groups.clone();
        let listed = scene.house.ok(["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}"]);
        let untrue = listed.lines().filter_map(|line| line.split_once(' ')).find(|(id, state)| {
            let pid: i32 = scene.house.inspect_or_empty(id, "{{.State.Pid}}").parse().unwrap_or(0);
            let before = groups.len();
            groups.retain(|_, pids| !pids.contains(&pid));
            (groups.len() < before) != matches!(*state, "running" | "paused")
        });
        let right = untrue.is_none() && groups.is_empty();
        right.then_some(()).ok_or_else(|| format!("listed {listed:?}; processes {all:?}; wrong: {untrue:?} {groups:?}"))
    });
}

/// Asks again until there is nothing to complain of; twenty seconds of complaints are a failure.
fn soon(mut holds: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(complaint) = holds() {
        assert!(Instant::now() < deadline, "{complaint}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The processes of containers, by control group: all but seeds, which bear their supervisor's words.
fn inhabited(scene: &Scene) -> BTreeMap<String, Vec<i32>> {
    let place = format!("/{}/", scene.group);
    let mut groups: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (pid, _) in processes().into_iter().filter(|(_, command)| !command.starts_with("hako supervise ")) {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let inside = text.lines().find_map(|line| line.split_once(&place)).map(|(_, rest)| rest);
        if let Some(name) = inside.and_then(|rest| rest.split('/').next()) {
            groups.entry(name.to_owned()).or_default().push(pid);
        }
    }
    groups
}

/// A verb that said yes has happened; one that did not say it has happened wholly or not at all.
fn what_was_promised(scene: &Scene, target: &Target, victim: Victim) {
    let house = &scene.house;
    let template = "{{.State.Status}} {{.State.ExitCode}}";
    let ended = house.run(["inspect", "--format", template, &target.name]);
    let state = if ended.code == 0 { ended.stdout.trim().to_owned() } else { "gone".to_owned() };
    let yes = target.code == Some(0);
    // Whose supervisor or first process is killed has ended by a kill.
    let hit = matches!(victim, Victim::Supervisor | Victim::First);
    let possible: &[&str] = match target.verb {
        Verb::Create if yes => &["created 0"],
        Verb::Create => &["created 0", "gone"],
        Verb::Start if yes => &["running 0"],
        Verb::Start => &["created 0", "created 128", "created 125", "running 0"],
        Verb::Stop if yes => &["exited 7"],
        Verb::Stop => &["running 0", "exited 7"],
        Verb::Restart if yes => &["running 0"],
        // Between its two lives it may be left ended, as with dockerd.
        Verb::Restart => &["running 0", "exited 7"],
        Verb::Exec | Verb::Commit => &["running 0"],
        Verb::Remove if yes => &["gone"],
        Verb::Remove => &["running 0", "exited 137", "gone"],
        Verb::Run => &["created 0", "gone"],
        Verb::Pull | Verb::Load => &["gone"],
    };
    let by_kill = hit && ["exited 137", "exited 128", "exited 125", "created 127"].contains(&state.as_str());
    let removed_itself = target.verb == Verb::Run
        && (state.starts_with("running") || state.starts_with("exited"))
        && eventually_gone(house, &target.name);
    assert!(possible.contains(&state.as_str()) || by_kill || removed_itself, "{:?}: {state}", target.verb);
    if let (Verb::Exec | Verb::Commit, Some(pid), false) = (target.verb, target.pid, hit) {
        assert_eq!(house.inspect(&target.name, "{{.State.Pid}}"), pid.to_string());
    }
    if state.starts_with("exited") && !removed_itself {
        let finished = moment(&house.inspect(&target.name, "{{.State.FinishedAt}}"));
        assert!(target.began <= finished && finished <= SystemTime::now(), "{finished:?}");
    }
    if target.pid.is_some() && state != "gone" {
        lives_of_log(house, &target.name);
    }
}

fn eventually_gone(house: &House, name: &str) -> bool {
    await_that("the container to remove itself", || house.run(["inspect", name]).code != 0);
    true
}

/// An image is there and whole, or not at all; making it again makes it whole.
fn image(scene: &Scene, target: &Target) {
    let house = &scene.house;
    let name = target.makes(scene).unwrap();
    let there = house.run(["image", "inspect", &name]).code == 0;
    assert!(there || target.code != Some(0), "{name} was promised");
    if !there {
        let running = house.inspect_or_empty(&target.name, "{{.State.Running}}");
        if target.verb == Verb::Commit && running.is_empty() {
            return;
        }
        house.ok(target.retry(scene));
    }
    let listed = house.ok(["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert!(listed.lines().any(|line| line.starts_with(&name)), "{name} in {listed}");
    let whole = if target.verb == Verb::Commit { "test -x /bin/sh" } else { "cat /tmp/layer? | wc -c" };
    let said = house.ok(["run", "--rm", "--network", "none", &name, "sh", "-c", whole]);
    assert_eq!(said, if target.verb == Verb::Commit { "" } else { "1800000" });
}

/// Its events tell a life that is possible, and how it is now.
fn history(scene: &Scene, target: &Target) {
    soon(|| {
        let status = scene.house.inspect_or_empty(&target.name, "{{.State.Status}}");
        let told = actions(&scene.house, &target.name);
        let agrees = if told.is_empty() { status.is_empty() } else { tells(&told) == Some(status.as_str()) };
        agrees.then_some(()).ok_or_else(|| format!("{:?}: is {status:?} and was {told:?}", target.verb))
    });
}

/// What a container is after these events; none if they cannot be its story.
fn tells(told: &[String]) -> Option<&'static str> {
    let mut state = None;
    for action in told {
        state = match (state, action.as_str()) {
            (None, "create") => Some("created"),
            (Some("created" | "exited"), "start") => Some("running"),
            (Some("running"), "die") => Some("exited"),
            (Some("created" | "exited"), "destroy") => Some(""),
            _ => return None,
        };
    }
    state
}

/// What was told of a container's life, oldest first.
fn actions(house: &House, name: &str) -> Vec<String> {
    let filter = format!("container={name}");
    let said =
        house.ok(["events", "--since", "1", "--until", "0s", "--filter", &filter, "--format", "{{.Type}} {{.Action}}"]);
    let life = ["container create", "container start", "container die", "container destroy"];
    said.lines().filter(|line| life.contains(line)).map(|line| line["container ".len()..].to_owned()).collect()
}

/// Exactly these events, in this order.
pub(super) fn story(scene: &Scene, name: &str, wanted: &[&str]) {
    assert_eq!(actions(&scene.house, name), wanted, "{name}");
}

/// The events on disk are numbered without a gap.
pub(super) fn numbered_events(house: &House) {
    let text = |name: &str| std::fs::read_to_string(house.data().join(name)).unwrap_or_default();
    let all = text("events.1") + &text("events");
    let numbers: Vec<u64> = all.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
    let gap = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
    assert_eq!(gap, None, "the history has a gap or tells twice");
}

/// Every line of a counting container is in its log once.
pub(super) fn whole_log(house: &House, name: &str) {
    let log = house.ok(["logs", name]);
    let wrong = log.lines().enumerate().find(|(number, line)| number.to_string() != *line);
    assert_eq!(wrong, None, "the log of {name}");
}

/// The same, of the last lines only.
fn latest_log(house: &House, name: &str) {
    let log = house.ok(["logs", "--tail", "300", name]);
    let numbers: Vec<u64> = log.lines().map(|line| line.parse().expect("a whole line")).collect();
    let gap = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
    assert_eq!(gap, None, "the log of {name}");
}

/// Every life of a counting container begins with 0 and counts on.
fn lives_of_log(house: &House, name: &str) {
    let log = house.ok(["logs", name]);
    let numbers: Vec<u64> = log.lines().map(|line| line.parse().expect("a whole line")).collect();
    let gap = numbers.windows(2).find(|pair| pair[1] != 0 && pair[0] + 1 != pair[1]);
    assert_eq!((gap, numbers.first()), (None, Some(&0)), "the log of {name}");
}

/// Between rounds only the steady containers and the daemon's spares are there.
pub(super) fn nothing_left(scene: &Scene) {
    soon(|| {
        let left = strays(scene);
        if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:#?}")) }
    });
}

fn strays(scene: &Scene) -> Vec<String> {
    let house = &scene.house;
    let known = |name: &str| scene.steady.iter().any(|steady| name.starts_with(&steady.id));
    let entries = |path: &Path| -> Vec<String> {
        let names = std::fs::read_dir(path).into_iter().flatten().flatten();
        names.map(|entry| entry.path().display().to_string()).collect()
    };
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut left: Vec<String> = entries(&house.data().join("containers"));
    left.extend(entries(&house.path().join("run/supervisors")));
    left.extend(entries(&house.path().join("run/names")).iter().flat_map(|network| entries(Path::new(network))));
    left.extend(groups(&scene.group).into_iter().filter(|path| !is_spare_in_use(path)));
    left.retain(|path| !known(&name(path)));
    left.extend(entries(&house.data().join("tmp")));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let root = house.path().to_str().unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(root)).map(str::to_owned));
    let links = run_tool("ip", ["-o", "link", "show", "type", "veth"]);
    left.extend(links.lines().skip(1).map(str::to_owned));
    let supervisors = scene.supervisors();
    if supervisors.len() > scene.steady.len() + SPARES {
        left.push(format!("supervisors {supervisors:?}"));
    }
    left
}

/// A control group whose supervisor waits for a container, or has one.
fn is_spare_in_use(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("spare-") && processes().iter().any(|(_, command)| command.trim_end().ends_with(name))
}

/// The control groups of a house's containers, and the house's own if it is there without any.
pub(super) fn groups(group: &str) -> Vec<String> {
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let roots = hierarchies.chain(["/sys/fs/cgroup".into()]).map(|root| root.join(group));
    let below = |root: std::path::PathBuf| std::fs::read_dir(root).into_iter().flatten().flatten();
    let inner = roots.flat_map(below).filter(|entry| entry.path().is_dir());
    inner.map(|entry| entry.path().display().to_string()).collect()
}

/// Nothing of what was ever stored takes up space.
pub(super) fn store_is_empty(house: &House) {
    let data = house.data();
    let places = ["blobs/sha256", "layers", "ingest", "tmp", "containers", "volumes", "images/records"];
    await_that("the store to be empty", || {
        places.iter().all(|place| std::fs::read_dir(data.join(place)).is_ok_and(|mut entries| entries.next().is_none()))
    });
}

/// A time as `inspect` tells it.
pub(super) fn moment(text: &str) -> SystemTime {
    let seconds = run_tool("date", ["-d", text, "+%s.%N"]);
    let (whole, part) = seconds.trim().split_once('.').unwrap();
    UNIX_EPOCH + Duration::new(whole.parse().unwrap(), part.parse().unwrap())
}
