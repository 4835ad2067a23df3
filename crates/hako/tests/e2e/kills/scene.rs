//! What a round takes place in: a house with containers that must not notice anything, a registry, and the one container
//! or image a verb is about.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Instant, SystemTime};

use crate::house::{House, PATIENCE, alive, await_that, processes, signal};
use crate::registry::Registry;

use super::chance::Chance;
use super::truth;

/// Counts up, a line each, until it is asked to end; then its exit code is 7.
const COUNTING: &str = "trap 'exit 7' TERM; i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done";

/// What somebody is in the middle of when the kill comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Start,
    Run,
    Stop,
    Restart,
    Exec,
    Remove,
    Commit,
    Pull,
    Load,
}

impl Verb {
    pub(super) const ALL: [Verb; 10] = [
        Verb::Create,
        Verb::Start,
        Verb::Run,
        Verb::Stop,
        Verb::Restart,
        Verb::Exec,
        Verb::Remove,
        Verb::Commit,
        Verb::Pull,
        Verb::Load,
    ];
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    Daemon,
    Supervisor,
    /// A first process: before it became the container's program, or after.
    First,
    Client,
}

impl Victim {
    /// The daemon twice: most is lost with it.
    pub(super) const ALL: [Victim; 5] =
        [Victim::Daemon, Victim::Daemon, Victim::Supervisor, Victim::First, Victim::Client];
}

/// A container that runs through all rounds.
pub(super) struct Steady {
    pub(super) id: String,
    pub(super) pid: i32,
    supervisor: i32,
}

/// The house of all rounds.
pub(super) struct Scene {
    pub(super) house: House,
    pub(super) steady: Vec<Steady>,
    /// The control group all of the house's containers are in, below every hierarchy.
    pub(super) group: String,
    registry: Registry,
    archive: PathBuf,
}

/// The name pulled and the name loaded.
const LOADED: &str = "loaded:1";

impl Scene {
    pub(super) fn new() -> Scene {
        let house = House::new();
        let registry = Registry::start();
        let archive = house.path().join("loaded.tar");
        provide_images(&house, &registry, &archive);
        let steady = |name: &str, network: &str| {
            let id = house.ok(["run", "-d", "--name", name, "--network", network, "busybox", "sh", "-c", COUNTING]);
            let pid = house.inspect(name, "{{.State.Pid}}").parse().unwrap();
            Steady { id, pid, supervisor: parent(pid) }
        };
        let steady = vec![steady("steady", "bridge"), steady("alone", "none")];
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", steady[0].pid)).unwrap();
        let group = groups.lines().find_map(|line| Some(line.split_once("/hako-")?.1.split('/').next()?.to_owned()));
        Scene { house, steady, group: format!("hako-{}", group.unwrap()), registry, archive }
    }

    pub(super) fn pulled(&self) -> String {
        format!("{}/app:1", self.registry.address())
    }

    /// Others who want something at the same time.
    pub(super) fn company(&self, round: u64) -> Vec<Client> {
        let arguments = |number: u64| {
            let name = format!("r{round}-company{number}");
            let network = ["none", "bridge"][(number % 2) as usize];
            ["run", "--rm", "--name", &name, "--network", network, "busybox", "true"].map(str::to_owned)
        };
        (0..2).map(|number| self.client(arguments(number).to_vec())).collect()
    }

    /// Begins what the round is about.
    pub(super) fn begin(&self, target: &Target) -> Client {
        self.client(target.words(self))
    }

    fn client(&self, arguments: Vec<String>) -> Client {
        let mut command = self.house.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Client { child: command.spawn().expect("the hako binary") }
    }

