//! The board of a running build: one line per step in the order they began, times at the right, the last lines of what
//! runs below it. A step never changes its place.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use super::screen::Step;
use crate::terminal;

/// How many lines of output a running step shows.
const TAIL: usize = 6;

/// What was drawn last.
#[derive(Default)]
pub(super) struct Board {
    height: usize,
}

impl Board {
    /// Draws everything anew over what was drawn before; `last` leaves out what is only for the moment.
    pub(super) fn draw(
        &mut self,
        out: &mut impl Write,
        steps: &BTreeMap<usize, Step>,
        elapsed: Duration,
        last: bool,
    ) -> io::Result<()> {
        let width = terminal::width().max(20);
        let rows = terminal::size().map_or(24, |size| usize::from(size.rows));
        let lines = lines(steps, elapsed, last, width);
        // What does not fit scrolls away: the newest lines matter.
        let limit = if last { usize::MAX } else { rows.saturating_sub(1).max(2) };
        let shown = &lines[lines.len().saturating_sub(limit)..];
        if self.height > 0 {
            write!(out, "\x1b[{}A", self.height)?;
        }
        for line in shown {
            writeln!(out, "\r\x1b[2K{line}")?;
        }
        write!(out, "\x1b[J")?;
        self.height = shown.len();
        Ok(())
    }
}

fn lines(steps: &BTreeMap<usize, Step>, elapsed: Duration, last: bool, width: usize) -> Vec<String> {
    let done = steps.values().filter(|step| step.took.is_some()).count();
    let state = if last { " FINISHED" } else { "" };
    let mut lines = vec![format!("[+] Building {:.1}s ({done}/{}){state}", elapsed.as_secs_f64(), steps.len())];
    for step in steps.values() {
        lines.push(line(step, width));
        if step.took.is_none() && !last {
            let tail = &step.lines[step.lines.len().saturating_sub(TAIL)..];
            lines.extend(tail.iter().map(|line| cut(&format!(" => => # {line}"), width)));
        }
    }
    lines
}

fn line(step: &Step, width: usize) -> String {
    let time = format!("{:.1}s", step.took.unwrap_or_else(|| step.begun.elapsed()).as_secs_f64());
    let mark = match (step.failed, step.cached) {
        (true, _) => " => ERROR ",
        (_, true) => " => CACHED ",
        _ => " => ",
    };
    let room = width.saturating_sub(time.len() + 1);
    let text = cut(&format!("{mark}{}", step.title), room);
    let gap = room.saturating_sub(text.chars().count());
    format!("{text}{} {time}", " ".repeat(gap))
}

/// As much of a line as fits, without control characters.
fn cut(text: &str, width: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(width).collect()
}
