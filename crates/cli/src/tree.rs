//! The tree of commands: what each is called, which words and flags it takes, and the function that does it.

use std::future::Future;
use std::pin::Pin;

use crate::failure::Failure;
use crate::flags::{Flag, Matches};
use crate::session::Session;

/// What a command's function returns: done, or why not.
pub(crate) type Outcome = Result<(), Failure>;

/// A command's function, boxed so that it fits a table.
pub(crate) type Run = for<'a> fn(&'a Session, &'a Matches) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// How many words a command takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arity {
    /// None.
    None,
    /// Exactly so many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// No more than so many.
    AtMost(usize),
    /// From the first to the second number.
    Between(usize, usize),
}

/// What shell completion offers for a command's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offer {
    /// Nothing of ours.
    Nothing,
    /// Containers in any state.
    Containers,
    /// Running containers.
    Running,
    /// Containers that do not run.
    Stopped,
    /// One container, then files.
    ContainerThenFiles,
    /// Images.
    Images,
    /// One image, then anything.
    ImageThenNothing,
    /// Volumes.
    Volumes,
    /// Networks.
    Networks,
    /// Contexts of the configuration directory.
    Contexts,
    /// Anything that `inspect` knows.
    Objects,
}

/// One command.
pub(crate) struct Command {
    /// What follows the command's name in its usage lines.
    pub(crate) usage: &'static [&'static str],
    /// One line.
    pub(crate) short: &'static str,
    /// Paragraphs in place of the line, where there are any.
    pub(crate) long: &'static str,
    /// All full names of the command, the canonical one first.
    pub(crate) aliases: &'static [&'static str],
    /// How many words.
    pub(crate) arity: Arity,
    /// Whether flags may follow words.
    pub(crate) interspersed: bool,
    /// Its flags.
    pub(crate) flags: &'static [&'static [Flag]],
    /// Command lines and what they do.
    pub(crate) examples: &'static [(&'static str, &'static str)],
    /// What completion offers.
    pub(crate) offer: Offer,
    /// What does it.
    pub(crate) run: Run,
}

impl Command {
    /// A command with neither flags nor words; the rest is set with `..`.
    pub(crate) const fn new(short: &'static str, run: Run) -> Self {
        Self {
            usage: &[""],
            short,
            long: "",
            aliases: &[],
            arity: Arity::None,
            interspersed: true,
            flags: &[],
            examples: &[],
            offer: Offer::Nothing,
            run,
        }
    }
}

/// A word that holds commands.
pub(crate) struct Group {
    /// One line.
    pub(crate) short: &'static str,
    /// What it holds.
    pub(crate) nodes: &'static [Node],
    /// Flags that stand before the word of one of its commands.
    pub(crate) flags: &'static [&'static [Flag]],
}

/// Where the program's help lists a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    /// First.
    Everyday,
    /// Groups.
    Management,
    /// The rest.
    Plain,
}

/// What a word stands for.
pub(crate) enum Body {
    /// A command.
    Command(&'static Command),
    /// A group of them.
    Group(&'static Group),
    /// A command Docker has and hako does not have yet; says what it belongs to.
    Absent(&'static str),
}

/// A word and what it stands for.
pub(crate) struct Node {
    /// The word.
    pub(crate) name: &'static str,
    /// Other words for the same.
    pub(crate) also: &'static [&'static str],
    /// Where help lists it.
    pub(crate) section: Section,
    /// What it is.
    pub(crate) body: Body,
}

impl Node {
    /// A command.
    pub(crate) const fn command(name: &'static str, command: &'static Command) -> Self {
        Self { name, also: &[], section: Section::Plain, body: Body::Command(command) }
    }

    /// A group.
    pub(crate) const fn group(name: &'static str, group: &'static Group) -> Self {
        Self { name, also: &[], section: Section::Management, body: Body::Group(group) }
    }

    /// A word hako knows but cannot serve yet.
    pub(crate) const fn missing(name: &'static str, belongs: &'static str) -> Self {
        Self { name, also: &[], section: Section::Plain, body: Body::Absent(belongs) }
    }

    /// Adds other words for the same.
    pub(crate) const fn also(mut self, words: &'static [&'static str]) -> Self {
        self.also = words;
        self
    }

    /// Lists it first.
    pub(crate) const fn everyday(mut self) -> Self {
        self.section = Section::Everyday;
        self
    }

    /// Whether it answers to `word`.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.name == word || self.also.contains(&word)
    }

    /// Whether it is only there to be refused by name.
    pub(crate) fn absent(&self) -> bool {
        matches!(self.body, Body::Absent(_))
    }

    /// Its one line of help.
    pub(crate) fn short(&self) -> &'static str {
        match &self.body {
            Body::Command(command) => command.short,
            Body::Group(group) => group.short,
            Body::Absent(_) => "",
        }
    }
}

/// Boxes an `async fn(&Session, &Matches) -> Outcome` for the table.
macro_rules! run {
    ($function:path) => {
        |session, found| Box::pin($function(session, found))
    };
}
pub(crate) use run;
