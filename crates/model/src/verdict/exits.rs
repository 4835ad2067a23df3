//! What an exit code or a signal says by itself.

use super::{Facts, Verdict};

/// What is known of one signal: number, name, what it means when it ends a process.
const SIGNALS: &[(i32, &str, &str)] = &[
    (1, "SIGHUP", "its terminal was closed, or it was told to read its configuration anew and does not know how"),
    (2, "SIGINT", "it was interrupted, as by Ctrl-C"),
    (3, "SIGQUIT", "it was told to quit"),
    (4, "SIGILL", "it ran an instruction this processor does not have, or jumped into data"),
    (5, "SIGTRAP", "it ran into a breakpoint"),
    (6, "SIGABRT", "it gave up by itself: a failed assertion, a corrupted heap, or a panic"),
    (7, "SIGBUS", "it read memory that is not there any more: a file that was cut while mapped, or a full /dev/shm"),
    (8, "SIGFPE", "it divided by zero"),
    (9, "SIGKILL", "it was killed"),
    (11, "SIGSEGV", "it used memory that is not its own: a bug in it, or in a library of it"),
    (13, "SIGPIPE", "it wrote to somebody who had stopped reading"),
    (14, "SIGALRM", "a timer of its own went off"),
    (15, "SIGTERM", "it was told to end"),
    (24, "SIGXCPU", "it used more processor time than its limit allows"),
    (25, "SIGXFSZ", "it wrote a file larger than its limit allows"),
    (31, "SIGSYS", "it made a system call its seccomp profile forbids"),
];

/// A signal's name.
pub fn signal_name(number: i32) -> String {
    let known = SIGNALS.iter().find(|(signal, ..)| *signal == number);
    known.map_or_else(|| format!("signal {number}"), |(_, name, _)| (*name).to_owned())
}

fn meaning(number: i32) -> &'static str {
    SIGNALS.iter().find(|(signal, ..)| *signal == number).map_or("a signal ended it", |(.., meaning)| meaning)
}

/// Signals a process brings upon itself.
fn is_own_fault(number: i32) -> bool {
    matches!(number, 4..=8 | 11 | 13 | 14 | 24 | 25 | 31)
}

/// The verdict when nothing but the exit is known.
pub(super) fn verdict(facts: &Facts) -> Verdict {
    let status = &facts.status;
    // A reaper reports its child's signal the way a shell does.
    let reported = (status.exit_code - 128) * i32::from(facts.init && (129..=192).contains(&status.exit_code));
    match (status.evidence.signal, reported) {
        (Some(signal), _) => by_signal(facts, signal, false),
        (None, signal @ 1..) => by_signal(facts, signal, true),
        _ => by_code(facts),
    }
}

fn by_signal(facts: &Facts, signal: i32, reported: bool) -> Verdict {
    let (name, meaning) = (signal_name(signal), meaning(signal));
    let code = format!("It ended with exit code {} (128 and the signal's number).", facts.status.exit_code);
    if is_own_fault(signal) {
        return Verdict::new("crash", format!("It crashed with {name}: {meaning}.")).detail(code);
    }
    let verdict =
        Verdict::new("signal", format!("It was ended by {name}, which was not sent through hako.")).detail(code);
    if facts.own_pids && !reported {
        return verdict
            .detail("The kernel does not say who sent it. Nobody inside the container can: it came from a process of the host.")
            .hint("look for whoever kills processes on the host (kill, an OOM daemon, a monitoring agent)");
    }
    verdict.detail("The kernel does not say who sent it: a process in the container, or one of the host.")
}

fn by_code(facts: &Facts) -> Verdict {
    let code = facts.status.exit_code;
    let program = facts.command.first().map_or("its program", String::as_str);
    let exit = |cause, text: String| Verdict::new(cause, text);
    match code {
        0 => exit(
            "exit",
            format!("It finished by itself, with success (exit code 0): `{program}` had nothing more to do."),
        )
        .hint("a container lives as long as its first process; a service must stay in the foreground"),
        126 => exit("exit", "Exit code 126: a command it tried to run is there but cannot be executed.".to_owned())
            .hint("the log names the command: give it execute permission (chmod +x) or the right interpreter"),
        127 => exit("exit", "Exit code 127: a command it tried to run was not found.".to_owned())
            .hint("the log names the command: install it in the image, or correct its name or PATH"),
        2 => exit(
            "exit",
            format!(
                "`{program}` ended with exit code 2, which mostly means wrong usage: a wrong option or a syntax error."
            ),
        ),
        129..=192 => {
            let signal = code - 128;
            let (name, meaning) = (signal_name(signal), meaning(signal));
            exit(
                "child-signal",
                format!(
                    "`{program}` ended with exit code {code}: it reports that a process of its own was ended by {name}."
                ),
            )
            .detail(format!("For that process: {meaning}."))
        }
        _ => {
            exit("exit", format!("`{program}` ended by itself with exit code {code}: it reports an error of its own."))
                .hint("what the code means is its own affair; the log may say more")
        }
    }
}