    /// Kills. The answer is whether no daemon is left.
    pub(super) fn strike(&self, victim: Victim, client: &mut Client, chance: &mut Chance) -> bool {
        match victim {
            Victim::Daemon if self.house.daemon_pid().is_some() => {
                self.house.kill_daemon();
                return true;
            }
            Victim::Daemon => {}
            Victim::Client => drop(client.child.kill()),
            Victim::Supervisor | Victim::First => {
                let (supervisors, firsts) = self.mortals();
                let among = if victim == Victim::Supervisor { supervisors } else { firsts };
                if !among.is_empty() {
                    let pid = *chance.pick(&among);
                    // It may have ended meanwhile.
                    let _ = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).output();
                }
            }
        }
        false
    }

    /// The supervisors of this house and their first processes, but for the steady containers'.
    fn mortals(&self) -> (Vec<i32>, Vec<i32>) {
        let all = self.supervisors();
        let spared = |pid: &i32| self.steady.iter().any(|steady| steady.supervisor == *pid || steady.pid == *pid);
        let firsts = processes().into_iter().map(|(pid, _)| pid).filter(|pid| all.contains(&parent(*pid)));
        let firsts = firsts.filter(|pid| !spared(pid)).collect();
        (all.iter().copied().filter(|pid| !spared(pid)).collect(), firsts)
    }

    /// Every supervisor of this house, spares among them.
    pub(super) fn supervisors(&self) -> Vec<i32> {
        let group = format!("/{}/", self.group);
        let named = |command: &str| command.starts_with("hako supervise ") && command.contains(&group);
        let all: Vec<i32> = processes().into_iter().filter(|(_, command)| named(command)).map(|(pid, _)| pid).collect();
        // A seed bears its supervisor's words until it becomes a container.
        all.iter().copied().filter(|pid| !all.contains(&parent(*pid))).collect()
    }

    /// While no daemon runs, a container that ends is recorded, and one that is to be restarted is.
    pub(super) fn live_without_daemon(&self, round: u64) {
        let (ember, phoenix) = (format!("r{round}-ember"), format!("r{round}-phoenix"));
        let common = ["run", "-d", "--network", "none", "--name"];
        self.house.ok(common.into_iter().chain([&*ember, "busybox", "sh", "-c", COUNTING]));
        self.house.ok(common.into_iter().chain([&*phoenix, "--restart", "always", "busybox", "sh", "-c", COUNTING]));
        let pid = |name: &str| self.house.inspect(name, "{{.State.Pid}}").parse::<i32>().unwrap();
        let (first, second) = (pid(&ember), pid(&phoenix));
        let supervisor = parent(second);
        self.house.kill_daemon();
        let before = SystemTime::now();
        signal(first, "TERM");
        signal(second, "KILL");
        await_that("the end of the one", || !alive(first));
        await_that("the other to be restarted", || {
            let risen = |(pid, command): &(i32, String)| *pid != second && command.starts_with("sh -c");
            processes().iter().any(|process| risen(process) && parent(process.0) == supervisor)
        });
        let after = SystemTime::now();
        assert_eq!(self.house.daemon_pid(), None, "nobody asked for a daemon");
        assert_eq!(self.house.inspect(&ember, "{{.State.Status}} {{.State.ExitCode}}"), "exited 7");
        let finished = truth::moment(&self.house.inspect(&ember, "{{.State.FinishedAt}}"));
        assert!(before <= finished && finished <= after, "{before:?} {finished:?} {after:?}");
        assert_eq!(self.house.inspect(&phoenix, "{{.State.Status}} {{.RestartCount}}"), "running 1");
        truth::story(self, &ember, &["create", "start", "die"]);
        truth::story(self, &phoenix, &["create", "start", "die", "start"]);
    }

    /// Removes what the round made, but for images that all rounds use.
    pub(super) fn clear(&self, target: &Target, round: u64) {
        let listed = self.house.ok(["ps", "-a", "--format", "{{.Names}}"]);
        let own = format!("r{round}-");
        let names: Vec<&str> = listed.lines().filter(|name| name.starts_with(&own)).collect();
        if !names.is_empty() {
            self.house.ok(["rm", "-f"].into_iter().chain(names));
        }
        if let Some(image) = target.makes(self) {
            // Whether it came to be was the kill's affair.
            self.house.run(["rmi", "-f", &image]);
        }
    }

    /// Ends everything and looks whether anything is left.
    pub(super) fn close(self) {
        for steady in &self.steady {
            truth::whole_log(&self.house, &steady.id);
        }
        truth::numbered_events(&self.house);
        self.house.ok(["rm", "-f"].into_iter().chain(self.steady.iter().map(|steady| steady.id.as_str())));
        self.house.ok(["system", "prune", "-af", "--volumes"]);
        truth::store_is_empty(&self.house);
        let pid = self.house.daemon_pid().expect("a running daemon");
        signal(pid, "TERM");
        await_that("the daemon to leave", || !alive(pid));
        await_that("the groups to go", || truth::groups(&self.group).is_empty());
    }
}

