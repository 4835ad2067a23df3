//! What a bake file says of one build, how two such descriptions become one, and how it is printed.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::creation::fields;

/// `key=value` pairs that belong together: one cache, output, secret, agent or attestation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry(pub(super) Vec<(String, String)>);

impl Entry {
    /// `key=value,…`, or a word alone, which stands for these pairs.
    pub(super) fn parse(text: &str, alone: impl Fn(&str) -> Vec<(&'static str, String)>) -> Self {
        let own = |pairs: Vec<(&str, String)>| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        if !text.contains('=') {
            return Self(own(alone(text)));
        }
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (key.trim().to_owned(), value.to_owned())
        };
        Self(fields(text).iter().map(|part| pair(part)).collect()).sorted()
    }

    /// In the order they are printed in.
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort_by_key(|(key, _)| (key != "id", key != "src", key.clone()));
        self
    }

    pub(super) fn get(&self, wanted: &str) -> &str {
        self.0.iter().find(|(key, _)| key == wanted).map_or("", |(_, value)| value)
    }

    /// As a flag's value.
    pub(super) fn flag(&self) -> String {
        let pair = |(key, value): &(String, String)| match key.as_str() {
            "mounts" if value.contains(',') => format!("\"{key}={value}\""),
            _ => format!("{key}={value}"),
        };
        self.0.iter().map(pair).collect::<Vec<_>>().join(",")
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            match key.as_str() {
                "disabled" => map.serialize_entry(key, &(value == "true"))?,
                "paths" => map.serialize_entry(key, &value.split(',').collect::<Vec<_>>())?,
                _ => map.serialize_entry(key, value)?,
            }
        }
        map.end()
    }
}

/// A target. What is not said is `None` or empty, and is not printed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Target {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) annotations: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) attest: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) contexts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dockerfile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dockerfile_inline: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) args: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cache_from: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cache_to: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) secret: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ssh: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) platforms: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) output: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pull: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_cache: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) network: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) no_cache_filter: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shm_size: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ulimits: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) entitlements: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) extra_hosts: BTreeMap<String, String>,
    #[serde(skip)]
    pub(super) inherits: Vec<String>,
    /// Where the context really is, if that is part of something elsewhere.
    #[serde(skip)]
    pub(super) source: Option<String>,
    /// The same for named contexts.
    #[serde(skip)]
    pub(super) sources: BTreeMap<String, String>,
}

/// A value of an attribute, whoever read it.
pub(super) type Value = hcl::Value;

/// A value as a string; none for null.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(decimal(value)),
        other => Some(serde_json::to_string(other).unwrap_or_default()),
    }
}

/// A number in full, without what binary fractions add to it.
fn decimal(number: &hcl::Number) -> String {
    /// The digits that a double surely has, and how many a number has that was meant in decimals.
    const SURE: usize = 15;
    const SHORT: usize = 12;
    let Some(value) = number.as_f64().filter(|_| number.as_i64().is_none() && number.as_u64().is_none()) else {
        return number.to_string();
    };
    let rounded: f64 = format!("{value:.*e}", SURE - 1).parse().unwrap_or(value);
    let text = rounded.to_string();
    if text.len() <= SHORT || value.fract() == 0.0 { text } else { value.to_string() }
}

/// Whether a value can be an attribute of that name.
pub(super) fn wanted(key: &str, value: &Value) -> Result<(), String> {
    let is_plain = |value: &Value| !matches!(value, Value::Array(_) | Value::Object(_));
    match key {
        _ if value.is_null() => Ok(()),
        "pull" | "no-cache" => match value {
            Value::Bool(_) => Ok(()),
            Value::String(text) if matches!(text.as_str(), "true" | "false" | "1" | "0") => Ok(()),
            _ => Err("a bool is required".to_owned()),
        },
        "args" | "labels" | "contexts" | "extra-hosts" => match value {
            Value::Object(map) => match map.iter().find(|(_, value)| !is_plain(value)) {
                Some((key, _)) => Err(format!("element {key:?}: string required")),
                None => Ok(()),
            },
            _ => Err("map of string required".to_owned()),
        },
        "tags" | "platforms" | "annotations" | "ulimits" | "entitlements" | "inherits" | "no-cache-filter" => {
            match value {
                Value::Array(items) => match items.iter().position(|item| !is_plain(item)) {
                    Some(at) => Err(format!("element {at}: string required")),
                    None => Ok(()),
                },
                _ => Err("list of string required".to_owned()),
            }
        }
        _ if LISTS.contains(&key) => Ok(()),
        _ if is_plain(value) => Ok(()),
        _ => Err("string required".to_owned()),
    }
}

