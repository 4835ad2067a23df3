//! Where complaints go: standard error, and the log file that engines read, in text or in JSON lines.

use std::fs::File;
use std::io::Write;

use serde::Serialize;

use crate::calendar;
use crate::error::{Error, Result};

/// Takes complaints.
#[derive(Debug, Default)]
pub(crate) struct Report {
    log: Option<File>,
    json: bool,
    debug: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: &'a str,
}

impl Report {
    /// Complaints also go to a file, if one is named.
    pub(crate) fn open(log: Option<&str>, format: Option<&str>, debug: bool) -> Result<Self> {
        let json = match format {
            None | Some("text" | "") => false,
            Some("json") => true,
            Some(other) => {
                let what = format!("--log-format {other}: it must be text or json");
                return Err(Error::Usage { command: "", what });
            }
        };
        let open = |path: &str| File::options().append(true).create(true).open(path).map_err(Error::file("open", path));
        let log = log.filter(|path| !path.is_empty()).map(open).transpose()?;
        Ok(Self { log, json, debug })
    }

    /// Tells of a failed command.
    pub(crate) fn error(&self, error: &Error) {
        let text = error.to_string();
        self.write("error", &text);
        eprintln!("hako-runtime: {text}");
    }

    /// Tells of something that did not keep the command from going on.
    pub(crate) fn warning(&self, text: &str) {
        self.write("warning", text);
        eprintln!("hako-runtime: warning: {text}");
    }

    /// Tells what was done, if that is wanted: on standard error, if there is no log.
    pub(crate) fn debug(&self, text: &str) {
        match self.log {
            _ if !self.debug => {}
            Some(_) => self.write("debug", text),
            None => eprintln!("{}", self.line("debug", text)),
        }
    }

    /// A log that cannot be written to is no reason to fail.
    fn write(&self, level: &str, text: &str) {
        let Some(mut log) = self.log.as_ref() else { return };
        let _ = log.write_all(format!("{}\n", self.line(level, text)).as_bytes());
    }

    fn line(&self, level: &str, text: &str) -> String {
        let time = calendar::now();
        if self.json {
            serde_json::to_string(&Line { level, msg: text, time: &time }).unwrap_or_default()
        } else {
            format!("time={time:?} level={level} msg={text:?}")
        }
    }
}
