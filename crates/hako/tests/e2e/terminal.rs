//! `-it` on a real pseudo-terminal: size, raw mode, detaching.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Child;

use rustix::termios::Winsize;

use crate::house::House;

/// A person at a terminal in front of a command.
struct Person {
    screen: File,
    terminal: File,
    child: Child,
    seen: String,
}

impl Person {
    fn at(house: &House, args: &[&str]) -> Person {
        let screen = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&screen).unwrap();
        rustix::pty::unlockpt(&screen).unwrap();
        let name = rustix::pty::ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(&name).unwrap();
        rustix::termios::tcsetwinsize(&terminal, Winsize { ws_row: 33, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
        let mut command = std::process::Command::new("setsid");
        command.args(["--ctty", "--wait", crate::house::HAKO]).args(args);
        house.at_home(&mut command);
        let child = command
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal.try_clone().unwrap())
            .spawn()
            .unwrap();
        Person { screen: File::from(screen), terminal, child, seen: String::new() }
    }

    fn types(&mut self, text: &[u8]) {
        self.screen.write_all(text).unwrap();
    }

    /// Reads until the screen has shown `wanted`.
    fn sees(&mut self, wanted: &str) {
        let mut chunk = [0; 1024];
        while !self.seen.contains(wanted) {
            let n = self.screen.read(&mut chunk).unwrap_or(0);
            assert!(n > 0, "the terminal closed before {wanted:?} was seen: {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&chunk[..n]));
        }
    }

    fn leaves(mut self) -> (i32, bool) {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let modes = rustix::termios::tcgetattr(&self.terminal).unwrap().local_modes;
        (code, modes.contains(rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO))
    }
}

#[test]
fn a_shell_at_a_terminal() {
    let house = House::new();
    let mut person = Person::at(&house, &["run", "-it", "--rm", "busybox"]);
    person.sees("/ # ");
    person.types(b"stty size; tty\n");
    person.sees("33 99");
    person.sees("/dev/pts/0");
    rustix::termios::tcsetwinsize(&person.terminal, Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 })
        .unwrap();
    crate::house::signal(hako_below(person.child.id()), "WINCH");
    person.types(b"until [ \"$(stty size)\" = '40 120' ]; do :; done; echo re''sized\n");
    person.sees("resized");
    person.types(b"exit 5\n");
    assert_eq!(person.leaves(), (5, true), "the container's code, and the terminal as it was");
}

#[test]
fn the_detach_keys_leave_the_container_running() {
    let house = House::new();
    let mut person = Person::at(&house, &["run", "-it", "--name", "box", "busybox"]);
    person.sees("/ # ");
    person.types(b"\x10\x11");
    assert_eq!(person.leaves(), (0, true));
    assert_eq!(house.inspect("box", "{{.State.Status}}"), "running");
    let mut person = Person::at(&house, &["attach", "--detach-keys", "ctrl-a,d", "box"]);
    person.types(b"echo back-$((40+2))\n");
    person.sees("back-42");
    person.types(b"\x01d");
    assert!(person.leaves().1);
    assert_eq!(house.inspect("box", "{{.State.Status}}"), "running");
}

#[test]
fn a_terminal_needs_a_terminal() {
    let house = House::new();
    let said = house.fails(1, ["run", "-it", "--rm", "busybox", "true"]);
    assert!(said.contains("the input device is not a TTY"), "{said}");
}

#[test]
fn exec_at_a_terminal() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "busybox", "sleep", "600"]);
    let mut person = Person::at(&house, &["exec", "-it", "box", "sh"]);
    person.sees("/ # ");
    person.types(b"stty size; exit 4\n");
    person.sees("33 99");
    assert_eq!(person.leaves(), (4, true));
}

/// The hako process below `setsid --wait`.
fn hako_below(pid: u32) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().next().and_then(|child| child.parse().ok()).unwrap_or(pid as i32)
}
