//! `extends`: a service on top of another one, of the same file or of another whose relative paths stay its own.

use std::path::{Path, PathBuf};

use super::{Group, Loader, Trouble};
use crate::conform::Conform;
use crate::error::{Fault, Refusal};
use crate::halves::halves;
use crate::merge::merge;
use crate::shape::{Kind, SERVICE, SERVICES, Trail};
use crate::yaml::{Directive, Map, Mark, Node, Text, Value};

/// A file whose services may be extended.
struct Shelf<'s> {
    services: &'s Map,
    path: &'s Path,
    directory: &'s Path,
    /// Whether it is not one of the group's files.
    foreign: bool,
}

/// The services on the way from one that extends to what it extends.
type Chain = Vec<(PathBuf, String)>;

impl Loader<'_> {
    /// A file's services, each with what it extends beneath it.
    pub(super) fn services(&mut self, node: Node, path: &Path, group: &Group) -> Result<Node, Trouble> {
        let Node { value: Value::Map(services), mark, directive } = node else {
            let reason = "must be a mapping".to_owned();
            return Err(node.mark.refuse(Fault::Value { path: "services".to_owned(), reason }).into());
        };
        // Those that may be extended are needed as they were written.
        let is_extended = services.values().any(|service| service.get("extends").is_some());
        let written = if is_extended { services.clone() } else { Map::default() };
        let shelf = Shelf { services: &written, path, directory: &group.directory, foreign: group.foreign };
        let mut found = Map::with_capacity(services.len());
        let conform = self.conform(shelf.directory, &group.environment, shelf.foreign);
        let each = |(name, service): (Text, Node)| (own(&conform, &name, service), name);
        for (own, name) in halves(services.into_iter().collect(), each) {
            let chain = &mut vec![(path.to_owned(), name.to_string())];
            let whole = self.whole(&shelf, own?, group, chain)?;
            found.append(name, whole);
        }
        Ok(Node { value: Value::Map(found), mark, directive })
    }

    fn service(
        &mut self,
        shelf: &Shelf<'_>,
        name: &str,
        asked: Mark,
        group: &Group,
        chain: &mut Chain,
    ) -> Result<Node, Trouble> {
        let link = (shelf.path.to_owned(), name.to_owned());
        let repeated = chain.contains(&link);
        chain.push(link);
        if repeated {
            let chain = chain.iter().map(|(path, name)| format!("{name} in {}", path.display())).collect();
            return Err(asked.refuse(Fault::Cycle { what: "extends", chain }).into());
        }
        let Some(service) = shelf.services.get(name) else {
            let reason = format!("cannot extend service {name:?} in {}: service not found", shelf.path.display());
            return Err(asked.refuse(Fault::Unusable { reason }).into());
        };
        let conform = self.conform(shelf.directory, &group.environment, shelf.foreign);
        let own = own(&conform, name, service.clone())?;
        self.whole(shelf, own, group, chain)
    }

    /// A service with what it extends beneath it.
    fn whole(&mut self, shelf: &Shelf<'_>, mut own: Node, group: &Group, chain: &mut Chain) -> Result<Node, Trouble> {
        let Some(extends) = own.map_mut().and_then(|map| map.remove("extends")) else { return Ok(own) };
        if extends.directive == Directive::Reset || extends.is_null() {
            return Ok(own);
        }
        let base = self.extended(shelf, &extends, group, chain)?;
        Ok(merge(Some(base), own, Kind::Object(&SERVICE)).unwrap_or_default())
    }

    fn extended(
        &mut self,
        shelf: &Shelf<'_>,
        extends: &Node,
        group: &Group,
        chain: &mut Chain,
    ) -> Result<Node, Trouble> {
        let name = extends.text("service").to_owned();
        if extends.text("file").is_empty() {
            return self.service(shelf, &name, extends.mark, group, chain);
        }
        let file = Self::base_of(shelf.directory, &group.environment).resolve_file(extends.text("file"));
        let file = super::local(Path::new(&file), self.options)?;
        let key = (file.clone(), group.directory.clone());
        if !self.documents.contains_key(&key) {
            let document = self.documents(&file, group)?.into_iter().next().unwrap_or_default();
            self.documents.insert(key.clone(), document);
        }
        let document = self.documents[&key].clone();
        let none = Map::default();
        let services = document.get("services").and_then(Node::map).unwrap_or(&none);
        let directory = file.parent().unwrap_or(shelf.directory).to_owned();
        let shelf = Shelf { services, path: &file, directory: &directory, foreign: true };
        self.service(&shelf, &name, extends.mark, group, chain)
    }
}

/// A service in canonical form, without what it extends.
fn own(conform: &Conform, name: &str, service: Node) -> Result<Node, Refusal> {
    let only = Map::from_iter([(name, service)]);
    let mut node = conform.node(Node::made(Value::Map(only)), SERVICES, &Trail::TOP.step("services"))?;
    Ok(node.map_mut().and_then(|map| map.remove(name)).unwrap_or_default())
}
