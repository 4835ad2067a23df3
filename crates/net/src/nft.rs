//! hako's nft table: base chains and rules (engine), elements of its maps (supervisors, see `publish`).

use crate::Result;
use crate::bridge::Bridge;

/// The nft table of one hako instance: `hako`, or `hako_XXXXXXXX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    name: String,
}

impl Table {
    /// The table of an instance; the empty word is the default instance's.
    pub fn of(instance: &str) -> Self {
        let name = if instance.is_empty() { "hako".to_owned() } else { format!("hako_{instance}") };
        Self { name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes table, maps, chains and rules be as these bridges need them, in one transaction that keeps the elements
    /// already there. Idempotent.
    pub fn ensure(&self, bridges: &[Bridge]) -> Result<()> {
        let _ = bridges;
        todo!()
    }

    /// Whether the table exists (somebody may have flushed the ruleset).
    pub fn exists(&self) -> Result<bool> {
        todo!()
    }

    /// Removes the table with everything in it; one that is gone already is fine.
    pub fn remove(&self) -> Result<()> {
        todo!()
    }
}
