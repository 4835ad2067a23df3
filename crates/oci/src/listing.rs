//! `state`, `list` and `ps`: what there is.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Serialize;

use crate::Session;
use crate::arguments::Parsed;
use crate::error::{Error, Result};
use crate::record::{Container, Status};

/// The state the specification defines, with what runc adds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: &'a str,
    bundle: &'a str,
    rootfs: &'a str,
    created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    owner: &'a str,
}

impl<'a> Shown<'a> {
    fn of(container: &'a Container) -> Self {
        let record = &container.record;
        let status = container.status();
        Self {
            oci_version: &record.oci_version,
            id: &record.identity.id,
            pid: if status == Status::Stopped { 0 } else { record.pid },
            status: status.name(),
            bundle: &record.identity.bundle,
            rootfs: &record.rootfs,
            created: &record.created,
            annotations: &record.annotations,
            owner: "root",
        }
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// `state`.
pub(crate) fn state(session: &Session, parsed: &Parsed) -> Result<u8> {
    let container = session.store.open(parsed.id())?;
    println!("{}", json(&Shown::of(&container)));
    Ok(0)
}

/// `list`.
pub(crate) fn list(session: &Session, parsed: &Parsed) -> Result<u8> {
    let format = format_of("list", parsed, "table")?;
    let mut containers = Vec::new();
    for id in session.store.ids()? {
        match session.store.open(&id) {
            Ok(container) => containers.push(container),
            // It is being made, or was removed meanwhile.
            Err(Error::Missing { .. }) => {}
            // A damaged record costs its own line only.
            Err(error) => session.report.warning(&error.to_string()),
        }
    }
    if parsed.on("quiet") {
        containers.iter().for_each(|container| println!("{}", container.id()));
        return Ok(0);
    }
    let shown: Vec<Shown<'_>> = containers.iter().map(Shown::of).collect();
    if format == "json" {
        println!("{}", serde_json::to_string(&shown).unwrap_or_default());
        return Ok(0);
    }
    println!("{:<20} {:<11} {:<11} {:<32} {:<30} OWNER", "ID", "PID", "STATUS", "BUNDLE", "CREATED");
    for one in shown {
        let (id, pid, status, bundle, created) = (one.id, one.pid, one.status, one.bundle, one.created);
        println!("{id:<20} {pid:<11} {status:<11} {bundle:<32} {created:<30} {}", one.owner);
    }
    Ok(0)
}

fn format_of<'a>(command: &'static str, parsed: &'a Parsed, usual: &'static str) -> Result<&'a str> {
    match parsed.value("format") {
        None => Ok(usual),
        Some(format @ ("table" | "json")) => Ok(format),
        Some(other) => Err(Error::Usage { command, what: format!("--format {other}: it must be table or json") }),
    }
}

/// `ps`: the numbers, or the lines of the host's `ps` that are about them.
pub(crate) fn ps(session: &Session, parsed: &Parsed) -> Result<u8> {
    let format = format_of("ps", parsed, "table")?;
    let container = session.store.open(parsed.id())?;
    let pids = container.group()?.pids()?;
    if format == "json" {
        println!("{}", serde_json::to_string(&pids).unwrap_or_default());
        return Ok(0);
    }
    let helper = |what: String| Error::Helper { program: "ps", what };
    let options = if parsed.words.len() > 1 { parsed.words[1..].to_vec() } else { vec!["-ef".to_owned()] };
    let output = Command::new("ps").args(&options).output().map_err(|error| helper(error.to_string()))?;
    if !output.status.success() {
        return Err(helper(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = lines_about(&text, &pids).ok_or_else(|| helper("its table has no column PID".into()))?;
    lines.iter().for_each(|line| println!("{line}"));
    Ok(0)
}

/// The head of a table and its lines about these processes.
fn lines_about<'a>(table: &'a str, pids: &[i32]) -> Option<Vec<&'a str>> {
    let (head, lines) = table.split_once('\n')?;
    let column = head.split_whitespace().position(|name| name == "PID")?;
    let about = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|text| text.parse::<i32>().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    Some([head].into_iter().chain(lines.lines().filter(about)).collect())
}

#[cfg(test)]
mod tests {
    use super::lines_about;

    #[test]
    fn lines_of_a_table_are_chosen_by_number() {
        let table = "USER   PID COMMAND\nroot    12 sh -c 34\nroot    34 sleep\n";
        assert_eq!(lines_about(table, &[34, 5]), Some(vec!["USER   PID COMMAND", "root    34 sleep"]));
        assert_eq!(lines_about("USER COMMAND\nroot sh\n", &[34]), None);
    }
}
