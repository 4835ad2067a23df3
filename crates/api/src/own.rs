//! Bodies of hako's own endpoints below `/hako`: why a container ended, and secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The answer to `GET /hako/why/{id}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Why {
    /// The container's name.
    pub name: String,
    /// Docker's word for its state.
    pub state: String,
    /// The last exit code.
    pub exit_code: i64,
    /// When it last ended; Go's zero time if it never did.
    pub finished_at: String,
    /// One word for programs.
    pub cause: String,
    /// One sentence for people.
    pub summary: String,
    /// What it follows from.
    pub details: Vec<String>,
    /// What could be done; may be empty.
    pub hint: String,
    /// The last lines of its log.
    pub log: Vec<String>,
}

/// The body of `POST /hako/secrets/create`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SecretBody {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it says, base64.
    pub data: String,
}

impl std::fmt::Debug for SecretBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SecretBody").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A secret, without what it says: the answer to `GET /hako/secrets/{name}`, and one of `GET /hako/secrets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Secret {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The containers that may read it, by name.
    pub used_by: Vec<String>,
}