/// Attributes that are lists of `key=value,…`.
const LISTS: [&str; 6] = ["attest", "cache-from", "cache-to", "secret", "ssh", "output"];

fn scalars(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(scalar).filter(|text| !text.is_empty()).collect(),
        other => scalar(other).into_iter().collect(),
    }
}

fn pairs(value: &Value) -> Result<BTreeMap<String, String>, String> {
    if value.is_null() {
        return Ok(BTreeMap::new());
    }
    let Value::Object(map) = value else { return Err("a map is wanted".to_owned()) };
    Ok(map.iter().filter_map(|(key, value)| Some((key.clone(), scalar(value)?))).collect())
}

fn switch(value: &Value) -> Result<Option<bool>, String> {
    match scalar(value).as_deref() {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(other) => Err(format!("{other:?} is neither true nor false")),
    }
}

/// What a word alone means in a list of such entries.
fn alone(kind: &str, word: &str) -> Vec<(&'static str, String)> {
    let word = word.to_owned();
    match kind {
        "cache" => vec![("ref", word), ("type", "registry".to_owned())],
        "output" if word == "-" => vec![("dest", word), ("type", "tar".to_owned())],
        "output" => vec![("dest", word), ("type", "local".to_owned())],
        "secret" => vec![("", word)],
        _ => vec![("id", word)],
    }
}

fn entries(value: &Value, kind: &str) -> Result<Vec<Entry>, String> {
    let entry = |value: &Value| match value {
        Value::Object(map) => {
            let text = |value: &Value| match value {
                Value::Array(_) => Some(scalars(value).join(",")),
                other => scalar(other),
            };
            let pairs = map.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?)));
            Some(Entry(pairs.collect()).sorted())
        }
        other => scalar(other).filter(|text| !text.is_empty()).map(|text| match (kind, text.split_once('=')) {
            ("ssh", Some((id, paths))) => {
                Entry(vec![("id".to_owned(), id.to_owned()), ("paths".to_owned(), paths.to_owned())])
            }
            _ => Entry::parse(&text, |word| alone(kind, word)),
        }),
    };
    let found: Vec<Entry> = match value {
        Value::Array(items) => items.iter().filter_map(entry).collect(),
        other => entry(other).into_iter().collect(),
    };
    found.into_iter().map(|entry| checked(entry, kind)).collect()
}

/// An entry as it is meant, or what is wrong with it.
fn checked(mut entry: Entry, kind: &str) -> Result<Entry, String> {
    match kind {
        "secret" => {
            if let Some((word, _)) = entry.0.iter().find(|(key, _)| key.is_empty()) {
                return Err(format!("invalid field '{word}' must be a key=value pair"));
            }
            for (key, _) in &entry.0 {
                if !matches!(key.as_str(), "type" | "id" | "source" | "src" | "env") {
                    let value = entry.get(key);
                    return Err(format!("unexpected key '{key}' in '{key}={value}'"));
                }
            }
            // The type only says how its source is meant.
            let is_variable = entry.get("type") == "env" && entry.get("env").is_empty();
            match entry.get("type") {
                "" | "file" | "env" => {}
                other => return Err(format!("unsupported secret type {other:?}")),
            }
            entry.0.retain(|(key, _)| key != "type");
            for (key, _) in &mut entry.0 {
                match key.as_str() {
                    "src" | "source" if is_variable => *key = "env".to_owned(),
                    "source" => *key = "src".to_owned(),
                    _ => {}
                }
            }
        }
        "attest" if entry.get("type").is_empty() => return Err("attestation type not specified".to_owned()),
        "attest" => entry.0.retain(|(key, value)| key != "disabled" || value == "true"),
        "output" if entry.get("type").is_empty() => return Err("type is required for output".to_owned()),
        _ => {}
    }
    Ok(entry.sorted())
}

impl Target {
    /// Whether there is such an attribute in files.
    pub(super) fn has(key: &str) -> bool {
        !matches!(key, "secrets" | "platform") && Self::default().set(key, &Value::Null).is_ok()
    }

