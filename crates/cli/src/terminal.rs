//! The caller's terminal: its size, raw mode with a sure way back, and reading a secret without echo.

use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Lines.
    pub(crate) rows: u16,
    /// Characters in a line.
    pub(crate) columns: u16,
}

/// The size of the terminal on standard output, if it is one and knows its size.
pub(crate) fn size() -> Option<Size> {
    size_of(io::stdout()).filter(|size| size.rows > 0 || size.columns > 0)
}

fn size_of(stream: impl AsFd) -> Option<Size> {
    let found = tcgetwinsize(stream).ok()?;
    Some(Size { rows: found.ws_row, columns: found.ws_col })
}

/// The width help is set to: the terminal's, or 80.
pub(crate) fn width() -> usize {
    size_of(io::stdin()).or_else(size).map_or(80, |size| usize::from(size.columns)).max(40)
}

/// Raw mode on standard input. Leaving the scope, by whatever way, gives the old mode back.
pub(crate) struct Raw {
    terminal: OwnedFd,
    before: Termios,
}

impl Raw {
    /// Switches to raw mode; `None` when standard input is no terminal.
    pub(crate) fn enter() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let terminal = stdin.as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Some(Self { terminal, before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Asks for a line on the terminal; `secret` hides what is typed.
pub(crate) fn ask(prompt: &str, secret: bool) -> io::Result<String> {
    let mut out = io::stdout();
    write!(out, "{prompt}")?;
    out.flush()?;
    let hidden = if secret { Hidden::enter()? } else { None };
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if hidden.is_some() {
        writeln!(out)?;
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Echo switched off for a moment.
struct Hidden(Termios);

impl Hidden {
    fn enter() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&stdin)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &silent)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Asks a yes-or-no question; anything but `y` and `yes` is no.
pub(crate) fn confirm(question: &str) -> io::Result<bool> {
    let answer = ask(&format!("{question} [y/N] "), false)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
