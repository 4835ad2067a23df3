//! What a build's checks found, in a few lines or at length.

use hako_api::build::Message;

use super::screen::excerpt;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Warning {
    rule: String,
    url: String,
    detail: String,
    lines: (usize, usize),
}

/// All of them, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    found: Vec<Warning>,
    /// As they were told.
    pub(super) told: Vec<Message>,
}

impl Warnings {
    /// Takes a message if it is a finding.
    pub(super) fn take(&mut self, message: &Message) {
        if let Message::Warning { rule, url, detail, first, last, .. } = message {
            let (rule, url, detail) = (rule.clone(), url.clone(), detail.clone());
            self.told.push(message.clone());
            self.found.push(Warning { rule, url, detail, lines: (*first, *last) });
        }
    }

    /// For the end of a build; nothing when there are none.
    pub(super) fn summary(&self) -> String {
        let line = |warning: &Warning| format!(" - {}: {} (line {})\n", warning.rule, warning.detail, warning.lines.0);
        match self.found.len() {
            0 => String::new(),
            1 => format!("\n 1 warning found (use --check to see the place):\n{}", line(&self.found[0])),
            count => {
                let lines: String = self.found.iter().map(line).collect();
                format!("\n {count} warnings found (use --check to see the places):\n{lines}")
            }
        }
    }

    /// The whole answer to `--check`.
    pub(super) fn report(&self, name: &str, text: &str, failed: Option<&str>) -> String {
        let mut out = match self.found.len() {
            0 => "Check complete, no warnings found.\n".to_owned(),
            1 => "Check complete, 1 warning has been found!\n".to_owned(),
            count => format!("Check complete, {count} warnings have been found!\n"),
        };
        for warning in &self.found {
            let (first, last) = warning.lines;
            let place = if text.is_empty() { format!("{name}:{first}\n") } else { excerpt(name, text, first, last) };
            out += &format!("\nWARNING: {} - {}\n{}\n{place}", warning.rule, warning.url, warning.detail);
        }
        if let Some(why) = failed {
            out += &format!("\nERROR: {why}\n");
        }
        out
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_in_short_and_at_length() {
        let mut warnings = Warnings::default();
        assert_eq!(warnings.summary(), "");
        assert_eq!(warnings.report("D", "", None), "Check complete, no warnings found.\n");
        warnings.take(&Message::Warning {
            rule: "R".to_owned(),
            url: "u".to_owned(),
            description: "about".to_owned(),
            detail: "d".to_owned(),
            first: 2,
            last: 2,
        });
        assert_eq!(warnings.summary(), "\n 1 warning found (use --check to see the place):\n - R: d (line 2)\n");
        let report = warnings.report("D", "FROM a\nX\n", Some("no"));
        let expect = "Check complete, 1 warning has been found!\n\nWARNING: R - u\nd\nD:2:1\n--------------------\n   \
                      1 |     FROM a\n   2 | >>> X\n   3 |     \n--------------------\n\nERROR: no\n";
        assert_eq!(report, expect);
    }
}
