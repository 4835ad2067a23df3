//! From start to end: exits, failures, stops, restarts, pauses, memory, engines that come and go.

use std::os::fd::AsFd;

use hako_model::restart::Policy;
use hako_model::state::{Refused, State};
use hako_supervisor::Handle;
use hako_supervisor::protocol::{Answer, Ask, Failure, Update};
use hako_supervisor::spec::{Memory, Resources};
use hako_sys::file::Lock;
use hako_sys::poll::{Interest, wait_one};

use crate::Case;
use crate::stage::{ENOUGH, Engine, Stage, short};

pub(crate) const CASES: &[Case] = &[
    ("a container runs, ends and leaves", runs_and_leaves),
    ("a program that is missing is told apart", missing_program),
    ("stop sends the signal, then SIGKILL", stop),
    ("stop of a container that stopped is refused", stop_twice),
    ("kill ends a paused container", kill_paused),
    ("pause and resume", pause),
    ("what an engine froze for itself goes on without it", hold),
    ("a policy restarts with growing pauses, a stop ends it", restarts),
    ("on-failure gives up", on_failure),
    ("a new engine hears what it missed", reconnect),
    ("a supervisor without engine leaves at the end", orphan),
    ("a spare goes with its engine", abandoned_spare),
    ("killing the supervisor kills the container", supervisor_killed),
    ("memory limit and oom are told", out_of_memory),
    ("signals to the supervisor are ignored", ignored_signals),
    ("requests that make no sense are refused", nonsense),
];

fn runs_and_leaves() {
    let stage = Stage::new("echo out; echo err >&2; exit 3");
    let mut engine = stage.engine();
    let status = engine.start(&stage).unwrap();
    assert!(status.pid() > 0 && !status.started_at.is_zero());
    assert_eq!(engine.until("die 3").seq, 2);
    assert_eq!(engine.finish(), 3);
    let mut log = stage.log();
    log.sort();
    assert_eq!(log, ["stderr: err", "stdout: out"]);
    let status = stage.status();
    assert_eq!((status.state.clone(), status.exit_code, status.pid()), (State::Exited, 3, 0));
    assert!(status.finished_at > status.started_at);
    assert!(!stage.description.socket.exists() && !Lock::is_held(&stage.path("lock")).unwrap());
    assert!(
        !hako_sys::cgroup::Group::open(&stage.description.spec.linux.as_ref().unwrap().cgroups_path).unwrap().exists()
    );
}

fn missing_program() {
    let mut stage = Stage::new("");
    stage.process().args = vec!["no-such-program".into()];
    let mut engine = stage.engine();
    let Err(Failure::Launch { exit_code, error }) = engine.start(&stage) else { panic!("started") };
    assert_eq!(exit_code, 127);
    assert!(error.contains("executable file not found in $PATH"), "{error}");
    assert_eq!(engine.finish(), 127);
    assert_eq!(stage.status().state, State::Created);
}

