//! The health check as it is written down. Its decisions are `model::health`.

use serde::{Deserialize, Serialize};

use super::is_default;

/// How a container's health is probed. Times are nanoseconds; zero means "inherit", then Docker's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthConfig {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", line]`, or empty to inherit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between two probes.
    #[serde(skip_serializing_if = "is_default")]
    pub interval: i64,
    /// Time after which a probe counts as failed.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: i64,
    /// Time to start during which failures do not count.
    #[serde(skip_serializing_if = "is_default")]
    pub start_period: i64,
    /// Time between two probes during the start period.
    #[serde(skip_serializing_if = "is_default")]
    pub start_interval: i64,
    /// Consecutive failures that make a container unhealthy.
    #[serde(skip_serializing_if = "is_default")]
    pub retries: i64,
}
