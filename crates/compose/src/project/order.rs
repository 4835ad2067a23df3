//! The order in which services depend on each other.

use std::collections::HashSet;

use indexmap::IndexSet;

use crate::error::{Fault, Refusal};
use crate::yaml::{Map, Mark, Node, Text};

/// Which way to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What others need first.
    Up,
    /// What needs others first.
    Down,
}

/// The services a service depends on, those that are not there left out.
pub fn dependencies<'s>(services: &'s Map, name: &str) -> impl Iterator<Item = (&'s str, &'s Node)> {
    let service = services.get(name);
    service
        .into_iter()
        .flat_map(|service| service.entries("depends_on"))
        .filter(|(dependency, _)| services.contains_key(dependency.as_str()))
        .map(|(dependency, node)| (dependency.as_str(), node))
}

/// Services so that each comes after those it needs (or before them).
#[must_use]
pub fn order(services: &Map, direction: Direction) -> Vec<String> {
    let (mut found, mut names) = (IndexSet::new(), services.keys().map(Text::as_str).collect::<Vec<_>>());
    names.sort_unstable();
    for name in names {
        visit(services, name, &mut found, 0);
    }
    if direction == Direction::Down {
        found.reverse();
    }
    found.into_iter().map(str::to_owned).collect()
}

fn visit<'s>(services: &'s Map, name: &'s str, found: &mut IndexSet<&'s str>, depth: usize) {
    if found.contains(name) || depth > services.len() {
        return;
    }
    let mut needed: Vec<&str> = dependencies(services, name).map(|(name, _)| name).collect();
    needed.sort_unstable();
    for other in needed {
        visit(services, other, found, depth + 1);
    }
    found.insert(name);
}

/// Refuses services that need each other.
pub(super) fn check(services: &Map) -> Result<(), Refusal> {
    let mut done: HashSet<&str> = HashSet::new();
    let mut names: Vec<&str> = services.keys().map(Text::as_str).collect();
    names.sort_unstable();
    for name in names {
        walk(services, name, &mut Vec::new(), &mut done, Mark::default())?;
    }
    Ok(())
}

fn walk<'s>(
    services: &'s Map,
    name: &'s str,
    way: &mut Vec<&'s str>,
    done: &mut HashSet<&'s str>,
    mark: Mark,
) -> Result<(), Refusal> {
    if done.contains(name) {
        return Ok(());
    }
    if let Some(start) = way.iter().position(|other| *other == name) {
        let mut chain: Vec<String> = way[start..].iter().map(|name| (*name).to_owned()).collect();
        chain.push(name.to_owned());
        return Err(mark.refuse(Fault::Cycle { what: "dependency", chain }));
    }
    way.push(name);
    for (dependency, node) in dependencies(services, name) {
        walk(services, dependency, way, done, node.mark)?;
    }
    way.pop();
    done.insert(name);
    Ok(())
}
