//! Programs, terminals, control groups and the device program of cgroup v2, against the host's kernel.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use hako_sys::cgroup::{DeviceAccess, DeviceKind, DeviceRule, Group, Hierarchy, Version};
use hako_sys::process::{Exit, Process, Program};
use hako_sys::pty::{self, Pty};

#[test]
fn programs_get_only_what_they_are_given() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let program = Program::new(Path::new("/bin/busybox"))
        .unwrap()
        .args(["sh", "-c", "echo $A; ls /proc/self/fd; exit 4"])
        .unwrap()
        .env("A", std::ffi::OsStr::new("given"))
        .unwrap()
        .fd(writer.as_fd(), 1)
        .session();
    let process = program.spawn().unwrap();
    drop(writer);
    let mut output = String::new();
    reader.read_to_string(&mut output).unwrap();
    // 0 and 2 are inherited; 3 is the directory being listed.
    assert_eq!(output, "given\n0\n1\n2\n3\n");
    assert_eq!(process.wait().unwrap(), Exit::Code(4));
    assert!(Program::new(Path::new("/no/such")).unwrap().spawn().unwrap_err().is_not_found());
}

#[test]
fn processes_are_signalled_and_reaped() {
    let process = Program::new(Path::new("/bin/busybox")).unwrap().args(["sleep", "100"]).unwrap().spawn().unwrap();
    let other = Process::open(process.pid()).unwrap();
    assert!(other.is_alive() && process.try_wait().unwrap().is_none());
    assert!(hako_sys::proc::start_time(process.pid()).unwrap() > 0);
    let own = i32::try_from(std::process::id()).unwrap();
    let arguments: Vec<String> = std::env::args().collect();
    assert_eq!(hako_sys::proc::command_line(own).unwrap(), arguments);
    process.kill(15).unwrap();
    assert_eq!(process.wait().unwrap(), Exit::Signal(15));
    assert!(!other.is_alive() && process.kill(15).is_err());
}

#[test]
fn terminals_have_sizes_and_raw_modes() {
    let terminal = Pty::open().unwrap();
    pty::resize(&terminal.master, 40, 120).unwrap();
    assert_eq!(pty::size(&terminal.slave).unwrap(), (40, 120));
    assert!(pty::is_terminal(&terminal.slave));
    let echoes = || {
        let modes = rustix::termios::tcgetattr(&terminal.slave).unwrap().local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO)
    };
    let raw = pty::RawMode::enter(terminal.slave.as_fd()).unwrap();
    assert!(!echoes());
    drop(raw);
    assert!(echoes());
}

struct Removed(Group);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = self.0.kill_all();
        let _ = self.0.delete();
    }
}

#[test]
fn groups_are_made_renamed_and_removed() {
    let path = format!("/hako-sys-{}", std::process::id());
    let mut group = Removed(Group::create(&format!("{path}/one/deep")).unwrap());
    let top = Removed(Group::open(&path).unwrap());
    assert!(group.0.exists());
    let renamed = group.0.rename(&format!("{path}/one/other")).unwrap();
    assert_eq!(renamed, Hierarchy::of_host().unwrap().version() == Version::V1);
    assert!(!group.0.rename("/elsewhere/other").unwrap());
    // The shell takes itself in by the doors, as a process does before its program.
    let doors = group.0.doors().unwrap();
    let door = |door: &OwnedFd| format!("echo 0 >/proc/{}/fd/{} && ", std::process::id(), door.as_raw_fd());
    let command = doors.iter().map(door).collect::<String>() + "echo in && exec sleep 100";
    let (mut reader, writer) = std::io::pipe().unwrap();
    let program = Program::new(Path::new("/bin/busybox")).unwrap().args(["sh", "-c", &command]).unwrap();
    let process = program.fd(writer.as_fd(), 1).spawn().unwrap();
    reader.read_exact(&mut [0; 3]).unwrap();
    assert_eq!(top.0.pids().unwrap(), [process.pid()], "groups below count");
    assert!(top.0.delete().is_err(), "a group in use stays");
    top.0.kill_all().unwrap_or(());
    group.0.kill_all().unwrap();
    assert_eq!(process.wait().unwrap(), Exit::Signal(9));
    top.0.delete().unwrap();
    assert!(!group.0.exists());
    for wrong in ["", "/", "relative", "/a/../b", "/."] {
        assert!(Group::open(wrong).is_err(), "{wrong:?}");
    }
}

/// A v2 hierarchy, whether or not controllers are on it.
fn unified() -> Option<std::path::PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = table.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(Into::into)
}

#[test]
fn device_programs_decide_in_order() {
    let Some(root) = unified() else {
        println!("skipped: no cgroup v2 hierarchy is mounted");
        return;
    };
    let directory = root.join(format!("hako-sys-devices-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let group = std::fs::File::open(&directory).unwrap();
    let rule = |allow, kind, major, minor, letters| DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: DeviceAccess::from_letters(letters).unwrap(),
    };
    let read = |device: &str| {
        let command = format!("echo $$ >{}/cgroup.procs && head -c 1 {device} >/dev/null 2>&1", directory.display());
        std::process::Command::new("/bin/busybox").args(["sh", "-c", &command]).status().unwrap().success()
    };
    let everything = rule(false, DeviceKind::All, None, None, "rwm");
    let null = rule(true, DeviceKind::Character, Some(1), Some(3), "rwm");
    let zero = rule(true, DeviceKind::Character, Some(1), Some(5), "r");
    for (rules, devices) in [
        (vec![everything, null, zero], [("/dev/zero", true), ("/dev/full", false), ("/dev/urandom", false)]),
        (
            vec![rule(true, DeviceKind::All, None, None, "rwm")],
            [("/dev/zero", true), ("/dev/full", true), ("/dev/urandom", true)],
        ),
        (
            vec![
                everything,
                rule(true, DeviceKind::Character, Some(1), None, "rwm"),
                rule(false, DeviceKind::Character, Some(1), Some(9), "r"),
            ],
            [("/dev/zero", true), ("/dev/full", true), ("/dev/urandom", false)],
        ),
        (
            vec![everything, null, rule(true, DeviceKind::Character, Some(1), Some(7), "w")],
            [("/dev/zero", false), ("/dev/full", false), ("/dev/urandom", false)],
        ),
    ] {
        hako_sys::cgroup::attach_device_program(group.as_fd(), &rules).unwrap();
        for (device, readable) in devices {
            assert_eq!(read(device), readable, "{device} under {rules:?}");
        }
    }
    std::fs::remove_dir(&directory).unwrap();
}