    /// Leaves out what is said twice, and what is said by saying nothing; adds what is implied.
    pub(super) fn normalise(&mut self) {
        let attest = std::mem::take(&mut self.attest);
        self.merge(&Self { attest, ..Self::default() });
        for list in [
            &mut self.annotations,
            &mut self.tags,
            &mut self.platforms,
            &mut self.no_cache_filter,
            &mut self.ulimits,
            &mut self.entitlements,
        ] {
            let all = std::mem::take(list);
            join(list, &all);
        }
        for list in [&mut self.secret, &mut self.ssh, &mut self.cache_from, &mut self.cache_to, &mut self.output] {
            let all = std::mem::take(list);
            join(list, &all);
        }
        if self.network.as_deref() == Some("host") {
            join(&mut self.entitlements, &["network.host".to_owned()]);
        }
        self.contexts.retain(|_, place| !place.is_empty());
    }

    /// Takes an attribute.
    pub(super) fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "description" => self.description = scalar(value),
            "annotations" => self.annotations = scalars(value),
            "attest" => self.attest = entries(value, "attest")?,
            "context" => self.context = scalar(value),
            "contexts" => self.contexts = pairs(value)?,
            "dockerfile" => self.dockerfile = scalar(value),
            "dockerfile-inline" => self.dockerfile_inline = scalar(value),
            "args" => self.args = pairs(value)?,
            "labels" => self.labels = pairs(value)?,
            "tags" => self.tags = scalars(value),
            "cache-from" => self.cache_from = entries(value, "cache")?,
            "cache-to" => self.cache_to = entries(value, "cache")?,
            "target" => self.target = scalar(value),
            "secret" | "secrets" => self.secret = entries(value, "secret")?,
            "ssh" => self.ssh = entries(value, "ssh")?,
            "platforms" | "platform" => self.platforms = scalars(value),
            "output" => self.output = entries(value, "output")?,
            "pull" => self.pull = switch(value)?,
            "no-cache" => self.no_cache = switch(value)?,
            "network" => self.network = scalar(value),
            "no-cache-filter" => self.no_cache_filter = scalars(value),
            "shm-size" => self.shm_size = scalar(value),
            "ulimits" => self.ulimits = scalars(value),
            "call" => self.call = scalar(value),
            "entitlements" => self.entitlements = scalars(value),
            "extra-hosts" => self.extra_hosts = pairs(value)?,
            "inherits" => self.inherits = scalars(value),
            other => return Err(format!("unknown key: {other}")),
        }
        Ok(())
    }

    /// Takes over what another one says: it wins where both say something, maps are joined, and so are lists of things
    /// that do not exclude each other.
    pub(super) fn merge(&mut self, other: &Self) {
        let one = |own: &mut Option<String>, other: &Option<String>| {
            if other.is_some() {
                own.clone_from(other);
            }
        };
        one(&mut self.description, &other.description);
        one(&mut self.context, &other.context);
        one(&mut self.dockerfile, &other.dockerfile);
        one(&mut self.dockerfile_inline, &other.dockerfile_inline);
        one(&mut self.target, &other.target);
        one(&mut self.network, &other.network);
        one(&mut self.shm_size, &other.shm_size);
        one(&mut self.call, &other.call);
        self.pull = other.pull.or(self.pull);
        self.no_cache = other.no_cache.or(self.no_cache);
        replace(&mut self.tags, &other.tags);
        replace(&mut self.platforms, &other.platforms);
        replace(&mut self.cache_to, &other.cache_to);
        replace(&mut self.output, &other.output);
        replace(&mut self.no_cache_filter, &other.no_cache_filter);
        join(&mut self.cache_from, &other.cache_from);
        join(&mut self.secret, &other.secret);
        join(&mut self.ssh, &other.ssh);
        join(&mut self.annotations, &other.annotations);
        join(&mut self.ulimits, &other.ulimits);
        join(&mut self.entitlements, &other.entitlements);
        join(&mut self.inherits, &other.inherits);
        for new in &other.attest {
            match self.attest.iter_mut().find(|own| own.get("type") == new.get("type")) {
                Some(own) => own.clone_from(new),
                None => self.attest.push(new.clone()),
            }
        }
        for (own, other) in [
            (&mut self.contexts, &other.contexts),
            (&mut self.args, &other.args),
            (&mut self.labels, &other.labels),
            (&mut self.extra_hosts, &other.extra_hosts),
        ] {
            own.extend(other.clone());
        }
    }
}

fn replace<T: Clone>(own: &mut Vec<T>, other: &[T]) {
    if !other.is_empty() {
        *own = other.to_vec();
    }
}

fn join<T: Clone + PartialEq>(own: &mut Vec<T>, other: &[T]) {
    for item in other {
        if !own.contains(item) {
            own.push(item.clone());
        }
    }
}
