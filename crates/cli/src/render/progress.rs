//! The messages of pull, push, load and import as Docker shows them: on a terminal one line per layer that is rewritten
//! in place, elsewhere one line per change of state and no bars.

use std::collections::HashMap;
use std::io::{self, Write};

use hako_api::progress::{Detail, Progress};

use super::units::human_size;

/// Shows messages as they come.
pub(crate) struct Screen<W> {
    out: W,
    /// Columns of the terminal; `None` when it is none.
    columns: Option<usize>,
    lines: HashMap<String, usize>,
}

impl<W: Write> Screen<W> {
    /// A screen of `columns`, or no terminal at all.
    pub(crate) fn new(out: W, columns: Option<usize>) -> Self {
        Self { out, columns, lines: HashMap::new() }
    }

    /// Shows one message; `Err` of the inner kind is a failure the daemon reported in the stream.
    pub(crate) fn show(&mut self, message: &Progress, now: i64) -> io::Result<Result<(), String>> {
        if message.aux.is_some() {
            return Ok(Ok(()));
        }
        let rewrites = !message.id.is_empty() && (message.detail.is_some() || !message.progress.is_empty());
        let up = if rewrites { self.claim(&message.id)? } else { self.forget() };
        let shown = match failure(message) {
            Some(failure) => Err(failure),
            None => Ok(self.line(message, now)?),
        };
        if self.columns.is_some() && !message.id.is_empty() && up > 0 {
            write!(self.out, "\x1b[{up}B")?;
        }
        self.out.flush()?;
        Ok(shown)
    }

    /// Moves to the line of `id`, a new one if it has none yet; returns how far below the end is.
    fn claim(&mut self, id: &str) -> io::Result<usize> {
        let next = self.lines.len();
        let line = *self.lines.entry(id.to_owned()).or_insert(next);
        if line == next && self.columns.is_some() {
            writeln!(self.out)?;
        }
        let up = self.lines.len() - line;
        if self.columns.is_some() {
            write!(self.out, "\x1b[{up}A")?;
        }
        Ok(up)
    }

    fn forget(&mut self) -> usize {
        self.lines.clear();
        0
    }

    fn line(&mut self, message: &Progress, now: i64) -> io::Result<()> {
        let detail = message.detail.as_ref();
        let bar = detail.map(|detail| bar(detail, self.columns.unwrap_or(200), now)).unwrap_or_default();
        let mut end = "";
        if self.columns.is_some() && message.stream.is_empty() && detail.is_some() {
            end = "\r";
            write!(self.out, "\x1b[2K\r")?;
        } else if !bar.is_empty() {
            return Ok(());
        }
        if !message.id.is_empty() {
            write!(self.out, "{}: ", message.id)?;
        }
        let status = &message.status;
        match (detail, self.columns) {
            (Some(_), Some(_)) => write!(self.out, "{status} {bar}{end}"),
            _ if !message.progress.is_empty() => write!(self.out, "{status} {}{end}", message.progress),
            _ if !message.stream.is_empty() => write!(self.out, "{}{end}", message.stream),
            _ => writeln!(self.out, "{status}{end}"),
        }
    }
}

fn failure(message: &Progress) -> Option<String> {
    match &message.error_detail {
        Some(detail) if !detail.message.is_empty() => Some(detail.message.clone()),
        _ if !message.error.is_empty() => Some(message.error.clone()),
        _ => None,
    }
}

/// `[=====>     ]  1.2MB/3.4MB 5s`. Docker leaves the bar out below 110 columns; here it only gets shorter.
fn bar(detail: &Detail, columns: usize, now: i64) -> String {
    if detail.current <= 0 && detail.total <= 0 {
        return String::new();
    }
    let current = amount(detail.current, &detail.units);
    if detail.total <= 0 {
        return format!("{current:>8}");
    }
    let length = if columns > 110 { 50 } else { columns.saturating_sub(56) };
    let share = (detail.current as f64 / detail.total as f64).clamp(0.0, 1.0);
    let done = (share * length as f64) as usize;
    let drawn =
        if length < 10 { String::new() } else { format!("[{}>{}] ", "=".repeat(done), " ".repeat(length - done)) };
    let numbers = match detail {
        Detail { hide_counts: true, .. } => String::new(),
        Detail { current: over, total, .. } if over > total => format!("{current:>8}"),
        _ => format!("{current:>8}/{}", amount(detail.total, &detail.units)),
    };
    format!("{drawn}{numbers}{}", time_left(detail, share, columns, now))
}

fn amount(count: i64, units: &str) -> String {
    if units.is_empty() { human_size(count as f64) } else { format!("{count} {units}") }
}

fn time_left(detail: &Detail, share: f64, columns: usize, now: i64) -> String {
    if columns <= 50 || detail.current <= 0 || detail.start <= 0 || share >= 1.0 {
        return String::new();
    }
    let each = (now - detail.start).max(0) as f64 / detail.current as f64;
    format!(" {}", clock(((detail.total - detail.current) as f64 * each).round() as i64))
}

/// Go's short form of whole seconds: `1m5s`.
fn clock(seconds: i64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(id: &str, status: &str, current: i64, total: i64) -> Progress {
        let detail = Some(Detail { current, total, ..Detail::default() });
        Progress { id: id.into(), status: status.into(), detail, ..Progress::default() }
    }

    fn plain(id: &str, status: &str) -> Progress {
        Progress { id: id.into(), status: status.into(), ..Progress::default() }
    }

    fn pull() -> Vec<Progress> {
        vec![
            plain("latest", "Pulling from library/nginx"),
            layer("aaa", "Pulling fs layer", 0, 0),
            layer("bbb", "Pulling fs layer", 0, 0),
            layer("aaa", "Downloading", 50, 100),
            layer("aaa", "Pull complete", 0, 0),
            plain("", "Digest: sha256:1"),
        ]
    }

    fn shown(columns: Option<usize>) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, columns);
        for message in pull() {
            screen.show(&message, 0).unwrap().unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_file_gets_one_line_per_state() {
        let expect = "latest: Pulling from library/nginx\naaa: Pulling fs layer\nbbb: Pulling fs layer\n\
                      aaa: Pull complete\nDigest: sha256:1\n";
        assert_eq!(shown(None), expect);
    }

    #[test]
    fn a_terminal_gets_lines_rewritten_in_place() {
        let expect = "latest: Pulling from library/nginx\n\
            \n\x1b[1A\x1b[2K\raaa: Pulling fs layer \r\x1b[1B\
            \n\x1b[1A\x1b[2K\rbbb: Pulling fs layer \r\x1b[1B\
            \x1b[2A\x1b[2K\raaa: Downloading [=========================>                         ]      50B/100B\r\x1b[2B\
            \x1b[2A\x1b[2K\raaa: Pull complete \r\x1b[2B\
            Digest: sha256:1\n";
        assert_eq!(shown(Some(120)), expect);
    }

    #[test]
    fn every_line_fits_eighty_columns() {
        let bar = bar(&Detail { current: 123_400_000, total: 999_900_000, start: 1, ..Detail::default() }, 80, 60);
        assert!("0123456789ab: Downloading ".len() + bar.len() <= 80, "{bar}");
        assert_eq!(clock(3725), "1h2m5s");
    }

    #[test]
    fn a_failure_in_the_stream_is_returned() {
        let mut screen = Screen::new(Vec::new(), None);
        let told = screen.show(&Progress::failure("manifest unknown"), 0).unwrap();
        assert_eq!(told.unwrap_err(), "manifest unknown");
    }
}
