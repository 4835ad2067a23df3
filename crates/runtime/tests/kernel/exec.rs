//! Further processes in a running container.

use hako_runtime::exec::{self, Stage, Target};
use hako_runtime::spec::{ConsoleSize, Seccomp};
use hako_runtime::stdio::Stdio;
use hako_sys::process::Exit;

use crate::vessel::{Vessel, await_text, read};

pub(crate) const CASES: &[crate::Case] = &[
    ("exec_is_as_confined_as_the_container", confined),
    ("exec_tells_why_a_program_cannot_be_executed", errors),
    ("exec_gives_a_terminal_of_the_container", terminal),
    ("exec_stage_serves_many_and_hides", stage),
    ("exec_working_directory_cannot_be_outside", outside),
    ("exec_in_an_ended_container_fails", ended),
];

const PROBE: &str = "grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status; hostname; cat /proc/self/cgroup | grep -v :/$; \
                     for n in mnt pid net ipc uts cgroup; do stat -L -c %i /proc/self/ns/$n; done; ls /proc/self/fd";

fn confined() {
    let vessel = Vessel::new();
    let probe = ["sh", "-c", PROBE];
    let first = vessel.launch(&vessel.spec(&["sh", "-c", &format!("{PROBE}; echo END; sleep 100")])).unwrap();
    let of_first = await_text(first.streams.stdout.as_ref().unwrap(), "END\n");
    let done = vessel.exec(&first, &probe);
    assert_eq!(done.exit, Exit::Code(0), "{}", done.error);
    assert_eq!(format!("{}END\n", done.output), of_first);
    // Even the process list shows nothing but the container's own.
    let listed = vessel.exec(&first, &["ps", "-o", "comm"]).output;
    assert_eq!(listed, "COMMAND\nsleep\nps\n");
    first.process.kill(9).unwrap();
    vessel.finish(first);
}

fn errors() {
    let vessel = Vessel::new();
    let first = vessel.launch(&vessel.spec(&["sleep", "100"])).unwrap();
    let target = Target::new(&first.process, &first.group, None);
    let run = |args: &[&str]| exec::spawn(vessel.witness, &target, &vessel.spec(args).process.unwrap(), Stdio::Null);
    assert_eq!(run(&["nope"]).unwrap_err().exit_code(), 127);
    assert_eq!(run(&["/etc/passwd"]).unwrap_err().to_string(), "exec: \"/etc/passwd\": permission denied");
    first.process.kill(9).unwrap();
    vessel.finish(first);
}

fn terminal() {
    let vessel = Vessel::new();
    std::os::unix::fs::symlink("busybox", vessel.path("lower/bin/stty")).unwrap();
    let first = vessel.launch(&vessel.spec(&["sleep", "100"])).unwrap();
    let usual = Seccomp::builtin();
    let target = Target::new(&first.process, &first.group, Some(&usual));
    let size = Some(ConsoleSize { height: 21, width: 43 });
    let process = vessel.spec(&["sh", "-c", "tty; stty size; cat"]).process.unwrap();
    let done = exec::spawn(vessel.witness, &target, &process, Stdio::Terminal { size }).unwrap();
    let terminal = done.streams.terminal.unwrap();
    assert_eq!(await_text(&terminal, "21 43\r\n"), "/dev/pts/0\r\n21 43\r\n");
    // The interrupt character reaches the program: the terminal is its controlling one.
    rustix::io::write(&terminal, b"\x03").unwrap();
    assert_eq!(done.process.wait().unwrap(), Exit::Signal(2));
    drop(terminal);
    first.process.kill(9).unwrap();
    vessel.finish(first);
}

fn stage() {
    let vessel = Vessel::new();
    let first = vessel.launch(&vessel.spec(&["sleep", "100"])).unwrap();
    let usual = Seccomp::builtin();
    let target = Target::new(&first.process, &first.group, Some(&usual));
    let stage = Stage::open(vessel.witness, &target).unwrap();
    for number in 0..20 {
        let process = vessel.spec(&["sh", "-c", &format!("echo {number}; exit {number}")]).process.unwrap();
        let mut done = stage.spawn(&process, Stdio::Pipes { stdin: false }).unwrap();
        assert_eq!(read(done.streams.stdout.take()), format!("{number}\n"));
        assert_eq!(done.process.wait().unwrap(), Exit::Code(number));
    }
    assert!(first.group.pids().unwrap().contains(&stage.pid()));
    let held = std::fs::read_dir(format!("/proc/{}/fd", stage.pid())).unwrap().count();
    assert!(held <= 4, "the stage keeps {held} descriptors");
    let hidden = stage.spawn(&vessel.spec(&["ps"]).process.unwrap(), Stdio::Pipes { stdin: false }).unwrap();
    assert!(!read(hidden.streams.stdout).contains("hako"));
    hidden.process.wait().unwrap();
    drop(stage);
    first.process.kill(9).unwrap();
    vessel.finish(first);
}

fn outside() {
    let vessel = Vessel::new();
    let first = vessel.launch(&vessel.spec(&["sleep", "100"])).unwrap();
    for number in 0..16 {
        let mut process = vessel.spec(&["true"]).process.unwrap();
        process.cwd = format!("/proc/self/fd/{number}");
        let target = Target::new(&first.process, &first.group, None);
        let error = exec::spawn(vessel.witness, &target, &process, Stdio::Null).unwrap_err().to_string();
        assert!(error.starts_with("chdir to cwd"), "{error}");
        let mut spec = vessel.spec(&["true"]);
        spec.process.as_mut().unwrap().cwd = format!("/proc/self/fd/{number}");
        spec.linux.as_mut().unwrap().cgroups_path.push_str("-2");
        let mut options = vessel.options(Stdio::Null);
        options.rootfs = hako_runtime::launch::RootfsPlan::Directory { path: vessel.path("lower") };
        let error = vessel.launch_with(None, &spec, options).unwrap_err().to_string();
        assert!(error.starts_with("chdir to cwd") || error.starts_with("mkdir"), "{error}");
    }
    first.process.kill(9).unwrap();
    vessel.finish(first);
}

fn ended() {
    let vessel = Vessel::new();
    let first = vessel.launch(&vessel.spec(&["true"])).unwrap();
    hako_sys::poll::wait_one(first.process.pidfd(), hako_sys::poll::Interest::Read, Some(crate::vessel::ENOUGH))
        .unwrap();
    let target = Target::new(&first.process, &first.group, None);
    assert!(exec::spawn(vessel.witness, &target, &vessel.spec(&["true"]).process.unwrap(), Stdio::Null).is_err());
    vessel.finish(first);
}
