//! What is asked before a project is brought up that lies elsewhere: whether its other remote files are trusted, and
//! whether the variables that it reads are as meant. As Docker Compose asks, and answered by `-y`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;

use hako_compose::Project;
use hako_compose::artifact::is_elsewhere;

use super::artifact::cache;
use crate::failure::Failure;
use crate::output;
use crate::render::table;
use crate::session::Session;
use crate::terminal;
use crate::tree::Outcome;

/// Says where a remote project's files lie, and asks what there is to ask; a project of this machine needs neither.
pub(super) fn ask(session: &Session, project: &Project, yes: bool) -> Outcome {
    let given = session.group().map(|flags| flags.strings("file")).unwrap_or_default();
    let Some(address) = given.first().filter(|file| is_elsewhere(file)) else { return Ok(()) };
    if !yes && includes_others(project) {
        agree(&trust(&given), false)?;
    }
    output::line(format!("Your compose stack {address:?} is stored in {:?}", project.directory.display().to_string()))?;
    let read = variables(project);
    if !yes && !read.is_empty() {
        output::print(read)?;
        agree("\nDo you want to proceed with these variables? [Y/n]: ", true)?;
    }
    Ok(())
}

/// Whether files take part that were fetched as well, and that nobody named.
fn includes_others(project: &Project) -> bool {
    let Ok(cache) = cache() else { return false };
    let named = |file: &Path| project.files.iter().any(|main| main.parent() == file.parent());
    project.sources.iter().any(|file| file.starts_with(&cache) && !named(file))
}

fn trust(given: &[String]) -> String {
    let mut text = "\nWarning: This Compose project includes files from remote sources:\n".to_owned();
    for address in given.iter().filter(|file| is_elsewhere(file)) {
        let _ = writeln!(text, "  - {address}");
    }
    text + "\nRemote includes could potentially be malicious. Make sure you trust the source.\nDo you want to continue? [y/N]: "
}

/// Every variable that the project reads, what it is, and who says so.
fn variables(project: &Project) -> String {
    let mut read: BTreeMap<&str, (bool, &str)> = BTreeMap::new();
    for used in &project.uses {
        let (required, default) = read.entry(&used.what.name).or_default();
        *required |= used.what.required;
        if default.is_empty() {
            *default = &used.what.default;
        }
    }
    if read.is_empty() {
        return String::new();
    }
    let mut rows = "VARIABLE\tVALUE\tSOURCE\tREQUIRED\tDEFAULT\n".to_owned();
    for (name, (required, default)) in read {
        let (value, source) = match project.environment.get(name) {
            Some(value) => (value, "environment"),
            None if !default.is_empty() => (default, "compose file"),
            None => ("<unset>", "none"),
        };
        let _ = writeln!(rows, "{name}\t{value}\t{source}\t{}\t{default}", if required { "yes" } else { "no" });
    }
    format!("\nFound the following variables in configuration:\n{}", table::align_with(&rows, 0, 3))
}

/// Goes on only with a yes. On a terminal an empty line is the answer that stands there in capitals.
fn agree(question: &str, usual: bool) -> Outcome {
    let answer = terminal::ask(question, false).map_err(|error| Failure::local(error.to_string()))?;
    let agreed = match answer.trim().to_ascii_lowercase().as_str() {
        "" => usual && std::io::stdin().is_terminal(),
        answer => matches!(answer, "y" | "yes" | "true" | "1"),
    };
    if agreed { Ok(()) } else { Err(Failure::local("operation cancelled by user")) }
}
