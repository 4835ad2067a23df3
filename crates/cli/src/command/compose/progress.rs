//! How things go, told as Compose tells it: lines on standard error, redrawn in place on a terminal.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write, stderr, stdout};

use hako_compose::{Mood, Report};
use tokio::sync::Notify;

use crate::failure::Failure;
use crate::session::Session;

/// How much is told, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A line each time.
    Plain,
    /// A line for each subject, redrawn.
    Terminal,
    /// A JSON object each time.
    Json,
    /// Only what is odd or wrong.
    Quiet,
}

/// Tells a person how things go.
pub(super) struct Progress {
    form: Form,
    dry: bool,
    lines: RefCell<Vec<Line>>,
    halted: Cell<bool>,
    /// What is being started; a start that was asked for goes on, whoever asked for it.
    starting: RefCell<BTreeSet<String>>,
    started: Notify,
}

struct Line {
    subject: String,
    status: String,
    mood: Mood,
}

impl Progress {
    /// As the flags and the surroundings want it.
    pub(super) fn wanted(session: &Session, dry: bool) -> Result<Self, Failure> {
        let given = session.group().map(|flags| flags.text("progress").to_owned()).filter(|text| !text.is_empty());
        let wanted = given.or_else(|| std::env::var("COMPOSE_PROGRESS").ok()).unwrap_or_else(|| "auto".to_owned());
        let ansi = session.group().map_or("auto", |flags| flags.text("ansi"));
        if !matches!(ansi, "auto" | "never" | "always") {
            return Err(Failure::local(format!("invalid value for --ansi: {ansi:?}: it is never, always or auto")));
        }
        let form = match wanted.as_str() {
            "auto" if ansi == "always" || (stderr().is_terminal() && !dry && ansi != "never") => Form::Terminal,
            "auto" | "plain" => Form::Plain,
            "tty" => Form::Terminal,
            "json" => Form::Json,
            "quiet" => Form::Quiet,
            other => return Err(Failure::local(format!("unsupported --progress value {other:?}"))),
        };
        Ok(Self::new(form, dry))
    }

    /// As [`Progress::wanted`], but silent.
    pub(super) fn quiet() -> Self {
        Self::new(Form::Quiet, false)
    }

    fn new(form: Form, dry: bool) -> Self {
        let (lines, starting) = (RefCell::default(), RefCell::default());
        Self { form, dry, lines, halted: Cell::new(false), starting, started: Notify::new() }
    }

    /// From now on nothing new is begun.
    pub(super) fn halt(&self) {
        self.halted.set(true);
    }

    /// Waits until nothing is being started.
    pub(super) async fn settled(&self) {
        while !self.starting.borrow().is_empty() {
            self.started.notified().await;
        }
    }

    fn note(&self, subject: &str, status: &str, mood: Mood) {
        let mut starting = self.starting.borrow_mut();
        if status == "Starting" {
            starting.insert(subject.to_owned());
        } else if matches!(mood, Mood::Done | Mood::Failed) && starting.remove(subject) {
            self.started.notify_one();
        }
    }

    /// Tells of something that is done to a container.
    pub(super) fn say(&self, container: &str, deed: &str, status: &str, mood: Mood) {
        self.show(container, deed, status, mood);
    }

    fn show(&self, subject: &str, deed: &str, status: &str, mood: Mood) {
        self.note(subject, status, mood);
        let text = match self.form {
            _ if subject.is_empty() => format!("WARN[0000] {status}\n"),
            Form::Quiet if matches!(mood, Mood::Working | Mood::Done) => return,
            Form::Plain | Form::Quiet => {
                let lead = if self.dry { "DRY-RUN MODE -  " } else { "" };
                format!(" {lead}{subject} {deed} {}\n", status.lines().next().unwrap_or_default())
            }
            Form::Terminal if deed.is_empty() => self.redraw(subject, status, mood),
            Form::Terminal => self.redraw(&format!("{subject} {deed}"), status, mood),
            Form::Json => {
                let level = if mood == Mood::Failed { "error" } else { "info" };
                let mut object =
                    serde_json::json!({"dry-run": self.dry, "id": subject, "status": status, "level": level});
                if !deed.is_empty() {
                    object["text"] = deed.into();
                }
                format!("{object}\n")
            }
        };
        // Nobody can be told that nobody can be told.
        let _ = match std::env::var("COMPOSE_STATUS_STDOUT").is_ok_and(|value| matches!(value.as_str(), "1" | "true")) {
            true if !subject.is_empty() => stdout().lock().write_all(text.as_bytes()),
            _ => stderr().lock().write_all(text.as_bytes()),
        };
    }

    fn redraw(&self, subject: &str, status: &str, mood: Mood) -> String {
        let mut lines = self.lines.borrow_mut();
        let before = lines.len();
        match lines.iter_mut().find(|line| line.subject == subject) {
            Some(line) => (line.status, line.mood) = (status.to_owned(), mood),
            None => lines.push(Line { subject: subject.to_owned(), status: status.to_owned(), mood }),
        }
        let widest = lines.iter().map(|line| line.subject.chars().count()).max().unwrap_or(0);
        let mut out = if before > 0 { format!("\x1b[{before}A") } else { String::new() };
        for line in lines.iter() {
            let (sign, colour) = match line.mood {
                Mood::Working => ("⠿", 34),
                Mood::Done => ("✔", 32),
                Mood::Warning => ("!", 33),
                Mood::Failed => ("✘", 31),
            };
            let status = line.status.lines().next().unwrap_or_default();
            out += &format!(
                "\x1b[2K \x1b[{colour}m{sign}\x1b[0m {:<widest$}  \x1b[{colour}m{status}\x1b[0m\n",
                line.subject
            );
        }
        out
    }
}

impl Report for Progress {
    fn is_halted(&self) -> bool {
        self.halted.get()
    }

    fn tell(&self, subject: &str, status: &str, mood: Mood) {
        self.show(subject, "", status, mood);
    }
}
