//! Where variables come from: the process, `--env-file`, `.env`. Who defined a variable is remembered for `explain`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dotenv;
use crate::error::Error;
use crate::template::Variables;

/// Who defined a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The process that was asked.
    Process,
    /// A file, and the line in it.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u32,
    },
    /// The project itself (`COMPOSE_PROJECT_NAME`).
    Project,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Process => out.write_str("the environment of the process"),
            Self::File { path, line } => write!(out, "{}:{line}", path.display()),
            Self::Project => out.write_str("the project's name"),
        }
    }
}

/// A variable's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its value.
    pub value: String,
    /// Who defined it.
    pub origin: Origin,
}

/// Variables and their definitions; the first definition wins, later ones are kept as shadowed.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    values: BTreeMap<String, Definition>,
    shadowed: BTreeMap<String, Vec<Definition>>,
}

impl Environment {
    /// The process's variables.
    pub fn of_process(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            environment.define(&name, Definition { value, origin: Origin::Process });
        }
        environment
    }

    /// A variable's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|definition| definition.value.as_str())
    }

    /// A variable's value; empty counts as none.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A variable's definition.
    #[must_use]
    pub fn definition(&self, name: &str) -> Option<&Definition> {
        self.values.get(name)
    }

    /// Definitions that lost against an earlier one.
    #[must_use]
    pub fn shadowed(&self, name: &str) -> &[Definition] {
        self.shadowed.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// All variables.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Definition)> {
        self.values.iter()
    }

    /// Defines a variable unless it is defined.
    pub fn define(&mut self, name: &str, definition: Definition) {
        match self.values.get(name) {
            None => {
                self.values.insert(name.to_owned(), definition);
            }
            Some(before) if before.origin != definition.origin => {
                self.shadowed.entry(name.to_owned()).or_default().push(definition);
            }
            Some(_) => {}
        }
    }

    /// Defines what files say; of several files the last wins.
    ///
    /// # Errors
    /// [`Error::Environment`] when one cannot be read.
    pub fn load(&mut self, files: &[PathBuf]) -> Result<(), Error> {
        let mut found: BTreeMap<String, Definition> = BTreeMap::new();
        for path in files {
            let outer = |name: &str| {
                let own = || found.get(name).map(|definition| definition.value.clone());
                self.get(name).map(str::to_owned).or_else(own)
            };
            for one in dotenv::parse(&read(path)?, &outer).map_err(|error| malformed(path, &error.to_string()))? {
                let origin = Origin::File { path: path.clone(), line: one.line };
                found.insert(one.name, Definition { value: one.value, origin });
            }
        }
        for (name, definition) in found {
            self.define(&name, definition);
        }
        Ok(())
    }
}

/// Reads a file of variables.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|error| malformed(path, &crate::load::cause(&error)))?;
    String::from_utf8(bytes).map_err(|_| malformed(path, "it is no UTF-8 text"))
}

pub(crate) fn malformed(path: &Path, reason: &str) -> Error {
    Error::Environment { path: path.to_owned(), reason: reason.to_owned() }
}

/// The environment as templates see it; remembers what was missed.
pub(crate) struct Lookup<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) missed: RefCell<Vec<String>>,
}

impl Variables for Lookup<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.environment.get(name).map(str::to_owned)
    }

    fn unset(&self, name: &str) {
        self.missed.borrow_mut().push(name.to_owned());
    }
}
