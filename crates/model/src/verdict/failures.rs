//! Containers that could not be started.

use super::{Facts, Flaw, Verdict};

/// Parts of the errors that tell what went wrong: text, cause, sentence, hint.
const KNOWN: &[(&str, &str, &str, &str)] = &[
    (
        "supervisor was killed",
        "supervisor-killed",
        "The process that looks after it was killed, and it ended with it.",
        "look for whoever kills processes on the host; hako does not do that",
    ),
    (
        "port is already allocated",
        "port-taken",
        "A port it publishes is taken by another container.",
        "publish another port, or stop the other container",
    ),
    (
        "address already in use",
        "port-taken",
        "A port it publishes is taken by a process of the host.",
        "publish another port, or end that process (ss -ltnp shows it)",
    ),
    (
        "is not mounted",
        "mount-missing",
        "A bind mount's source lies on a file system that is not mounted.",
        "mount it; the container waits for it at boot",
    ),
    (
        "bind source path does not exist",
        "mount-missing",
        "The source of a bind mount is not there.",
        "make it, or correct the path",
    ),
    ("error mounting", "mount-missing", "Something could not be mounted into it.", "see the message below"),
    (
        "out of memory: its memory limit is too low",
        "oom",
        "Its memory limit is too low even for its start.",
        "raise its limit (hako update -m SIZE)",
    ),
    (
        "mkdir /",
        "no-directory",
        "Its working directory cannot be made.",
        "give it another one (-w), or make room for it in the image",
    ),
    ("chdir to cwd", "no-directory", "Its working directory cannot be entered.", "make it in the image, or set -w"),
    (
        "unable to find user",
        "no-user",
        "The user it is to run as is not in the image.",
        "use a number, or add the user",
    ),
    ("unable to find group", "no-user", "A group it is to have is not in the image.", "use a number, or add the group"),
    (
        "No such network",
        "no-network",
        "A network it is to join is not there.",
        "make it, or leave it (hako update --network-rm)",
    ),
    ("network", "network", "Its network could not be set up.", "see the message below"),
];

/// The verdict on a start that failed.
pub(super) fn verdict(facts: &Facts) -> Verdict {
    let error = facts.status.error.as_str();
    if let Some(flaw) = &facts.flaw {
        return flawed(flaw, &facts.machine).detail(format!("It said: {error}"));
    }
    let known = KNOWN.iter().find(|(text, ..)| error.contains(text));
    match known {
        Some((_, cause, sentence, hint)) => Verdict::new(cause, *sentence).hint(*hint),
        None => Verdict::new("not-started", "It could not be started."),
    }
    .detail(format!("It said: {error}"))
}

fn flawed(flaw: &Flaw, machine: &str) -> Verdict {
    match flaw {
        Flaw::Missing { program, searched } if searched.is_empty() => {
            let verdict = Verdict::new("missing", format!("Its program {program} is not in its file system."));
            if is_shell(program) { verdict.hint(NO_SHELL) } else { verdict.hint("correct the path, or put the file there") }
        }
        Flaw::Missing { program, searched } => {
            let verdict = Verdict::new("missing", format!("Its program `{program}` is in no directory of its PATH."));
            let verdict = verdict.detail(format!("It was looked for in {searched}."));
            if is_shell(program) { verdict.hint(NO_SHELL) } else { verdict.hint("install it in the image, or correct its name or PATH") }
        }
        Flaw::Directory { path } => {
            Verdict::new("not-executable", format!("Its program {path} is a directory.")).hint("name a file")
        }
        Flaw::NotExecutable { path, mode } => {
            Verdict::new("not-executable", format!("Its program {path} has no execute permission (its mode is {mode:04o})."))
                .hint(format!("chmod +x {path} when the image is built"))
        }
        Flaw::WrongMachine { path, machine: theirs } => {
            Verdict::new("wrong-architecture", format!("Its program {path} is for {theirs}, and this host is {machine}."))
                .hint(format!("use an image for {machine} (--platform linux/{machine}), or emulate {theirs} (binfmt_misc)"))
        }
        Flaw::NoInterpreter { path, interpreter, script: true } => {
            Verdict::new("interpreter-missing", format!("Its program {path} is a script for {interpreter}, which is not in its file system."))
                .hint("install that interpreter, or correct the first line of the script")
        }
        Flaw::NoInterpreter { path, interpreter, script: false } => {
            let library = if interpreter.contains("musl") { "musl" } else { "glibc" };
            Verdict::new("interpreter-missing", format!("Its program {path} needs the dynamic linker {interpreter}, which is not in its file system."))
                .hint(format!("use an image with {library}, or link the program statically"))
        }
        Flaw::CarriageReturn { path, interpreter } => {
            Verdict::new("carriage-return", format!("The first line of {path} ends with a carriage return, so that its interpreter is looked for as \"{interpreter}\\r\"."))
                .hint("save the script with Unix line ends (sed -i 's/\\r$//'; git: *.sh text eol=lf)")
        }
        Flaw::NoFormat { path, empty: true } => {
            Verdict::new("no-format", format!("Its program {path} is an empty file.")).hint("see how it came into the image")
        }
        Flaw::NoFormat { path, .. } => {
            Verdict::new("no-format", format!("Its program {path} is neither machine code nor a script that says what runs it."))
                .hint("begin the script with a line such as #!/bin/sh")
        }
    }
}

const NO_SHELL: &str = "the image has no shell: run a program of it directly (a JSON array instead of a line in CMD or ENTRYPOINT); \
                        hako debug brings a shell";

fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("sh" | "bash" | "ash" | "dash"))
}
