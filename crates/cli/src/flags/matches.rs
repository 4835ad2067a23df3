//! What a command line said: flags in the order given, and the words between them.

use super::value::{parse_bool, parse_bytes, parse_cpus, parse_duration, parse_int};
use super::{Flag, Kind};

/// The flags and words of one command line. Values were checked when they were read, so the typed readers only convert.
pub(crate) struct Matches {
    groups: &'static [&'static [Flag]],
    given: Vec<(&'static Flag, String)>,
    words: Vec<String>,
}

impl Matches {
    pub(super) fn new(groups: &'static [&'static [Flag]]) -> Self {
        Self { groups, given: Vec::new(), words: Vec::new() }
    }

    pub(super) fn add(&mut self, flag: &'static Flag, value: String) {
        self.given.push((flag, value));
    }

    pub(super) fn take_word(&mut self, word: &str) {
        self.words.push(word.to_owned());
    }

    pub(super) fn take_rest(&mut self, words: &[String]) {
        self.words.extend_from_slice(words);
    }

    /// The words that are no flags.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// The word at `index`, or nothing.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// Whether the flag stood on the command line at all (pflag's `Changed`).
    pub(crate) fn given(&self, long: &str) -> bool {
        self.last(long).is_some()
    }

    /// A switch's state.
    pub(crate) fn on(&self, long: &str) -> bool {
        parse_bool(self.text(long)).unwrap_or(false)
    }

    /// A switch's state, if it was given.
    pub(crate) fn switch_given(&self, long: &str) -> Option<bool> {
        self.given(long).then(|| self.on(long))
    }

    /// The last value, or the default.
    pub(crate) fn text(&self, long: &str) -> &str {
        self.last(long).unwrap_or_else(|| self.declared(long).default)
    }

    /// The last value, if the flag was given.
    pub(crate) fn text_given(&self, long: &str) -> Option<&str> {
        self.last(long)
    }

    /// A whole number; zero if neither given nor defaulted.
    pub(crate) fn int(&self, long: &str) -> i64 {
        parse_int(self.text(long)).unwrap_or(0)
    }

    /// A whole number, if the flag was given.
    pub(crate) fn int_given(&self, long: &str) -> Option<i64> {
        self.given(long).then(|| self.int(long))
    }

    /// An amount of bytes; -1 stays -1.
    pub(crate) fn bytes(&self, long: &str) -> i64 {
        match self.text(long) {
            "-1" => -1,
            text => parse_bytes(text).unwrap_or(0),
        }
    }

    /// Billionths of a processor.
    pub(crate) fn cpus(&self, long: &str) -> i64 {
        parse_cpus(self.text(long)).unwrap_or(0)
    }

    /// Nanoseconds.
    pub(crate) fn duration(&self, long: &str) -> i64 {
        parse_duration(self.text(long)).unwrap_or(0)
    }

    /// Every value of a repeatable flag, in order.
    pub(crate) fn list(&self, long: &str) -> Vec<&str> {
        let csv = self.declared(long).kind == Kind::Csv;
        let values = self.given.iter().filter(|(flag, _)| flag.long == long).map(|(_, value)| value.as_str());
        if csv { values.flat_map(|value| value.split(',')).collect() } else { values.collect() }
    }

    /// Every value of a repeatable flag, owned.
    pub(crate) fn strings(&self, long: &str) -> Vec<String> {
        self.list(long).into_iter().map(str::to_owned).collect()
    }

    fn last(&self, long: &str) -> Option<&str> {
        self.given.iter().rev().find(|(flag, _)| flag.long == long).map(|(_, value)| value.as_str())
    }

    /// The table entry of a flag. Asking for one that is not in the command's table is a mistake in this crate, found
    /// by the first test that runs the command.
    fn declared(&self, long: &str) -> &'static Flag {
        static NONE: Flag = super::text("", "");
        let found = self.groups.iter().flat_map(|group| group.iter()).find(|flag| flag.long == long);
        debug_assert!(found.is_some(), "flag --{long} is not declared");
        found.unwrap_or(&NONE)
    }

    #[cfg(test)]
    pub(super) fn describe(&self) -> String {
        let parts: Vec<String> = self.given.iter().map(|(flag, value)| format!("{}={value}", flag.long)).collect();
        parts.join(" ")
    }
}
