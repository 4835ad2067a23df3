//! `include`: another project's files, with their own directory and `.env`, join in. What both declare must be the same.

use std::path::{Path, PathBuf};

use super::{Group, Loader, Trouble};
use crate::conform::Conform;
use crate::error::{Error, Fault};
use crate::shape::{INCLUDES, Trail};
use crate::yaml::{Map, Node, Text, Value};

/// The sections that join in.
const SECTIONS: &[&str] = &["services", "networks", "volumes", "secrets", "configs", "models"];

impl Loader<'_> {
    /// Joins what a document includes to its model.
    pub(super) fn include(
        &mut self,
        model: &mut Node,
        includes: Node,
        path: &Path,
        group: &Group,
    ) -> Result<(), Trouble> {
        if includes.is_null() {
            return Ok(());
        }
        let base = Some(Self::base_of(&group.directory, &group.environment));
        let includes = Conform { base, raw: false, remarks: self.remarks.clone() }.node(
            includes,
            INCLUDES,
            &Trail::TOP.step("include"),
        )?;
        for include in includes.items() {
            let inner = self.included(include, path, group)?;
            let joined = self.model(&inner)?;
            join(model, joined)?;
        }
        Ok(())
    }

    fn included(&self, include: &Node, path: &Path, group: &Group) -> Result<Group, Trouble> {
        let files = include.texts("path").into_iter().map(|path| super::local(Path::new(&path), self.options));
        let files = files.collect::<Result<Vec<PathBuf>, Error>>()?;
        let mut chain = group.chain.clone();
        chain.push(path.to_owned());
        if let Some(again) = files.iter().find(|file| chain.contains(file)) {
            chain.push(again.clone());
            let chain = chain.iter().map(|path| path.display().to_string()).collect();
            return Err(include.mark.refuse(Fault::Cycle { what: "include", chain }).into());
        }
        let Some(first) = files.first() else {
            let reason = "an include needs a path".to_owned();
            return Err(include.mark.refuse(Fault::Unusable { reason }).into());
        };
        let directory = match include.text("project_directory") {
            "" => first.parent().unwrap_or(&group.directory).to_owned(),
            directory => PathBuf::from(directory),
        };
        let mut environment = group.environment.clone();
        let mut env_files: Vec<PathBuf> = include.texts("env_file").into_iter().map(PathBuf::from).collect();
        if env_files.is_empty() {
            env_files.extend(Some(directory.join(".env")).filter(|path| path.is_file()));
        }
        environment.load(&env_files)?;
        Ok(Group { files, directory, environment, foreign: true, chain })
    }
}

fn join(model: &mut Node, joined: Node) -> Result<(), Trouble> {
    let Value::Map(mut joined) = joined.value else { return Ok(()) };
    let Some(model) = model.map_mut() else { return Ok(()) };
    for section in SECTIONS {
        let Some(Node { value: Value::Map(theirs), mark, .. }) = joined.remove(section) else { continue };
        let ours = model.or_insert(*section, || Node::at(Value::Map(Map::default()), mark));
        let Some(ours) = ours.map_mut() else { continue };
        for (name, their) in theirs {
            match ours.get(&name) {
                Some(our) if !alike(our, &their) => {
                    let reason = format!("{section}.{name} conflicts with imported resource");
                    return Err(our.mark.refuse(Fault::Unusable { reason }).into());
                }
                Some(_) => {}
                None => {
                    ours.insert(name, their);
                }
            }
        }
    }
    Ok(())
}

/// Whether two values say the same, wherever they stand.
pub(crate) fn alike(left: &Node, right: &Node) -> bool {
    match (&left.value, &right.value) {
        (Value::Map(left), Value::Map(right)) => {
            let same = |(key, value): (&Text, &Node)| right.get(key).is_some_and(|other| alike(value, other));
            left.len() == right.len() && left.iter().all(same)
        }
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| alike(left, right))
        }
        (left, right) => left == right,
    }
}