fn stop() {
    let stage = Stage::new("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    let mut engine = stage.start();
    crate::logs::wait_for_line(&stage, "stdout: ready");
    let Ok(Answer::Ended { status }) = engine.ask(Ask::Stop { signal: None, timeout: None, sender: None }) else {
        panic!()
    };
    assert!(status.manually_stopped && status.exit_code == 7);
    assert_eq!(engine.history, ["start", "kill 15", "die 7", "stop"]);
    engine.finish();

    let stage = Stage::new("trap '' TERM; echo ready; while :; do sleep 0.01; done");
    let mut engine = stage.start();
    crate::logs::wait_for_line(&stage, "stdout: ready");
    let Ok(Answer::Ended { status }) = engine.ask(Ask::Stop { signal: None, timeout: Some(0), sender: None }) else {
        panic!()
    };
    assert_eq!(status.exit_code, 137);
    assert_eq!(engine.history, ["start", "kill 15", "kill 9", "die 137", "stop"]);
    engine.finish();
}

fn stop_twice() {
    let stage = Stage::new("exit 0");
    let mut engine = stage.start();
    engine.until("left");
    let refused = engine.ask(Ask::Stop { signal: None, timeout: None, sender: None }).unwrap_err();
    assert_eq!(refused, Failure::Refused(Refused::Already));
    assert_eq!(engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap_err(), Failure::Refused(Refused::NotRunning));
    drop(engine);
}

fn kill_paused() {
    let stage = Stage::new("sleep 1000");
    let mut engine = stage.start();
    engine.ask(Ask::Pause).unwrap();
    let Ok(Answer::Ended { status }) = engine.ask(Ask::Kill { signal: 9, sender: None }) else { panic!() };
    assert_eq!(status.exit_code, 137);
    engine.finish();
}

fn pause() {
    let stage = Stage::new("while :; do echo tick; sleep 0.01; done");
    let mut engine = stage.start();
    crate::logs::wait_for_line(&stage, "stdout: tick");
    engine.ask(Ask::Pause).unwrap();
    assert!(stage.status().state.is_paused());
    assert_eq!(engine.ask(Ask::Pause).unwrap_err(), Failure::Refused(Refused::Paused));
    let before = stage.log().len();
    engine.ask(Ask::Resume).unwrap();
    assert_eq!(engine.ask(Ask::Resume).unwrap_err(), Failure::Refused(Refused::NotPaused));
    crate::logs::wait_until(&stage, |lines| lines.len() > before + 1);
    assert_eq!(engine.history, ["start", "pause", "unpause"]);
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    engine.finish();
}

fn restarts() {
    let mut stage = Stage::new("echo life; exit 1");
    stage.description.restart = Policy::Always;
    let mut engine = stage.start();
    let mut times = Vec::new();
    for _ in 0..4 {
        let died = engine.until("die 1");
        assert!(died.status.as_ref().unwrap().state.is_restarting());
        times.push(died.time);
    }
    let pauses: Vec<u128> = times.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
    assert!(pauses[0] >= 100 && pauses[1] >= 200 && pauses[2] >= 400 && pauses[2] < 2000, "{pauses:?}");
    assert_eq!(stage.status().restart_count, 4);
    let Ok(Answer::Ended { status }) = engine.ask(Ask::Stop { signal: None, timeout: None, sender: None }) else {
        panic!()
    };
    assert_eq!(status.state, State::Exited);
    engine.finish();
    assert_eq!(stage.log().len(), 4);
}

fn on_failure() {
    let mut stage = Stage::new("exit 5");
    stage.description.restart = Policy::OnFailure { max: 2 };
    let engine = stage.start();
    assert_eq!(engine.finish(), 5);
    assert_eq!(stage.status().restart_count, 2);
}

/// Another engine, which hears everything from the beginning.
fn come_back(stage: &Stage) -> Engine {
    let mut engine = Engine::new(Handle::connect(&stage.description.socket).unwrap());
    let Ok(Answer::Welcome(_)) = engine.ask(Ask::Hello { since: Some(0) }) else { panic!() };
    engine
}

fn hold() {
    let stage = Stage::new("while :; do echo tick; sleep 0.01; done");
    let mut engine = stage.start();
    let process = engine.handle.process().unwrap().try_clone().unwrap();
    engine.ask(Ask::Hold).unwrap();
    assert!(stage.status().state.is_paused());
    drop(engine);
    let mut later = come_back(&stage);
    later.until("unpause");
    assert!(!stage.status().state.is_paused());
    later.ask(Ask::Hold).unwrap();
    later.ask(Ask::Resume).unwrap();
    later.ask(Ask::Pause).unwrap();
    drop(later);
    let mut last = come_back(&stage);
    assert!(stage.status().state.is_paused(), "a plain pause stays");
    last.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    let left = last.until("left");
    last.send(Ask::Acknowledge { seq: left.seq }, &[]);
    process.wait().unwrap();
}

fn reconnect() {
    let stage = Stage::new("sleep 1000");
    let engine = stage.start();
    let pid = engine.handle.process().unwrap().try_clone().unwrap();
    drop(engine);
    let mut engine = Engine::new(Handle::connect(&stage.description.socket).unwrap());
    let Ok(Answer::Welcome(welcome)) = engine.ask(Ask::Hello { since: Some(0) }) else { panic!() };
    assert_eq!(welcome.container.as_ref(), Some(&stage.description.id));
    assert!(welcome.status.pid() > 0 && welcome.seq == 1 && !welcome.left);
    assert_eq!(short(&engine.event().kind), "start");
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    let left = engine.until("left");
    assert_eq!(left.seq, 4);
    engine.send(Ask::Acknowledge { seq: left.seq }, &[]);
    pid.wait().unwrap();
    let seen = hako_supervisor::journal::read(&stage.path("journal"), 1).unwrap();
    assert_eq!(seen.iter().map(|event| short(&event.kind)).collect::<Vec<_>>(), ["kill 9", "die 137", "left"]);
}

fn orphan() {
    let stage = Stage::new("sleep 0.2; echo done; exit 4");
    let engine = stage.start();
    let process = engine.handle.process().unwrap().try_clone().unwrap();
    drop(engine);
    process.wait().unwrap();
    assert_eq!((stage.status().exit_code, stage.log()), (4, vec!["stdout: done".to_owned()]));
    assert_eq!(hako_supervisor::journal::read(&stage.path("journal"), 0).unwrap().len(), 3);
}

fn abandoned_spare() {
    let stage = Stage::new("");
    let engine = stage.engine();
    let process = engine.handle.process().unwrap().try_clone().unwrap();
    drop(engine);
    process.wait().unwrap();
}

fn supervisor_killed() {
    let stage = Stage::new("sleep 1000");
    let mut engine = stage.start();
    let Ok(Answer::Status(status)) = engine.ask(Ask::Status) else { panic!() };
    let container = hako_sys::process::Process::open(status.pid().cast_signed()).unwrap();
    engine.handle.process().unwrap().kill(9).unwrap();
    assert!(wait_one(container.as_fd(), Interest::Read, Some(ENOUGH)).unwrap(), "the container dies");
    engine.handle.process().unwrap().wait().unwrap();
    assert!(!Lock::is_held(&stage.path("lock")).unwrap());
}

fn out_of_memory() {
    let mut stage = Stage::new("head -c 100m /dev/zero | tail -c 100m");
    let memory = Memory { limit: Some(16 << 20), swap: Some(16 << 20), ..Memory::default() };
    let resources = Resources { memory: Some(memory), ..Resources::default() };
    stage.description.spec.linux.as_mut().unwrap().resources = Some(resources);
    let mut engine = stage.start();
    engine.until("oom");
    engine.finish();
    assert!(stage.status().oom_killed);
}

fn ignored_signals() {
    let stage = Stage::new("sleep 1000");
    let mut engine = stage.start();
    for signal in [15, 2, 1] {
        engine.handle.process().unwrap().kill(signal).unwrap();
    }
    assert!(matches!(engine.ask(Ask::Status), Ok(Answer::Status(_))));
    let Ok(Answer::Processes(pids)) = engine.ask(Ask::Processes) else { panic!() };
    assert_eq!(pids.len(), 1);
    let update = Update { resources: None, restart: Some(Policy::Always) };
    engine.ask(Ask::Update(Box::new(update))).unwrap();
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    engine.finish();
}

fn nonsense() {
    let stage = Stage::new("sleep 1000");
    let mut engine = stage.engine();
    assert_eq!(engine.ask(Ask::Pause).unwrap_err(), Failure::Refused(Refused::NotRunning));
    assert!(engine.handle.send_encoded(br#"{"v":1,"id":7,"ask":{"fly":{}}}"#, &[]).unwrap());
    assert!(matches!(engine.reply(7), Err(Failure::Invalid { .. })));
    engine.start(&stage).unwrap();
    assert!(matches!(engine.start(&stage), Err(Failure::Invalid { .. })));
    assert!(matches!(engine.ask(Ask::Resume), Err(Failure::Refused(_))));
    // Without a terminal there is nothing to resize, and Docker answers that all is well.
    assert!(matches!(engine.ask(Ask::Resize { rows: 1, columns: 1 }), Ok(Answer::Done)));
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    engine.finish();
}
