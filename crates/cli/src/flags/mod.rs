//! Flags as data: one constant per flag from which parsing, help and completion all follow.
//! The grammar is that of Go's pflag; what a flag *means* is left to the command that owns it.

mod matches;
mod parse;
mod value;

pub(crate) use matches::Matches;
pub(crate) use parse::{Fault, parse};
pub(crate) use value::{parse_bool, parse_bytes, parse_duration, parse_int};

/// Checks one value the moment it is read; the error is the text after `flag: `.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// How a flag's value is read, and whether repeating it adds or replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `--x`, `--x=false`; never takes the next word.
    Switch,
    /// The last one wins.
    Text,
    /// A signed 64-bit integer in Go's syntax (`0x10` and `0o17` too).
    Int,
    /// An unsigned integer below 65536.
    Uint16,
    /// `10m`, `1.5g`; kept as typed, read by [`Matches::bytes`].
    Bytes,
    /// As [`Kind::Bytes`], or `-1`.
    SwapBytes,
    /// A decimal number of processors.
    Cpus,
    /// Go's duration syntax.
    Duration,
    /// Each use adds one value.
    List,
    /// Each use adds one or more values, separated by commas (CSV).
    Csv,
}

/// What became of a flag that Docker has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Support {
    /// It works.
    Full,
    /// Docker has it; hako says so and why it refuses.
    Refused(&'static str),
}

/// One flag of one command.
#[derive(Clone, Copy)]
pub(crate) struct Flag {
    /// Without the dashes.
    pub(crate) long: &'static str,
    /// The one-letter form.
    pub(crate) short: Option<char>,
    /// How its value is read.
    pub(crate) kind: Kind,
    /// The type word in help.
    pub(crate) word: &'static str,
    /// The value when it is not given; empty for none.
    pub(crate) default: &'static str,
    /// One line; further lines are set below it.
    pub(crate) help: &'static str,
    /// Not listed in help, though it works (an alias kept for old scripts).
    pub(crate) hidden: bool,
    /// A check beyond the kind's own.
    pub(crate) check: Option<Check>,
    /// Whether hako does what it asks.
    pub(crate) support: Support,
}

impl Flag {
    const fn new(kind: Kind, word: &'static str, long: &'static str, help: &'static str) -> Self {
        let support = Support::Full;
        Self { long, short: None, kind, word, default: "", help, hidden: false, check: None, support }
    }

    /// Gives it a one-letter form.
    pub(crate) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// Sets the value it has when it is not given.
    pub(crate) const fn default(mut self, value: &'static str) -> Self {
        self.default = value;
        self
    }

    /// Changes the type word shown in help.
    pub(crate) const fn word(mut self, word: &'static str) -> Self {
        self.word = word;
        self
    }

    /// Keeps it out of help.
    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Adds a check of each value.
    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// Refuses it by name, with the reason.
    pub(crate) const fn refused(mut self, reason: &'static str) -> Self {
        self.support = Support::Refused(reason);
        self
    }

    /// Whether it takes no value.
    pub(crate) fn is_switch(&self) -> bool {
        self.kind == Kind::Switch
    }

    /// `-c, --cpu-shares` or `--cpus`: its name in messages.
    pub(crate) fn label(&self) -> String {
        match self.short {
            Some(letter) => format!("-{letter}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}

/// A flag that is on or off.
pub(crate) const fn switch(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::Switch, "", long, help)
}

/// A flag with one text.
pub(crate) const fn text(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::Text, "string", long, help)
}

/// A flag with one whole number.
pub(crate) const fn int(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::Int, "int", long, help)
}

/// A flag with one small whole number.
pub(crate) const fn uint16(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::Uint16, "uint16", long, help)
}

/// A flag with an amount of bytes.
pub(crate) const fn bytes(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::Bytes, "bytes", long, help)
}

/// A flag with an amount of bytes, or -1.
pub(crate) const fn swap_bytes(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::SwapBytes, "bytes", long, help)
}

/// A flag with a number of processors.
pub(crate) const fn cpus(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::Cpus, "decimal", long, help)
}

/// A flag with a span of time.
pub(crate) const fn duration(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::Duration, "duration", long, help)
}

/// A flag that may be repeated.
pub(crate) const fn list(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::List, "list", long, help)
}

/// A repeatable `key=value` flag.
pub(crate) const fn map(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::List, "map", long, help)
}

/// A repeatable flag whose values may also be joined by commas.
pub(crate) const fn csv(long: &'static str, help: &'static str) -> Flag {
    Flag::new(Kind::Csv, "strings", long, help)
}

/// The `--filter` flag nearly every listing has.
pub(crate) const fn filter(help: &'static str) -> Flag {
    list("filter", help).word("filter").check(value::check_filter)
}
