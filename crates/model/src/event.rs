//! Events as Docker tells them: what happened to which object, and when.
//! Leaves out filters (`model::filter`) and the history on disk (engine).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What kind of object an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// The daemon itself.
    Daemon,
    /// The builder.
    Builder,
}

impl Kind {
    /// The word in Docker's JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Daemon => "daemon",
            Self::Builder => "builder",
        }
    }
}

/// The object an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Id, or name where the object has no id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Labels of the object and facts of the action.
    #[serde(rename = "Attributes", default)]
    pub attributes: BTreeMap<String, String>,
}

/// One event in Docker's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The action again: for clients of API 1.21 and older (containers and images only).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The object's id again, for the same clients.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The container's image, for the same clients.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The kind of object.
    #[serde(rename = "Type")]
    pub kind: Kind,
    /// What happened: `create`, `start`, `exec_create: sh`, …
    #[serde(rename = "Action")]
    pub action: String,
    /// To what.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// Always `local`.
    pub scope: String,
    /// Seconds since the epoch.
    pub time: i64,
    /// Nanoseconds since the epoch.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
    /// Its number in the history, for who asks for it. (hako's own.)
    #[serde(rename = "hakoNumber", default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

impl Event {
    /// The event `action` of the object `id` at `time`.
    pub fn new(
        kind: Kind,
        action: impl Into<String>,
        id: impl Into<String>,
        attributes: BTreeMap<String, String>,
        time: Timestamp,
    ) -> Self {
        let (action, id) = (action.into(), id.into());
        let legacy = matches!(kind, Kind::Container | Kind::Image);
        let from = if kind == Kind::Container { attributes.get("image").cloned() } else { None };
        Self {
            status: if legacy { action.clone() } else { String::new() },
            id: if legacy { id.clone() } else { String::new() },
            from: from.unwrap_or_default(),
            kind,
            action,
            actor: Actor { id, attributes },
            scope: "local".to_owned(),
            time: time.secs(),
            time_nano: time.nanos(),
            number: None,
        }
    }

    /// When it happened.
    pub fn moment(&self) -> Timestamp {
        Timestamp::from_nanos(self.time_nano)
    }

    /// The action without what follows its colon: `exec_create: sh` is `exec_create`.
    pub fn verb(&self) -> &str {
        self.action.split(':').next().unwrap_or(&self.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_event_is_told_in_dockers_json() {
        let attributes = BTreeMap::from([("image".to_owned(), "busybox".to_owned())]);
        let event =
            Event::new(Kind::Container, "exec_create: sh", "ab", attributes, Timestamp::from_nanos(1_500_000_000));
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(
            json,
            r#"{"status":"exec_create: sh","id":"ab","from":"busybox","Type":"container","Action":"exec_create: sh","Actor":{"ID":"ab","Attributes":{"image":"busybox"}},"scope":"local","time":1,"timeNano":1500000000}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
        assert_eq!(event.verb(), "exec_create");
    }

    #[test]
    fn a_volume_event_has_no_legacy_fields() {
        let event = Event::new(Kind::Volume, "create", "v", BTreeMap::new(), Timestamp::from_secs(1));
        assert!(serde_json::to_string(&event).unwrap().starts_with(r#"{"Type":"volume""#));
    }
}
