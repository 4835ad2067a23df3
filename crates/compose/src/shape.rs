//! The specification as data: every attribute once, with the kind of value it takes. Checking, casting, merging and
//! writing all follow these tables; the order of fields is the order in which Compose prints them.

mod parts;
mod service;

use crate::error::Refusal;
use crate::yaml::Node;

pub(crate) use parts::{EXTENDS, INCLUDES, PROJECT, SERVICES};
pub(crate) use service::SERVICE;

/// Turns a short form into the long one.
pub(crate) type Expand = fn(Node, &Trail<'_>) -> Result<Node, Refusal>;

/// What an attribute takes, and with that how it is cast, merged and printed.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// Text, or a number that is meant as one.
    Loose,
    /// Text, or a switch.
    Stance,
    /// A policy of pulling.
    Policy,
    /// Text that names a file or directory, relative to where it was written.
    Path,
    /// As `Path`, but only what begins as a path does; anything else is left alone (an image, a URL).
    Location,
    /// One of these.
    Choice(&'static [&'static str]),
    /// True or false; false is not printed.
    Switch,
    /// As `Switch`, but never a text.
    Flag,
    /// True, false or absent.
    Choosable,
    /// True or false; true is not printed.
    OptOut,
    /// A whole number; zero is not printed.
    Whole,
    /// A whole number within bounds; zero is not printed.
    Within(i64, i64),
    /// As `Whole`; what stands behind the point is cut off.
    Rounded,
    /// As `Rounded`, but never a text.
    Number,
    /// As `Number`, and never negative.
    Natural,
    /// A whole number or absent.
    Count,
    /// A whole number that is not negative, or absent.
    Unsigned,
    /// As `Count`; what stands behind the point is cut off.
    Tries,
    /// A number with a fraction, in single precision.
    Fraction,
    /// An amount of bytes, as text or whole number.
    Bytes,
    /// An amount of bytes; with a point in it, it is none.
    Amount,
    /// An amount of bytes, only as text.
    Size,
    /// A span of time; zero is not printed.
    Span,
    /// A span of time or absent.
    Moment,
    /// A span of time that Compose does not show.
    Unshown,
    /// A file mode.
    Mode,
    /// A list of texts, appended when merged.
    Texts,
    /// A list of texts, or one text; each stands once.
    Set,
    /// As `Set`, but never one text.
    Members,
    /// As `Members`, of texts and whole numbers.
    Numbers,
    /// A list of texts of which none may stand twice.
    Distinct,
    /// As `Distinct`, of texts and whole numbers.
    Groups,
    /// As `Distinct`, or one text.
    Patterns,
    /// As `Set`, of paths.
    Paths,
    /// As `Paths`, of compose files, which may lie elsewhere.
    Files,
    /// A command line: words, or one text to split.
    Command,
    /// A health check's command.
    Probe,
    /// `KEY=value` pairs as list or mapping; what `None` means is kept (a variable to be passed on).
    Variables,
    /// `KEY=value` pairs as list or mapping; a missing value is empty.
    Labels,
    /// As `Labels`, but every value is a text.
    Contexts,
    /// A mapping of names to texts and numbers.
    Options,
    /// As `Options`; a missing value is empty.
    Settings,
    /// A mapping of names to texts.
    Strings,
    /// Host names and addresses.
    Hosts,
    /// SSH agents and keys.
    Agents,
    /// Limits: a number, or soft and hard.
    Ulimits,
    /// A device count: a number or `all`.
    Devices,
    /// Whether something is made elsewhere: a switch, or a mapping with its name.
    External,
    /// A provider's options: texts or lists of them.
    Choices,
    /// An object that may be absent.
    Object(&'static Shape),
    /// An object that is always there, if empty (Go prints it so in JSON).
    Part(&'static Shape),
    /// A list of objects; `by` tells which are the same one when merged.
    Objects(&'static Shape, By),
    /// Named objects.
    Named(&'static Shape),
    /// The kind, but printed even if it is empty.
    Always(&'static Kind),
    /// Another form first, then the kind.
    Short(Expand, &'static Kind),
}

/// Which objects of two lists are the same one: the later takes the earlier's place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// None are.
    Nothing,
    /// Those with the same value of these keys, missing ones included.
    Keys(&'static [&'static str]),
    /// Those with the same value of the first key that is there.
    First(&'static [&'static str]),
}

/// An attribute.
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its name in JSON, where that differs.
    pub(crate) json: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
}

/// An object of the specification.
pub(crate) struct Shape {
    /// Its attributes, in Compose's order.
    pub(crate) fields: &'static [Field],
    /// Attributes it must have.
    pub(crate) required: &'static [&'static str],
    /// The object may be merged only with one of the same value here (a log driver's options).
    pub(crate) same: &'static str,
}

impl Shape {
    /// An object with these attributes.
    pub(crate) const fn of(fields: &'static [Field]) -> Self {
        Self { fields, required: &[], same: "" }
    }

    /// An object that must have some.
    pub(crate) const fn requiring(mut self, required: &'static [&'static str]) -> Self {
        self.required = required;
        self
    }

    /// An attribute by name.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// An attribute.
pub(crate) const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, json: name, kind }
}

/// Where in the project a value lies, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Trail<'a> {
    parent: Option<&'a Trail<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Place(usize),
}

impl<'a> Trail<'a> {
    /// The top.
    pub(crate) const TOP: Trail<'static> = Trail { parent: None, step: Step::Key("") };

    /// One step down.
    pub(crate) fn step(&'a self, key: &'a str) -> Trail<'a> {
        Trail { parent: Some(self), step: Step::Key(key) }
    }

    /// One step down into a list, its first item being 0.
    pub(crate) fn item(&'a self, place: usize) -> Trail<'a> {
        Trail { parent: Some(self), step: Step::Place(place) }
    }

    /// Whether it is a section of the project.
    pub(crate) fn is_section(&self) -> bool {
        self.parent.is_some_and(|parent| parent.parent.is_none())
    }

    /// The last key; none in a list.
    pub(crate) fn key(&self) -> Option<&str> {
        match self.step {
            Step::Key(key) => Some(key),
            Step::Place(_) => None,
        }
    }
}

impl std::fmt::Display for Trail<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(parent) = self.parent.filter(|parent| parent.parent.is_some()) {
            write!(out, "{parent}.")?;
        }
        match self.step {
            Step::Key(key) => out.write_str(key),
            Step::Place(place) => write!(out, "{place}"),
        }
    }
}
