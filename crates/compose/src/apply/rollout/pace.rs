//! How fast a rollout goes and what it tolerates: `deploy.update_config` and `deploy.rollback_config`.

use std::time::Duration;

use crate::creation::span;
use crate::yaml::Node;

/// What becomes of an update that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// The old containers come back.
    Rollback,
    /// Everything stays as it is.
    Pause,
    /// The others are replaced all the same.
    Continue,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// How many old ones may be gone before their successors are up.
    pub(super) missing: usize,
    /// How many new ones may be up beside the old ones.
    pub(super) extra: usize,
    /// The pause between two batches.
    pub(super) delay: Duration,
    /// How long a new one is watched once it is ready.
    pub(super) monitor: Duration,
    /// What becomes of too many failures.
    pub(super) failing: Failing,
    /// Which part of the containers may fail.
    pub(super) tolerated: f64,
}

impl Pace {
    /// What `deploy.KEY` of a service says, for so many containers.
    pub(super) fn of(service: &Node, key: &str, total: usize) -> Self {
        let none = Node::default();
        let config = service.at_path(&["deploy", key]).unwrap_or(&none);
        let nanos = |key: &str| span(config, key).and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos);
        let at_once = match config.int("parallelism") {
            Some(0) => total,
            Some(number) => usize::try_from(number).unwrap_or(1),
            None => 1,
        };
        let start_first = can_overlap(service) && config.text("order") != "stop-first";
        let (missing, extra) = if start_first { (0, at_once) } else { (at_once, 0) };
        // Kubernetes rounds so, too: never more missing than said, and always something to be done.
        let missing = part(config, "x-hako-missing", total, false).unwrap_or(missing);
        let extra = part(config, "x-hako-extra", total, true).filter(|_| can_overlap(service)).unwrap_or(extra);
        Self {
            missing: if missing + extra == 0 { 1 } else { missing },
            extra,
            delay: nanos("delay").unwrap_or_default(),
            monitor: nanos("monitor").unwrap_or_default(),
            failing: match config.text("failure_action") {
                "pause" => Failing::Pause,
                "continue" => Failing::Continue,
                _ => Failing::Rollback,
            },
            tolerated: config.float("max_failure_ratio").unwrap_or(0.0),
        }
    }

    /// How many are replaced at once.
    pub(super) fn at_once(&self) -> usize {
        self.missing.saturating_add(self.extra).max(1)
    }

    /// Whether so many failures are too many.
    pub(super) fn is_exceeded(&self, failed: usize, total: usize) -> bool {
        let whole = |number: usize| u32::try_from(number).map_or(f64::MAX, f64::from);
        whole(failed) > self.tolerated * whole(total)
    }
}

/// `3`, or `20%` of all.
fn part(config: &Node, key: &str, total: usize, up: bool) -> Option<usize> {
    if let Some(number) = config.int(key) {
        return usize::try_from(number).ok();
    }
    let percent: usize = config.text(key).strip_suffix('%')?.trim().parse().ok()?;
    let hundredfold = total * percent.min(100);
    Some(if up { hundredfold.div_ceil(100) } else { hundredfold / 100 })
}

/// Whether two containers of a service can run side by side: not if both want the same address or namespace.
fn can_overlap(service: &Node) -> bool {
    let mode = service.text("network_mode");
    let shared = mode == "host" || mode.starts_with("service:") || mode.starts_with("container:");
    let addressed = |network: &Node| {
        ["ipv4_address", "ipv6_address", "mac_address"].iter().any(|key| !network.text(key).is_empty())
    };
    !shared && service.text("mac_address").is_empty() && !service.entries("networks").any(|(_, one)| addressed(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Map, Value};

    fn map(members: &[(&str, Value)]) -> Value {
        Value::Map(members.iter().map(|(key, value)| ((*key).to_owned(), Node::made(value.clone()))).collect::<Map>())
    }

    fn service(config: &[(&str, Value)], more: &[(&str, Value)]) -> Node {
        let deploy = ("deploy", map(&[("update_config", map(config))]));
        Node::made(map(&[more, &[deploy]].concat()))
    }

    #[test]
    fn the_new_ones_come_first_unless_they_cannot() {
        let pace = |config: &[(&str, Value)], more: &[(&str, Value)]| {
            let pace = Pace::of(&service(config, more), "update_config", 10);
            (pace.missing, pace.extra)
        };
        assert_eq!(pace(&[], &[]), (0, 1));
        assert_eq!(pace(&[("parallelism", Value::Int(0))], &[]), (0, 10));
        assert_eq!(pace(&[("order", "stop-first".into()), ("parallelism", Value::Int(3))], &[]), (3, 0));
        assert_eq!(pace(&[], &[("network_mode", "host".into())]), (1, 0));
        let fixed = map(&[("front", map(&[("ipv4_address", "10.0.0.9".into())]))]);
        assert_eq!(pace(&[("x-hako-extra", "20%".into())], &[("networks", fixed)]), (1, 0));
        let both = [("x-hako-missing", "25%".into()), ("x-hako-extra", "25%".into())];
        assert_eq!(pace(&both, &[]), (2, 3));
        assert_eq!(pace(&[("x-hako-missing", Value::Int(0)), ("x-hako-extra", Value::Int(0))], &[]), (1, 0));
    }

    #[test]
    fn some_failures_may_be_tolerated() {
        let pace = Pace::of(&service(&[], &[]), "update_config", 4);
        assert!(pace.is_exceeded(1, 4) && !pace.is_exceeded(0, 4));
        let pace = Pace { tolerated: 0.25, ..pace };
        assert!(!pace.is_exceeded(1, 4) && pace.is_exceeded(2, 4));
        assert_eq!(pace.failing, Failing::Rollback);
    }
}
