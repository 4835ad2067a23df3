//! Secrets and configs whose content is not a file of the host: written into the container before it starts.

use bytes::Bytes;
use hako_api::query;
use hako_client::{Client, upload_bytes};

use crate::creation::grant_target;
use crate::project::Project;
use crate::world::{Outcome, Trouble};
use crate::yaml::{Map, Node};

/// Writes a service's secrets and configs into its container.
///
/// # Errors
/// A variable that is not set, or the daemon's refusal.
pub async fn inject(client: &Client, project: &Project, service: &str, container: &str) -> Outcome {
    let Some(node) = project.service(service) else { return Ok(()) };
    let mut tar = Vec::new();
    for (kind, directory, there) in [("secrets", "/run/secrets/", &project.secrets), ("configs", "/", &project.configs)]
    {
        for grant in node.list(kind) {
            if let Some(content) = content(project, there, grant)? {
                let (owner, group) = (number(grant.text("uid")), number(grant.text("gid")));
                let mode = u32::from_str_radix(grant.text("mode"), 8).unwrap_or(0o444);
                let target = grant_target(grant, directory);
                member(&mut tar, target.trim_start_matches('/'), content.as_bytes(), mode, owner, group)?;
            }
        }
    }
    if tar.is_empty() {
        return Ok(());
    }
    tar.resize(tar.len() + 1024, 0);
    let options = query::PutArchive { path: "/".to_owned(), copy_ownership: true, ..query::PutArchive::default() };
    client.containers().put_archive(container, &options, upload_bytes(Bytes::from(tar))).await?;
    Ok(())
}

fn content(project: &Project, there: &Map, grant: &Node) -> Outcome<Option<String>> {
    let Some(stored) = there.get(grant.text("source")) else { return Ok(None) };
    let variable = stored.text("environment");
    if !variable.is_empty() {
        let missing = || {
            let name = stored.text("name");
            Trouble::Impossible(format!("environment variable {variable:?} required by file {name:?} is not set"))
        };
        return project.environment.get(variable).map(|value| Some(value.to_owned())).ok_or_else(missing);
    }
    Ok(stored.get("content").and_then(Node::as_text).map(str::to_owned))
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or(0)
}

/// One file of a ustar archive.
pub(crate) fn member(tar: &mut Vec<u8>, path: &str, content: &[u8], mode: u32, owner: u32, group: u32) -> Outcome {
    if path.len() > 100 {
        return Err(Trouble::Impossible(format!("the path of a secret or config is too long: /{path}")));
    }
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, &format!("{mode:07o}"));
    put(108, &format!("{owner:07o}"));
    put(116, &format!("{group:07o}"));
    put(124, &format!("{:011o}", content.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
    Ok(())
}
