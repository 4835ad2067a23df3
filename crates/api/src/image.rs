//! Bodies about images.

use std::collections::BTreeMap;

use hako_model::image::{Descriptor, nullable};
use hako_model::platform::Platform;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::inspect::GraphDriver;
use crate::is_default;
use crate::version::ApiVersion;

/// One line of `GET /images/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Summary {
    /// Containers using it; -1 means not counted.
    pub containers: i64,
    /// When it was made, seconds.
    pub created: i64,
    /// Its id.
    pub id: String,
    /// Labels; `null` when it has none.
    pub labels: Option<BTreeMap<String, String>>,
    /// The image it was built on.
    pub parent_id: String,
    /// Its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    /// What is in its index, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<Part>>,
    /// `name@digest` each; `null` for none before 1.43.
    pub repo_digests: Option<Vec<String>>,
    /// `name:tag` each.
    #[serde(deserialize_with = "nullable")]
    pub repo_tags: Vec<String>,
    /// Bytes shared with other images; -1 means not counted.
    pub shared_size: i64,
    /// Bytes.
    pub size: i64,
    /// The size again, for versions before 1.44.
    #[serde(skip_serializing_if = "is_default")]
    pub virtual_size: i64,
}

/// One manifest of an image's index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    /// Its digest.
    #[serde(rename = "ID")]
    pub id: String,
    /// The manifest, as the index has it.
    #[serde(rename = "Descriptor")]
    pub descriptor: Descriptor,
    /// Whether all of it is here.
    #[serde(rename = "Available")]
    pub available: bool,
    /// How much room it takes.
    #[serde(rename = "Size")]
    pub size: PartSize,
    /// `image`, `attestation` or `unknown`.
    #[serde(rename = "Kind")]
    pub kind: String,
    /// Of an image.
    #[serde(rename = "ImageData", skip_serializing_if = "Option::is_none")]
    pub image: Option<PartImage>,
    /// Of an attestation.
    #[serde(rename = "AttestationData", skip_serializing_if = "Option::is_none")]
    pub attestation: Option<PartAttestation>,
}

/// How much room a manifest's content takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PartSize {
    /// Bytes of its blobs.
    pub content: i64,
    /// Bytes of all.
    pub total: i64,
}

/// An image in an index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PartImage {
    /// What it is for.
    pub platform: Platform,
    /// The containers that use it.
    pub containers: Vec<String>,
    /// Bytes of its layers.
    pub size: PartUnpacked,
}

/// Bytes of unpacked layers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PartUnpacked {
    /// Bytes.
    pub unpacked: i64,
}

/// Whom an attestation is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PartAttestation {
    /// The digest of an image's manifest.
    pub r#for: String,
}

/// `GET /images/{name}/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Image {
    /// Its id.
    pub id: String,
    /// `name:tag` each.
    #[serde(deserialize_with = "nullable")]
    pub repo_tags: Vec<String>,
    /// `name@digest` each.
    #[serde(deserialize_with = "nullable")]
    pub repo_digests: Vec<String>,
    /// The image it was built on.
    pub parent: String,
    /// A message.
    pub comment: String,
    /// When it was made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// The container it was made of, for versions before 1.45.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What that container ran, for versions before 1.45.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_config: Option<Value>,
    /// The version of Docker that made it.
    pub docker_version: String,
    /// Who made it.
    pub author: String,
    /// What containers of it run; see [`shown_config`].
    pub config: Option<Map<String, Value>>,
    /// Its processor.
    pub architecture: String,
    /// The processor's variant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Its operating system.
    pub os: String,
    /// The operating system's version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Bytes.
    pub size: i64,
    /// The size again, for versions before 1.44.
    #[serde(skip_serializing_if = "is_default")]
    pub virtual_size: i64,
    /// Where its files are.
    pub graph_driver: GraphDriver,
    /// Its layers.
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    /// What the engine knows beside the image.
    pub metadata: Metadata,
    /// Its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    /// What is in its index, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<Part>>,
}

/// One result of `GET /images/search`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// How many people like it.
    pub star_count: i64,
    /// Whether docker.io itself stands for it.
    pub is_official: bool,
    /// Its name.
    pub name: String,
    /// Whether it is built by itself.
    pub is_automated: bool,
    /// What it is.
    pub description: String,
}

