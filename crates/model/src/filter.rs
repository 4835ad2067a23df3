//! The `filters` of list, prune and event requests: named sets of values, in both spellings Docker accepts on the wire.
//! Which names a verb knows, and what a value means, is the verb's affair; it says so with [`Filters::only`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

/// Filter values by name. Values of one name are alternatives; different names must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

/// Why filters were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The text is not a JSON object of names and values.
    #[error("invalid filter: {cause}")]
    Malformed {
        /// What the parser said.
        cause: String,
    },
    /// The verb has no filter of that name.
    #[error("invalid filter '{name}'")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// The values are none the filter knows, or contradict each other.
    #[error("invalid filter '{name}=[{}]'", values.join(" "))]
    InvalidValue {
        /// The filter's name.
        name: String,
        /// All values that were given.
        values: Vec<String>,
    },
}

impl Filters {
    /// Reads the query parameter: `{"name": ["value"]}` or the older `{"name": {"value": true}}`. Empty text is no filter.
    ///
    /// # Errors
    /// [`FilterError::Malformed`] when the text is neither.
    pub fn from_json(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|cause| FilterError::Malformed { cause: cause.to_string() })
    }

    /// The text of the query parameter.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Adds a value.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.entry(name.into()).or_default().insert(value.into());
    }

    /// Whether nothing is filtered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the name is filtered at all.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The values of a name; none when it is not filtered.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Refuses names the verb does not know.
    ///
    /// # Errors
    /// [`FilterError::UnknownName`] for the first such name.
    pub fn only(&self, known: &[&str]) -> Result<(), FilterError> {
        match self.names().find(|name| !known.contains(name)) {
            Some(name) => Err(FilterError::UnknownName { name: name.to_owned() }),
            None => Ok(()),
        }
    }

    /// Whether the name is not filtered, or one of its values satisfies `holds`.
    pub fn admits(&self, name: &str, holds: impl FnMut(&str) -> bool) -> bool {
        !self.contains(name) || self.values(name).any(holds)
    }

    /// Whether `value` passes the name's filter by equality.
    #[must_use]
    pub fn admits_exactly(&self, name: &str, value: &str) -> bool {
        self.admits(name, |wanted| wanted == value)
    }

    /// The single yes-or-no value of a name (`dangling`, `all`), if it is given.
    ///
    /// # Errors
    /// [`FilterError::InvalidValue`] when it is not one of Go's booleans, or both at once.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, FilterError> {
        let mut answer = None;
        for value in self.values(name) {
            let invalid = || FilterError::InvalidValue {
                name: name.to_owned(),
                values: self.values(name).map(str::to_owned).collect(),
            };
            let flag = parse_bool(value).ok_or_else(invalid)?;
            if answer.replace(flag).is_some_and(|earlier| earlier != flag) {
                return Err(invalid());
            }
        }
        Ok(answer)
    }

    /// Whether `labels` has all the labels the filter `name` (`label`) asks for: `key` or `key=value` each, all of them.
    #[must_use]
    pub fn admits_labels<'a>(&self, name: &str, labels: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.values(name).all(|wanted| has_label(wanted, &labels))
    }

    /// Whether `labels` has none of the labels the filter `name` (`label!`) excludes.
    #[must_use]
    pub fn lacks_labels<'a>(&self, name: &str, labels: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.values(name).any(|excluded| has_label(excluded, &labels))
    }
}

fn has_label<'a>(wanted: &str, labels: &impl Fn(&str) -> Option<&'a str>) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels(key) == Some(value),
        None => labels(wanted).is_some(),
    }
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Filters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Values {
            List(BTreeSet<String>),
            Set(BTreeMap<String, bool>),
        }
        let wire = Option::<BTreeMap<String, Values>>::deserialize(deserializer)?.unwrap_or_default();
        let sets = wire.into_iter().map(|(name, values)| match values {
            Values::List(list) => (name, list),
            Values::Set(set) => (name, set.into_keys().collect()),
        });
        Ok(Self(sets.collect()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Filters {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut filters = Self::default();
        for (name, value) in pairs {
            filters.add(name, value);
        }
        filters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_mean_the_same() {
        let modern = Filters::from_json(r#"{"status":["running","paused"]}"#).unwrap();
        let older = Filters::from_json(r#"{"status":{"running":true,"paused":true}}"#).unwrap();
        assert_eq!(modern, older);
        assert_eq!(modern.to_json(), r#"{"status":["paused","running"]}"#);
    }

    #[test]
    fn garbage_is_refused_and_nothing_is_nothing() {
        assert!(Filters::from_json("").unwrap().is_empty());
        assert!(Filters::from_json("{}").unwrap().is_empty());
        assert!(matches!(Filters::from_json("[1]"), Err(FilterError::Malformed { .. })));
    }

    #[test]
    fn unknown_names_are_named() {
        let filters: Filters = [("label", "a"), ("colour", "red")].into_iter().collect();
        let refused = filters.only(&["label"]).unwrap_err();
        assert_eq!(refused.to_string(), "invalid filter 'colour'");
    }

    #[test]
    fn flags_follow_go() {
        let check = |value: &str| [("dangling", value)].into_iter().collect::<Filters>().flag("dangling");
        assert_eq!(check("T"), Ok(Some(true)));
        assert_eq!(check("0"), Ok(Some(false)));
        assert_eq!(check("yes").unwrap_err().to_string(), "invalid filter 'dangling=[yes]'");
        assert_eq!(Filters::default().flag("dangling"), Ok(None));
    }

    #[test]
    fn labels_all_must_hold() {
        let labels = BTreeMap::from([("a", "1"), ("b", "")]);
        let check = |wanted: &[&str]| {
            let filters: Filters = wanted.iter().map(|value| ("label", *value)).collect();
            filters.admits_labels("label", |key| labels.get(key).copied())
        };
        assert!(check(&["a"]) && check(&["a=1", "b"]) && check(&[]));
        assert!(!check(&["a=2"]) && !check(&["a", "c"]));
    }
}
