//! One file's documents with their variables expanded.

use std::cell::RefCell;
use std::path::Path;

use super::{Group, Loader, Trouble};
use crate::environment::{Environment, Lookup};
use crate::error::{Fault, Refusal};
use crate::shape::Trail;
use crate::template::{self, Use, substitute};
use crate::yaml::{Limits, Mark, Node, Value, read};

/// A place where a variable is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableUse {
    /// What is used, and how.
    pub what: Use,
    /// The key.
    pub path: String,
    /// Where.
    pub mark: Mark,
}

impl Loader<'_> {
    /// A file's documents.
    pub(super) fn documents(&mut self, path: &Path, group: &Group) -> Result<Vec<Node>, Trouble> {
        let mut documents = match self.fresh.remove(path) {
            Some(documents) => documents,
            None => self.read(path)?,
        };
        documents.retain(|document| !document.is_null());
        for document in &mut documents {
            if document.map().is_none() {
                let reason = "top-level object must be a mapping".to_owned();
                return Err(document.mark.refuse(Fault::Unusable { reason }).into());
            }
            self.expand(document, &group.environment)?;
        }
        Ok(documents)
    }

    fn read(&mut self, path: &Path) -> Result<Vec<Node>, Trouble> {
        let text = super::read_text(path, self.options)?;
        let source = self.source(path);
        Ok(read(&text, source, Limits::default())?)
    }

    fn expand(&mut self, document: &mut Node, environment: &Environment) -> Result<(), Trouble> {
        let lookup = Lookup { environment, missed: RefCell::default() };
        let mut walk = Walk { lookup: &lookup, uses: &mut self.uses, apply: self.options.interpolate };
        walk.node(document, &Trail::TOP)?;
        for name in lookup.missed.into_inner() {
            let warning = format!("The {name:?} variable is not set. Defaulting to a blank string.");
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        Ok(())
    }
}

struct Walk<'w> {
    lookup: &'w Lookup<'w>,
    uses: &'w mut Vec<VariableUse>,
    apply: bool,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node, trail: &Trail<'_>) -> Result<(), Refusal> {
        match &mut node.value {
            Value::Text(text) if text.contains('$') => {
                let path = trail.to_string();
                for what in template::uses(text) {
                    self.uses.push(VariableUse { what, path: path.clone(), mark: node.mark });
                }
                if self.apply {
                    *text = substitute(text, self.lookup)
                        .map_err(|trouble| refused(trouble, text, &path, node.mark))?
                        .into();
                }
            }
            Value::List(items) => {
                for (place, item) in items.iter_mut().enumerate() {
                    self.node(item, &trail.item(place))?;
                }
            }
            Value::Map(map) => {
                for (key, value) in map {
                    self.node(value, &trail.step(key))?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A template's trouble as a refusal.
pub(crate) fn refused(trouble: template::Trouble, text: &str, path: &str, mark: Mark) -> Refusal {
    let path = path.to_owned();
    mark.refuse(match trouble {
        template::Trouble::Format => Fault::Interpolation { path, text: text.to_owned() },
        template::Trouble::Missing { name, hint } => Fault::Missing { path, name, hint },
    })
}