/// Members of an image's `Config` that are shown even when they say nothing (since 1.50).
const ALWAYS: &[(&str, Blank)] = &[
    ("Cmd", Blank::Null),
    ("Entrypoint", Blank::Null),
    ("Env", Blank::Null),
    ("Labels", Blank::Null),
    ("OnBuild", Blank::Null),
    ("User", Blank::Text),
    ("Volumes", Blank::Null),
    ("WorkingDir", Blank::Text),
];

/// What versions before 1.50 show besides.
const FORMERLY: &[(&str, Blank)] = &[
    ("AttachStderr", Blank::False),
    ("AttachStdin", Blank::False),
    ("AttachStdout", Blank::False),
    ("Domainname", Blank::Text),
    ("Hostname", Blank::Text),
    ("Image", Blank::Text),
    ("OpenStdin", Blank::False),
    ("StdinOnce", Blank::False),
    ("Tty", Blank::False),
];

/// What Go prints for a field that was never set.
#[derive(Clone, Copy)]
enum Blank {
    Null,
    Text,
    False,
}

impl Blank {
    fn value(self) -> Value {
        match self {
            Blank::Null => Value::Null,
            Blank::Text => Value::String(String::new()),
            Blank::False => Value::Bool(false),
        }
    }

    fn is(self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Bool(flag) => !flag,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Number(number) => number.as_i64() == Some(0),
        }
    }
}

/// Shapes an image's run configuration as `inspect` shows it to a client of `version`: fields that say nothing are left
/// out, except those that Docker always shows.
#[must_use]
pub fn shown_config(mut config: Map<String, Value>, version: ApiVersion) -> Map<String, Value> {
    let old = version < ApiVersion::minor(50);
    config.retain(|name, value| !Blank::Null.is(value) && (old || !FORMERLY.iter().any(|(former, _)| former == name)));
    for (name, blank) in ALWAYS.iter().chain(FORMERLY.iter().filter(|_| old)) {
        config.entry(*name).or_insert_with(|| blank.value());
    }
    config
}

/// An image's layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Digests of the unpacked layers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "nullable")]
    pub layers: Vec<String>,
}

/// What the engine knows beside the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Metadata {
    /// When it was last tagged.
    pub last_tag_time: String,
}

/// One step of `GET /images/{name}/history`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct History {
    /// The image's id, or `<missing>`.
    pub id: String,
    /// Seconds.
    pub created: i64,
    /// The instruction.
    pub created_by: String,
    /// Tags of the image; `null` when it has none.
    pub tags: Option<Vec<String>>,
    /// Bytes.
    pub size: i64,
    /// A message.
    pub comment: String,
}

/// One step of a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Removed {
    /// The reference that went.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub untagged: String,
    /// The image that went.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deleted: String,
}

/// The answer to prune.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Pruned {
    /// What went; `null` when nothing did.
    pub images_deleted: Option<Vec<Removed>>,
    /// Bytes.
    pub space_reclaimed: u64,
}

/// `GET /distribution/{name}/json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Distribution {
    /// The manifest or index.
    pub descriptor: Descriptor,
    /// The platforms it runs on.
    #[serde(deserialize_with = "nullable")]
    pub platforms: Vec<Platform>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(version: ApiVersion, expect: Value) {
        let Value::Object(config) =
            json!({"Cmd": ["sh"], "Hostname": "", "Tty": false, "Env": null, "Image": "sha256:1"})
        else {
            panic!("an object")
        };
        assert_eq!(Value::Object(shown_config(config, version)), expect);
    }

    #[test]
    fn new_clients_see_no_fields_of_containers() {
        let expect = json!({
            "Cmd": ["sh"], "Entrypoint": null, "Env": null, "Labels": null, "OnBuild": null, "User": "",
            "Volumes": null, "WorkingDir": ""
        });
        check(ApiVersion::CURRENT, expect);
    }

    #[test]
    fn old_clients_see_all() {
        let expect = json!({
            "AttachStderr": false, "AttachStdin": false, "AttachStdout": false, "Cmd": ["sh"], "Domainname": "",
            "Entrypoint": null, "Env": null, "Hostname": "", "Image": "sha256:1", "Labels": null, "OnBuild": null,
            "OpenStdin": false, "StdinOnce": false, "Tty": false, "User": "", "Volumes": null, "WorkingDir": ""
        });
        check(ApiVersion::minor(49), expect);
    }
}
