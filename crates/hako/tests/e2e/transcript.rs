//! Runs the console blocks of a documentation page and compares what they print.
//!
//! A block that opens with ```` ```LANGUAGE PATH ```` is a file, written when its turn comes. A block of commands opens
//! with ```` ```console ````; a line that begins with `$ ` is typed, with those after it that begin with `> `; the other
//! lines are what the page promises: each must be found, in order, in what was printed; `…` stands for anything.

use crate::house::{House, await_that, finish};

/// One command of a page and the lines promised for it.
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) typed: String,
    pub(crate) promised: Vec<String>,
    /// A file to be written instead, and its lines.
    pub(crate) file: Option<(String, Vec<String>)>,
}

/// The steps of a page, in order.
pub(crate) fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut writing) = (false, false);
    for (number, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            let path = line.split_once(' ').map(|(_, path)| path.to_owned());
            (inside, writing) = (line == "```console", path.is_some());
            let step = Step { line: number + 1, typed: String::new(), promised: Vec::new(), file: None };
            steps.extend(path.map(|path| Step { file: Some((path, Vec::new())), ..step }));
        } else if writing && let Some((_, lines)) = steps.last_mut().and_then(|step| step.file.as_mut()) {
            lines.push(line.to_owned());
        } else if inside && let Some(typed) = line.strip_prefix("$ ") {
            steps.push(Step { line: number + 1, typed: typed.to_owned(), promised: Vec::new(), file: None });
        } else if inside
            && let Some(more) = line.strip_prefix("> ")
            && let Some(step) = steps.last_mut()
        {
            // The command goes on, as at a shell's second prompt.
            step.typed = format!("{}\n{more}", step.typed);
        } else if inside && let Some(step) = steps.last_mut() {
            step.promised.push(line.to_owned());
        }
    }
    steps
}

/// Types every step of a page into a shell in which `hako` is the client under test.
pub(crate) fn follow(house: &House, page: &str, bin: &std::path::Path) {
    for step in steps(page) {
        if let Some((path, lines)) = &step.file {
            let path = house.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, lines.join("\n") + "\n").unwrap();
            continue;
        }
        // A server needs a moment to listen; a reader's browser or curl is tried again, too.
        if step.typed.starts_with("curl ") {
            await_that(&step.typed, || missing(&step, &say(house, &step, bin)).is_none());
            continue;
        }
        let printed = say(house, &step, bin);
        if let Some(promised) = missing(&step, &printed) {
            panic!("line {}: $ {}\npromised: {promised}\nprinted:\n{printed}", step.line, step.typed);
        }
    }
}

/// Types one step; what it printed on both streams.
fn say(house: &House, step: &Step, bin: &std::path::Path) -> String {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &step.typed]).current_dir(house.path());
    house.at_home(&mut command);
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default()));
    command.env("DOCKER_HOST", format!("unix://{}", house.socket().display()));
    if !house.has_plugins() {
        command.env("DOCKER_BUILDKIT", "0");
    }
    let ended = finish(command.output().expect("a shell"));
    format!("{}{}", ended.stdout, ended.stderr)
}

/// The first line promised that was not printed in its place.
fn missing<'a>(step: &'a Step, printed: &str) -> Option<&'a str> {
    let mut rest = printed.lines();
    let mut is_missing = |promised: &String| !rest.any(|line| matches(promised.trim_end(), line.trim_end()));
    step.promised.iter().find(|promised| is_missing(promised)).map(String::as_str)
}

/// Whether a printed line is what the page promises, `…` standing for anything.
fn matches(promised: &str, printed: &str) -> bool {
    let mut parts = promised.split('…');
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn ellipses_stand_for_anything() {
    assert!(matches("a…c", "abc") && matches("…", "x") && matches("x", "x"));
    assert!(!matches("a…c", "abd") && !matches("x", "xy"));
}