/// Something to pull and something to load, neither of them in the house.
fn provide_images(house: &House, registry: &Registry, archive: &std::path::Path) {
    let pulled = format!("{}/app:1", registry.address());
    house.ok(["create", "--name", "draft", "busybox"]);
    for layer in 0..3 {
        let file = house.path().join(format!("layer{layer}"));
        let content: Vec<u8> = (0..600_000u32).map(|n| (n.wrapping_mul(2_654_435_761 + layer) >> 13) as u8).collect();
        std::fs::write(&file, content).unwrap();
        house.ok(["cp", file.to_str().unwrap(), &format!("draft:/tmp/layer{layer}")]);
        house.ok(["commit", "draft", "stage"]);
        house.ok(["rm", "draft"]);
        house.ok(["create", "--name", "draft", "stage"]);
    }
    house.ok(["rm", "draft"]);
    house.ok(["tag", "stage", &pulled]);
    house.ok(["tag", "stage", LOADED]);
    house.ok(["push", "-q", &pulled]);
    house.ok(["save", "-o", archive.to_str().unwrap(), LOADED]);
    house.ok(["rmi", "stage", LOADED, &pulled]);
}

/// What the verb of a round is about.
pub(super) struct Target {
    pub(super) verb: Verb,
    pub(super) name: String,
    /// Its first process when the verb began.
    pub(super) pid: Option<i32>,
    pub(super) began: SystemTime,
    /// How the client ended, if nobody killed it.
    pub(super) code: Option<i32>,
}

impl Target {
    /// Makes what must exist before the verb.
    pub(super) fn prepare(scene: &Scene, verb: Verb, round: u64) -> Target {
        let name = format!("r{round}-target");
        let began = SystemTime::now();
        let mut target = Target { verb, name, pid: None, began, code: None };
        let house = &scene.house;
        let arguments = ["--name", &target.name, "busybox", "sh", "-c", COUNTING];
        match verb {
            Verb::Start => drop(house.ok(["create"].into_iter().chain(arguments))),
            Verb::Stop | Verb::Restart | Verb::Exec | Verb::Remove | Verb::Commit => {
                house.ok(["run", "-d"].into_iter().chain(arguments));
                target.pid = house.inspect(&target.name, "{{.State.Pid}}").parse().ok();
                // Only now does it know how to end.
                await_that("the first line", || house.ok(["logs", &target.name]).starts_with('0'));
            }
            Verb::Create | Verb::Run | Verb::Pull | Verb::Load => {}
        }
        target
    }

    /// The verb's command line.
    fn words(&self, scene: &Scene) -> Vec<String> {
        let name = self.name.as_str();
        let archive = scene.archive.to_str().unwrap();
        let image = self.makes(scene).unwrap_or_default();
        let words: &[&str] = match self.verb {
            Verb::Create => &["create", "--name", name, "busybox", "sh", "-c", COUNTING],
            Verb::Start => &["start", name],
            Verb::Run => &["run", "--rm", "--name", name, "busybox", "sh", "-c", "echo up; sleep 0.05; exit 5"],
            Verb::Stop => &["stop", name],
            Verb::Restart => &["restart", name],
            Verb::Exec => &["exec", name, "sh", "-c", "echo in; sleep 0.05; exit 5"],
            Verb::Remove => &["rm", "-f", name],
            Verb::Commit => &["commit", name, &image],
            Verb::Pull => &["pull", &image],
            Verb::Load => &["load", "-i", archive],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// The image the verb makes, if it makes one.
    pub(super) fn makes(&self, scene: &Scene) -> Option<String> {
        match self.verb {
            Verb::Commit => Some(format!("{}-image", self.name)),
            Verb::Pull => Some(scene.pulled()),
            Verb::Load => Some(LOADED.to_owned()),
            _ => None,
        }
    }

    /// How to make the image once more.
    pub(super) fn retry(&self, scene: &Scene) -> Vec<String> {
        self.words(scene)
    }

    pub(super) fn see(&mut self, code: Option<i32>) {
        self.code = code;
    }
}

/// A command on its way.
pub(super) struct Client {
    child: Child,
}

impl Client {
    /// Waits for its end; the exit code, unless it was killed.
    pub(super) fn end(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("a client hangs");
            }
            std::thread::park_timeout(std::time::Duration::from_millis(2));
        }
    }

    /// Waits for its end, whatever that is.
    pub(super) fn leave(self) {
        let _ = self.end();
    }
}

/// The parent of a process; 0 if it is gone.
pub(super) fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}
