//! Services' variables: those passed on from the surroundings, those of `env_file`s, labels of `label_file`s.

use std::collections::BTreeMap;
use std::path::Path;

use super::Project;
use crate::dotenv;
use crate::environment::{Environment, malformed, read};
use crate::error::{Error, Fault};
use crate::load::Trouble;
use crate::yaml::{Map, Mark, Node, Value};

impl Project {
    /// Settles every service's variables and labels. Files of variables are no longer named afterwards; those of labels
    /// are, as they count for the hash of the service: see [`Project::forget_label_files`].
    pub(super) fn resolve_environment(&mut self, files: bool) -> Result<(), Trouble> {
        for service in self.services.values_mut() {
            pass_on(service, "environment", &self.environment);
            resolve_labels(service, &self.directory, &self.environment)?;
            if !files {
                continue;
            }
            resolve_service(service, &self.directory, &self.environment)?;
            for hooks in ["pre_start", "post_start", "pre_stop"] {
                let hooks = service.map_mut().and_then(|map| map.get_mut(hooks));
                if let Some(Node { value: Value::List(items), .. }) = hooks {
                    items.iter_mut().for_each(|hook| pass_on(hook, "environment", &self.environment));
                }
            }
        }
        Ok(())
    }
}

impl Project {
    /// Takes the names of label files away, whose labels the services have already: `config` does not show them.
    pub fn forget_label_files(&mut self) {
        for map in self.services.values_mut().filter_map(Node::map_mut) {
            map.remove("label_file");
        }
    }
}

/// Gives variables without a value the one of the surroundings, if there is one.
fn pass_on(node: &mut Node, key: &str, environment: &Environment) {
    let variables = node.map_mut().and_then(|map| map.get_mut(key)?.map_mut());
    for (name, value) in variables.into_iter().flatten() {
        if value.is_null() {
            value.value = environment.get(name).map_or(Value::Null, Value::from);
        }
    }
}

fn resolve_service(service: &mut Node, directory: &Path, environment: &Environment) -> Result<(), Trouble> {
    let Some(files) = service.map_mut().and_then(|map| map.remove("env_file")) else { return Ok(()) };
    let mut found: BTreeMap<String, (String, Mark)> = BTreeMap::new();
    for file in files.items() {
        let path = directory.join(file.text("path"));
        if !path.exists() {
            if file.switch("required") == Some(false) {
                continue;
            }
            let reason =
                format!("env file {} not found: stat {}: no such file or directory", path.display(), path.display());
            return Err(file.mark.refuse(Fault::Unusable { reason }).into());
        }
        for (name, value) in assignments(&path, file, &found, environment)? {
            found.insert(name, (value, file.mark));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let mark = files.mark;
    let Some(map) = service.map_mut() else { return Ok(()) };
    let own = map.or_insert("environment", || Node::at(Value::Map(Map::default()), mark));
    if let Some(own) = own.map_mut() {
        for (name, (value, mark)) in found {
            own.or_insert(name, || Node::at(Value::Text(value.into()), mark));
        }
    }
    Ok(())
}

fn assignments(
    path: &Path,
    file: &Node,
    before: &BTreeMap<String, (String, Mark)>,
    environment: &Environment,
) -> Result<Vec<(String, String)>, Trouble> {
    let text = read(path)?;
    let outer = |name: &str| {
        let earlier = || before.get(name).map(|(value, _)| value.clone());
        environment.get(name).map(str::to_owned).or_else(earlier)
    };
    let found = match file.text("format") {
        "raw" => dotenv::parse_raw(&text, &outer),
        "" => dotenv::parse(&text, &outer).map_err(|error| malformed(path, &error.to_string()))?,
        format => {
            let reason = format!("unsupported env_file format {format:?}: use \"raw\", or leave it out");
            return Err(file.mark.refuse(Fault::Unusable { reason }).into());
        }
    };
    Ok(found.into_iter().map(|one| (one.name, one.value)).collect())
}

fn resolve_labels(service: &mut Node, directory: &Path, environment: &Environment) -> Result<(), Error> {
    let Some(files) = service.get("label_file").cloned() else { return Ok(()) };
    let mut found = Map::default();
    for path in files.items().iter().filter_map(Node::as_text).map(|path| directory.join(path)) {
        let path = path.as_path();
        let outer = |name: &str| environment.get(name).map(str::to_owned);
        let labels = dotenv::parse(&read(path)?, &outer).map_err(|error| malformed(path, &error.to_string()))?;
        for one in labels {
            found.insert(one.name, Node::at(Value::Text(one.value.into()), files.mark));
        }
    }
    let Some(map) = service.map_mut() else { return Ok(()) };
    let own = map.or_insert("labels", || Node::at(Value::Map(Map::default()), files.mark));
    if let Some(own) = own.map_mut() {
        for (name, value) in found {
            own.or_insert(name, || value);
        }
    }
    Ok(())
}
