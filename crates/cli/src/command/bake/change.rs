//! `--set`: single values of targets that the command line changes.

use super::target::{Target, Value};

/// One change: the targets it is about, the key with the rest of its path, and the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pattern: String,
    key: String,
    name: String,
    values: Vec<String>,
    adds: bool,
}

impl Change {
    /// Reads all `TARGET.KEY[.NAME][+]=VALUE`; values of the same key are taken together.
    pub(super) fn read(flags: &[&str]) -> Result<Vec<Self>, String> {
        let mut changes: Vec<Self> = Vec::new();
        for flag in flags {
            let (path, value) = match flag.split_once('=') {
                Some((path, value)) => (path, Some(value.to_owned())),
                None => (*flag, None),
            };
            let (path, adds) = path.strip_suffix('+').map_or((path, false), |path| (path, true));
            let mut parts = path.splitn(3, '.');
            let (pattern, key, name) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
            let key = key.ok_or_else(|| format!("invalid override key {path}, expected target.name"))?;
            let name = name.unwrap_or_default().to_owned();
            let value = match value {
                Some(value) => value,
                // An argument without a value is the caller's own, if there is one.
                None if key == "args" => match std::env::var(&name) {
                    Ok(value) => value,
                    Err(_) => continue,
                },
                None => return Err(format!("invalid override {flag}, expected target.name=value")),
            };
            let change =
                Self { pattern: pattern.to_owned(), key: key.to_owned(), name, values: vec![value.clone()], adds };
            let is_same = |own: &&mut Self| own.pattern == change.pattern && own.key == key && own.adds == adds;
            match changes.iter_mut().find(is_same).filter(|own| own.name.is_empty()) {
                Some(known) => known.values.push(value),
                None => changes.push(change),
            }
        }
        Ok(changes)
    }

    /// Whether it is about a target of that name.
    pub(super) fn is_about(&self, name: &str) -> bool {
        matches(self.pattern.as_bytes(), name.as_bytes())
    }

    /// What its targets are to be called.
    pub(super) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Changes a target.
    pub(super) fn apply(&self, target: &mut Target) -> Result<(), String> {
        let named = match self.key.as_str() {
            "args" => Some(&mut target.args),
            "labels" => Some(&mut target.labels),
            "contexts" => Some(&mut target.contexts),
            "extra-hosts" => Some(&mut target.extra_hosts),
            _ => None,
        };
        let last = self.values.last().cloned().unwrap_or_default();
        if let Some(map) = named {
            if self.name.is_empty() {
                return Err(format!("invalid override key {}, expected a name after it", self.key));
            }
            map.insert(self.name.clone(), last);
            return Ok(());
        }
        match self.key.as_str() {
            "push" => return push(target, &last),
            "load" => return load(target, &last),
            "inherits" | "description" => return Err(format!("unknown key: {}", self.key)),
            _ => {}
        }
        let list = Value::Array(self.values.iter().cloned().map(Value::String).collect());
        let mut new = Target::default();
        let is_list = new.set(&self.key, &list).is_ok() && takes_lists(&self.key);
        let value = if is_list { list } else { Value::String(last) };
        // To some lists things are only added.
        let adds = self.adds || matches!(self.key.as_str(), "attest" | "annotations" | "entitlements");
        if !adds || !is_list {
            return target.set(&self.key, &value);
        }
        new.set(&self.key, &value)?;
        let mut before = target.clone();
        for (own, new) in [
            (&mut before.tags, &mut new.tags),
            (&mut before.platforms, &mut new.platforms),
            (&mut before.no_cache_filter, &mut new.no_cache_filter),
        ] {
            own.append(new);
        }
        for (own, new) in [(&mut before.cache_to, &mut new.cache_to), (&mut before.output, &mut new.output)] {
            own.append(new);
        }
        before.merge(&new);
        *target = before;
        Ok(())
    }
}

fn takes_lists(key: &str) -> bool {
    !matches!(
        key,
        "context"
            | "dockerfile"
            | "dockerfile-inline"
            | "target"
            | "pull"
            | "no-cache"
            | "network"
            | "shm-size"
            | "call"
    )
}

/// A registry becomes an output unless the result goes to files.
fn push(target: &mut Target, value: &str) -> Result<(), String> {
    if value != "true" {
        target.output.retain(|output| output.get("type") != "registry");
        return Ok(());
    }
    let kinds: Vec<&str> = target.output.iter().map(|output| output.get("type")).collect();
    if kinds.iter().all(|kind| matches!(*kind, "docker" | "image")) {
        target.output.retain(|output| output.get("type") != "image");
        add(target, "image,push=true")?;
    }
    Ok(())
}

fn load(target: &mut Target, value: &str) -> Result<(), String> {
    let is_image = |kind: &str| matches!(kind, "docker" | "image" | "registry");
    let wanted = value == "true" && target.output.iter().all(|output| is_image(output.get("type")));
    if wanted && !target.output.iter().any(|output| output.get("type") == "docker") {
        add(target, "docker")?;
    }
    Ok(())
}

fn add(target: &mut Target, kind: &str) -> Result<(), String> {
    let mut new = Target::default();
    new.set("output", &Value::String(format!("type={kind}")))?;
    target.output.append(&mut new.output);
    Ok(())
}

/// `*` and `?` as in file names.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        (Some((b'?', pattern)), Some((_, name))) => matches(pattern, name),
        (Some((one, pattern)), Some((other, name))) => one == other && matches(pattern, name),
        _ => false,
    }
}
