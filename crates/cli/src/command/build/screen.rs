//! A build's progress: line by line as BuildKit's plain mode, rewritten in place on a terminal, as JSON, or not at all.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use hako_api::build::Message;
use hako_client::JsonStream;

use super::tty::Board;
use super::warnings::Warnings;
use crate::failure::Failure;
use crate::output;

/// How often a terminal is drawn anew.
const EVERY: Duration = Duration::from_millis(100);

/// How many of a failed step's last lines are repeated.
const REPEATED: usize = 20;

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Plain,
    Terminal,
    Json,
    Quiet,
}

impl Mode {
    pub(super) fn chosen(text: &str, quiet: bool, terminal: bool) -> Self {
        match text {
            _ if quiet => Self::Quiet,
            "plain" => Self::Plain,
            "tty" => Self::Terminal,
            "rawjson" => Self::Json,
            "quiet" | "none" => Self::Quiet,
            _ if terminal => Self::Terminal,
            _ => Self::Plain,
        }
    }
}

/// A step that was told of.
pub(super) struct Step {
    /// Its number as it is shown.
    pub(super) number: usize,
    pub(super) title: String,
    pub(super) begun: Instant,
    pub(super) took: Option<Duration>,
    pub(super) cached: bool,
    pub(super) failed: bool,
    /// Its last lines of output.
    pub(super) lines: Vec<String>,
    partial: String,
}

/// Shows progress on standard error.
pub(super) struct Screen {
    mode: Mode,
    why: bool,
    pub(super) steps: BTreeMap<usize, Step>,
    shown: usize,
    last: Option<usize>,
    board: Board,
    begun: Instant,
    pub(super) warnings: Warnings,
}

impl Screen {
    pub(super) fn new(mode: Mode, why: bool) -> Self {
        let (steps, board, begun) = (BTreeMap::new(), Board::default(), Instant::now());
        Self { mode, why, steps, shown: 0, last: None, board, begun, warnings: Warnings::default() }
    }

    /// Waits for the next message and shows it.
    pub(super) async fn next(&mut self, messages: &mut JsonStream<Message>) -> Result<Option<Message>, Failure> {
        let message = loop {
            if self.mode != Mode::Terminal {
                break messages.next().await?;
            }
            match tokio::time::timeout(EVERY, messages.next()).await {
                Ok(message) => break message?,
                Err(_) => self.draw(false)?,
            }
        };
        if let Some(message) = &message {
            self.show(message)?;
        }
        Ok(message)
    }

    fn show(&mut self, message: &Message) -> Result<(), Failure> {
        if self.mode == Mode::Json {
            let text = serde_json::to_string(message).unwrap_or_default();
            return output::complain(format!("{text}\n"));
        }
        self.warnings.take(message);
        match message {
            Message::Begun { step, title } if !title.is_empty() => self.begin(*step, title),
            Message::Cached { step } => {
                self.with(*step, |step| step.cached = true);
                Ok(())
            }
            Message::Output { step, text } => self.output(*step, text),
            Message::Note { step, text } => self.line(*step, text, false),
            Message::Why { step, text } if self.why => self.line(*step, &format!("why: {text}"), false),
            Message::Done { step, .. } => self.end(*step, None),
            Message::Failed { step, message } => self.end(*step, Some(message)),
            _ => Ok(()),
        }
    }

    fn with(&mut self, step: usize, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.steps.get_mut(&step) {
            change(step);
        }
    }

    fn begin(&mut self, step: usize, title: &str) -> Result<(), Failure> {
        self.shown += 1;
        let known = Step {
            number: self.shown,
            title: title.lines().next().unwrap_or_default().to_owned(),
            begun: Instant::now(),
            took: None,
            cached: false,
            failed: false,
            lines: Vec::new(),
            partial: String::new(),
        };
        self.steps.insert(step, known);
        self.turn(step)?;
        if self.mode == Mode::Terminal { self.draw(false) } else { Ok(()) }
    }

    /// In plain mode, says which step the next lines belong to.
    fn turn(&mut self, step: usize) -> Result<(), Failure> {
        if self.mode != Mode::Plain || self.last == Some(step) {
            return Ok(());
        }
        let gap = if self.last.is_some() { "\n" } else { "" };
        self.last = Some(step);
        match self.steps.get(&step) {
            Some(step) => output::complain(format!("{gap}#{} {}\n", step.number, step.title)),
            None => Ok(()),
        }
    }

    fn output(&mut self, step: usize, text: &str) -> Result<(), Failure> {
        let mut whole = match self.steps.get_mut(&step) {
            Some(step) => std::mem::take(&mut step.partial),
            None => return Ok(()),
        };
        whole += text;
        while let Some(end) = whole.find('\n') {
            let line: String = whole.drain(..=end).collect();
            self.line(step, line.trim_end_matches(['\n', '\r']), true)?;
        }
        self.with(step, |step| step.partial = whole);
        Ok(())
    }

