//! Which targets are meant, with everything they inherit and every change, and in which order they are built.

use std::collections::BTreeMap;

use super::change::Change;
use super::check;
use super::language::Definition;
use super::target::{Entry, Target};

/// What is to be built.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Plan {
    group: BTreeMap<String, Group>,
    #[serde(rename = "target")]
    pub(super) targets: BTreeMap<String, Target>,
}

#[derive(Debug, serde::Serialize)]
struct Group {
    targets: Vec<String>,
}

/// The name of what is meant when nothing is named.
const DEFAULT: &str = "default";

impl Plan {
    /// Finds what is meant by these names.
    pub(super) fn make(definition: &Definition, names: &[String], changes: &[Change]) -> Result<Self, String> {
        for change in changes {
            if !definition.targets.keys().any(|name| change.is_about(name)) {
                return Err(format!("could not find any target matching '{}'", change.pattern()));
            }
        }
        let mut plan = Self::default();
        let default = [DEFAULT.to_owned()];
        let wanted = if names.is_empty() { &default[..] } else { names };
        for name in wanted {
            plan.add(definition, changes, name, &mut Vec::new())?;
        }
        if !plan.group.contains_key(DEFAULT) {
            let mut targets = wanted.to_vec();
            targets.sort();
            targets.dedup();
            plan.group.insert(DEFAULT.to_owned(), Group { targets });
        }
        plan.link(definition, changes)?;
        for name in plan.targets.keys() {
            plan.follow(name, &mut Vec::new())?;
        }
        plan.targets.values().try_for_each(check::check)?;
        Ok(plan)
    }

    fn add(
        &mut self,
        definition: &Definition,
        changes: &[Change],
        name: &str,
        way: &mut Vec<String>,
    ) -> Result<(), String> {
        let Some(targets) = definition.groups.get(name).filter(|_| !way.iter().any(|known| known == name)) else {
            let target = resolved(definition, changes, name)?;
            self.targets.insert(name.to_owned(), target);
            return Ok(());
        };
        way.push(name.to_owned());
        for target in targets {
            self.add(definition, changes, target, way)?;
        }
        way.pop();
        self.group.insert(name.to_owned(), Group { targets: targets.clone() });
        Ok(())
    }

    /// Adds targets that others have as contexts; nothing else becomes of them.
    fn link(&mut self, definition: &Definition, changes: &[Change]) -> Result<(), String> {
        let needed = |targets: &BTreeMap<String, Target>| -> Vec<String> {
            let names = targets.values().flat_map(linked);
            names.filter(|name| !targets.contains_key(*name)).map(str::to_owned).collect()
        };
        let mut missing = needed(&self.targets);
        while !missing.is_empty() {
            for name in missing {
                let mut target = resolved(definition, changes, &name)?;
                target.output = vec![Entry(vec![("type".to_owned(), "cacheonly".to_owned())])];
                self.targets.insert(name, target);
            }
            missing = needed(&self.targets);
        }
        Ok(())
    }

    /// Refuses targets that need each other.
    fn follow(&self, name: &str, way: &mut Vec<String>) -> Result<(), String> {
        way.push(name.to_owned());
        for next in linked(&self.targets[name]) {
            if next == name {
                return Err(format!("target {next} cannot link to itself"));
            }
            if way.iter().any(|known| known == next) {
                return Err(format!("infinite loop from {name} to {next}"));
            }
            self.follow(next, way)?;
        }
        way.pop();
        Ok(())
    }

    /// Whether another target has this one as a context.
    pub(super) fn is_needed(&self, name: &str) -> bool {
        self.targets.values().flat_map(linked).any(|linked| linked == name)
    }

    /// The targets, each after those it needs.
    pub(super) fn order(&self) -> Result<Vec<&str>, String> {
        let mut order: Vec<&str> = Vec::new();
        while order.len() < self.targets.len() {
            let is_ready = |(name, target): &(&String, &Target)| {
                !order.contains(&name.as_str()) && linked(target).all(|needed| order.contains(&needed))
            };
            let next = self.targets.iter().find(is_ready).map(|(name, _)| name.as_str());
            order.push(next.ok_or("targets need each other in a circle: look at their contexts")?);
        }
        Ok(order)
    }

    /// As buildx prints it.
    pub(super) fn print(&self) -> String {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.replace("${", "$${").replace("%{", "%%{")
    }
}

/// The targets that a target has as contexts.
fn linked(target: &Target) -> impl Iterator<Item = &str> {
    target.contexts.values().filter_map(|place| place.strip_prefix("target:"))
}

/// A target with everything it inherits, and with the changes.
fn resolved(definition: &Definition, changes: &[Change], name: &str) -> Result<Target, String> {
    let mut target = inherited(definition, changes, name, &mut Vec::new())?;
    target.context.get_or_insert_with(|| ".".to_owned());
    target.dockerfile.get_or_insert_with(|| "Dockerfile".to_owned());
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        target.args.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert(epoch);
    }
    Ok(target)
}

fn inherited(definition: &Definition, changes: &[Change], name: &str, way: &mut Vec<String>) -> Result<Target, String> {
    let own = definition.targets.get(name).ok_or_else(|| format!("failed to find target {name}"))?;
    way.push(name.to_owned());
    let mut target = Target::default();
    // Who inherits from itself, by whatever way, has nothing more of it.
    for parent in own.inherits.iter().filter(|parent| !way.contains(*parent)).collect::<Vec<_>>() {
        target.merge(&inherited(definition, changes, parent, way)?);
    }
    way.pop();
    target.merge(own);
    for change in changes.iter().filter(|change| change.is_about(name)) {
        change.apply(&mut target)?;
    }
    target.inherits.clear();
    target.normalise();
    Ok(target)
}
