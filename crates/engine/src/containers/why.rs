//! Why a container ended or does not run: what its supervisor noted, what its files say, and its last words.

mod program;

use hako_model::verdict::{Facts, verdict};

use super::inspect::fresh_status;
use super::{Containers, LogsOptions, Why};
use crate::Result;
use crate::container::Container;

/// Lines of the log that are shown.
const LAST_LINES: u64 = 10;
/// Bytes of one line that are shown.
const LINE: usize = 500;

impl Containers {
    /// Why it ended or does not run.
    pub async fn why(&self, name: &str) -> Result<Why> {
        let container = self.house.index.find(name)?;
        let (record, status) = (container.record(), fresh_status(&container).await);
        let failed = status.state.live().is_none() && !status.error.is_empty();
        let (house, subject) = (std::sync::Arc::clone(&self.house), std::sync::Arc::clone(&container));
        let flaw = match failed {
            // Mounting and reading its layers takes a while.
            true => tokio::task::spawn_blocking(move || program::flaw(&house, &subject)).await.ok().flatten(),
            false => None,
        };
        let host = &record.host_config;
        let facts = Facts {
            flaw,
            command: record.command(),
            init: host.init.unwrap_or(self.house.settings.init),
            own_pids: host.pid_mode.is_empty(),
            machine: program::machine(),
            status: (*status).clone(),
        };
        Ok(Why {
            name: record.name.clone(),
            state: status.state.as_str().to_owned(),
            exit_code: status.exit_code.into(),
            finished_at: status.finished_at,
            verdict: verdict(&facts),
            log: self.last_words(&container).await,
        })
    }

    /// The last lines of its log; none where the log cannot be read.
    async fn last_words(&self, container: &Container) -> Vec<String> {
        let options = LogsOptions { stdout: true, stderr: true, tail: Some(LAST_LINES), ..LogsOptions::default() };
        let Ok(mut logs) = self.logs(container.id.as_str(), options).await else { return Vec::new() };
        let mut text = Vec::new();
        while let Some(Ok(piece)) = logs.next().await {
            text.extend_from_slice(&piece.bytes);
        }
        let lines: Vec<String> =
            String::from_utf8_lossy(&text).lines().map(|line| line.chars().take(LINE).collect()).collect();
        let first = lines.len().saturating_sub(usize::try_from(LAST_LINES).unwrap_or(usize::MAX));
        lines.into_iter().skip(first).collect()
    }
}
