//! Removing what stopped.

use hako_model::filter::Filters;
use hako_model::time::Timestamp;

use super::{Containers, Pruned, RemoveOptions};
use crate::clock::now;
use crate::{Error, Result};

impl Containers {
    /// Removes all stopped containers that pass the filters.
    pub async fn prune(&self, filters: Filters) -> Result<Pruned> {
        filters.only(&["label", "label!", "until"])?;
        let before = until(&filters)?;
        let mut pruned = Pruned::default();
        for container in self.house.index.all() {
            let (record, status) = (container.record(), container.status());
            let labels = record.labels();
            let label = |key: &str| labels.get(key).map(String::as_str);
            let chosen = !status.state.is_running()
                && before.is_none_or(|before| record.created < before)
                && filters.admits_labels("label", label)
                && filters.lacks_labels("label!", label);
            if !chosen {
                continue;
            }
            let size = self.house.store.writable(&container.dir).size().unwrap_or(0);
            match self.remove(container.id.as_str(), RemoveOptions::default()).await {
                Ok(()) => {
                    pruned.deleted.push(container.id.to_string());
                    pruned.space_reclaimed += size;
                }
                // It was started or removed meanwhile.
                Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let facts = [("reclaimed".to_owned(), pruned.space_reclaimed.to_string())].into();
        self.house.hub.tell(hako_model::event::Kind::Container, "prune", "", facts);
        Ok(pruned)
    }
}

/// The `until` filter: a time, or a Go duration before now.
pub(crate) fn until(filters: &Filters) -> Result<Option<Timestamp>> {
    let mut values = filters.values("until");
    let Some(text) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::invalid("more than one until filter specified"));
    }
    if let Some(nanos) = go_duration(text) {
        return Ok(Some(Timestamp::from_nanos(now().nanos().saturating_sub(nanos))));
    }
    Timestamp::parse(text).map(Some).map_err(|e| Error::invalid(e.to_string()))
}

/// `1h30m`, `10s`, `1.5h` in nanoseconds.
fn go_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let length = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..length] {
                "h" => 3.6e12,
                "m" => 6e10,
                "s" => 1e9,
                "ms" => 1e6,
                "us" | "µs" => 1e3,
                "ns" => 1.0,
                _ => return None,
            };
        rest = &rest[length..];
    }
    (!text.is_empty()).then_some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expect) in [
            ("1h30m", Some(5_400_000_000_000)),
            ("10s", Some(10_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("", None),
            ("10", None),
            ("10x", None),
            ("2023-01-01T00:00:00Z", None),
        ] {
            assert_eq!(go_duration(text), expect, "{text}");
        }
    }
}