    fn line(&mut self, step: usize, line: &str, timed: bool) -> Result<(), Failure> {
        self.turn(step)?;
        let Some(known) = self.steps.get_mut(&step) else { return Ok(()) };
        let line = if timed { format!("{:.3} {line}", known.begun.elapsed().as_secs_f64()) } else { line.to_owned() };
        let number = known.number;
        if known.lines.len() >= REPEATED {
            known.lines.remove(0);
        }
        known.lines.push(line.clone());
        if self.mode == Mode::Plain { output::complain(format!("#{number} {line}\n")) } else { Ok(()) }
    }

    fn end(&mut self, step: usize, error: Option<&String>) -> Result<(), Failure> {
        let rest = self.steps.get_mut(&step).map(|step| std::mem::take(&mut step.partial)).unwrap_or_default();
        if !rest.is_empty() {
            self.line(step, &rest, true)?;
        }
        if !self.steps.contains_key(&step) {
            return Ok(());
        }
        self.turn(step)?;
        let Some(known) = self.steps.get_mut(&step) else { return Ok(()) };
        known.took = Some(known.begun.elapsed());
        known.failed = error.is_some();
        let number = known.number;
        let text = match (error, known.cached) {
            (Some(error), _) => format!("ERROR: {error}"),
            (None, true) => "CACHED".to_owned(),
            (None, false) => format!("DONE {:.1}s", known.begun.elapsed().as_secs_f64()),
        };
        match self.mode {
            Mode::Plain => output::complain(format!("#{number} {text}\n")),
            Mode::Terminal => self.draw(false),
            _ => Ok(()),
        }
    }

    fn draw(&mut self, last: bool) -> Result<(), Failure> {
        let mut out = io::stderr().lock();
        let drawn = self.board.draw(&mut out, &self.steps, self.begun.elapsed(), last).and_then(|()| out.flush());
        output::wrote(drawn)
    }

    /// The build is done.
    pub(super) fn finish(&mut self, id: Option<&str>, tags: &[String]) -> Result<(), Failure> {
        self.name(id, tags)?;
        let summary = self.warnings.summary();
        let shown = matches!(self.mode, Mode::Plain | Mode::Terminal) && !summary.is_empty();
        if shown { output::complain(summary) } else { Ok(()) }
    }

    fn name(&mut self, id: Option<&str>, tags: &[String]) -> Result<(), Failure> {
        match self.mode {
            Mode::Terminal => self.draw(true),
            Mode::Plain => {
                let Some(id) = id else { return Ok(()) };
                let number = self.shown + 1;
                let mut text = format!("\n#{number} naming the image\n#{number} writing image {id} done\n");
                for tag in tags {
                    let name = hako_model::reference::Reference::parse_tagged(tag);
                    let name = name.map_or_else(|_| tag.clone(), |name| name.to_string());
                    text += &format!("#{number} naming to {name} done\n");
                }
                output::complain(format!("{text}#{number} DONE 0.0s\n"))
            }
            _ => Ok(()),
        }
    }

    /// Repeats what a failed step said, and shows the place in the Dockerfile.
    pub(super) fn fail(&mut self, name: &str, text: &str, (first, last): (usize, usize)) -> Result<(), Failure> {
        if self.mode == Mode::Json {
            return Ok(());
        }
        if self.mode == Mode::Terminal {
            self.draw(true)?;
        }
        let failed = self.steps.values().find(|step| step.failed);
        if let Some(step) = failed {
            let lines: String = step.lines.iter().map(|line| format!("{line}\n")).collect();
            output::complain(format!("------\n > {}:\n{lines}------\n", step.title))?;
        }
        if first == 0 || text.is_empty() { Ok(()) } else { output::complain(excerpt(name, text, first, last)) }
    }
}

/// The lines of a Dockerfile around those that are meant, as BuildKit shows them.
pub(super) fn excerpt(name: &str, text: &str, first: usize, last: usize) -> String {
    const AROUND: usize = 2;
    let column = text.lines().nth(first - 1).map_or(1, |line| line.len() - line.trim_start().len() + 1);
    let mut out = format!("{name}:{first}:{column}\n--------------------\n");
    let lines: Vec<&str> = text.split('\n').collect();
    for (index, line) in lines.iter().enumerate() {
        let number = index + 1;
        if number + AROUND >= first && number <= last + AROUND {
            let mark = if (first..=last).contains(&number) { ">>>" } else { "   " };
            out += &format!("{number:4} | {mark} {}\n", line.trim_end_matches('\r'));
        }
    }
    out + "--------------------\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_shown() {
        let expect = "Dockerfile:2:1\n--------------------\n   1 |     FROM a\n   2 | >>> RUN b\n   3 |     \n--------------------\n";
        assert_eq!(excerpt("Dockerfile", "FROM a\nRUN b\n", 2, 2), expect);
    }

    #[test]
    fn modes() {
        assert_eq!(Mode::chosen("auto", false, true), Mode::Terminal);
        assert_eq!(Mode::chosen("auto", false, false), Mode::Plain);
        assert_eq!(Mode::chosen("plain", true, true), Mode::Quiet);
    }
}
