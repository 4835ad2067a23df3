//! Keys: digests of everything that goes into a step, field by field, with the fields' names so that a difference can be
//! told.

use hako_model::digest::{Algorithm, Digest};
use hako_model::time::Timestamp;
use hako_store::Hasher;

use crate::files::contents::field;

/// What goes into a step.
#[derive(Debug, Clone, Default)]
pub(super) struct Inputs(Vec<(String, String)>);

/// Texts longer than this are kept as their digest in the account of inputs.
const LONG: usize = 400;

impl Inputs {
    pub(super) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    pub(super) fn key(&self) -> Digest {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        field(&mut hasher, b"hako step 1");
        for (name, value) in &self.0 {
            field(&mut hasher, name.as_bytes());
            field(&mut hasher, value.as_bytes());
        }
        hasher.finish()
    }

    /// What is written down to explain later misses.
    pub(super) fn account(&self) -> Vec<(String, String)> {
        let short = |value: &String| match value.len() > LONG {
            true => Hasher::digest(value.as_bytes()).to_string(),
            false => value.clone(),
        };
        self.0.iter().map(|(name, value)| (name.clone(), short(value))).collect()
    }

    /// The first input that differs from an earlier account.
    pub(super) fn difference(&self, earlier: &[(String, String)]) -> String {
        for (name, value) in self.account() {
            match earlier.iter().find(|(own, _)| *own == name) {
                None => return format!("{name} is new"),
                Some((_, before)) if *before != value => return changed(&name, before, &value),
                Some(_) => {}
            }
        }
        let account = self.account();
        let gone = earlier.iter().find(|(name, _)| !account.iter().any(|(own, _)| own == name));
        gone.map_or_else(|| "nothing differs: its layer is gone".to_owned(), |(name, _)| format!("{name} is gone"))
    }
}

fn changed(name: &str, before: &str, after: &str) -> String {
    let is_digest = |text: &str| text.starts_with("sha256:");
    if is_digest(before) || is_digest(after) {
        return format!("{name} changed");
    }
    format!("{name} changed from {before:?} to {after:?}")
}

/// A moment as images write it.
pub(super) fn moment(secs: i64) -> String {
    let age = std::time::Duration::from_secs(u64::try_from(secs).unwrap_or(0));
    Timestamp::from(std::time::SystemTime::UNIX_EPOCH + age).to_string()
}
