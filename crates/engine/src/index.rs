//! Which containers there are, and who has which name. The engine's one lock; never held across an await.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hako_model::id::{ContainerId, ExecId, is_id_prefix};

use crate::container::Container;
use crate::{Error, Result};

/// All containers.
#[derive(Default)]
pub(crate) struct Index {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    containers: BTreeMap<ContainerId, Arc<Container>>,
    /// Names, reserved or in use.
    names: HashMap<String, ContainerId>,
    execs: HashMap<ExecId, ContainerId>,
}

impl Index {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves a name for an id, or gives Docker's refusal.
    pub(crate) fn reserve(&self, name: &str, id: &ContainerId) -> Result<()> {
        let mut tables = self.tables();
        if let Some(owner) = tables.names.get(name) {
            return Err(Error::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove \
                 (or rename) that container to be able to reuse that name."
            )));
        }
        tables.names.insert(name.to_owned(), id.clone());
        Ok(())
    }

    /// Gives a name back, if it is this id's.
    pub(crate) fn release(&self, name: &str, id: &ContainerId) {
        let mut tables = self.tables();
        if tables.names.get(name) == Some(id) {
            tables.names.remove(name);
        }
    }

    /// Makes a container known. Its name must have been reserved.
    pub(crate) fn insert(&self, container: Arc<Container>) {
        self.tables().containers.insert(container.id.clone(), container);
    }

    /// Forgets a container, its names and its execs; false if somebody else did.
    pub(crate) fn remove(&self, id: &ContainerId) -> bool {
        let mut tables = self.tables();
        tables.names.retain(|_, owner| owner != id);
        tables.execs.retain(|_, owner| owner != id);
        tables.containers.remove(id).is_some()
    }

    /// All containers, by id.
    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.tables().containers.values().cloned().collect()
    }

    /// The container a person means: an id, a name (with or without its slash), or the beginning of an id.
    pub(crate) fn find(&self, text: &str) -> Result<Arc<Container>> {
        if text.is_empty() {
            return Err(Error::invalid("invalid name or ID supplied: \"\""));
        }
        let tables = self.tables();
        if let Some(container) = tables.containers.get(text) {
            return Ok(Arc::clone(container));
        }
        let name = text.strip_prefix('/').unwrap_or(text);
        let named = tables.names.get(name).and_then(|id| tables.containers.get(id));
        if let Some(container) = named {
            return Ok(Arc::clone(container));
        }
        tables.by_prefix(text)
    }

    pub(crate) fn insert_exec(&self, exec: ExecId, container: ContainerId) {
        self.tables().execs.insert(exec, container);
    }

    pub(crate) fn forget_exec(&self, exec: &ExecId) {
        self.tables().execs.remove(exec);
    }

    /// The exec instance a person means, by its id or the beginning of one, and its container.
    pub(crate) fn find_exec(&self, text: &str) -> Result<(ExecId, Arc<Container>)> {
        let tables = self.tables();
        let missing = || Error::not_found(format!("No such exec instance: {text}"));
        let mut matching = tables.execs.iter().filter(|(id, _)| is_id_prefix(text) && id.as_str().starts_with(text));
        let (exec, owner) = matching.next().ok_or_else(missing)?;
        let container = tables.containers.get(owner).ok_or_else(missing)?;
        Ok((exec.clone(), Arc::clone(container)))
    }
}

impl Tables {
    fn by_prefix(&self, text: &str) -> Result<Arc<Container>> {
        let missing = || Error::not_found(format!("No such container: {text}"));
        if !is_id_prefix(text) {
            return Err(missing());
        }
        let from = self.containers.range::<str, _>((std::ops::Bound::Included(text), std::ops::Bound::Unbounded));
        let mut matching = from.take_while(|(id, _)| id.as_str().starts_with(text)).map(|(_, container)| container);
        let first = matching.next().ok_or_else(missing)?;
        if matching.next().is_some() {
            return Err(Error::invalid(format!("multiple IDs found with provided prefix: {text}")));
        }
        Ok(Arc::clone(first))
    }
}
