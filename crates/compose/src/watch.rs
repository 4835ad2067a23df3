//! `develop.watch`: files that change are brought into the containers. What changed is found by looking: that works on
//! every file system, needs no watch per directory, and misses nothing that happens while something is being done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use hako_api::container::Summary;
use hako_api::exec::{ExecBody, ExecStart};
use hako_api::query;
use hako_client::upload_bytes;

use crate::apply::{run_hook, stop_options, tar_member};
use crate::project::Project;
use crate::verb::members;
use crate::world::{Mood, Outcome, Trouble, World};
use crate::yaml::{Map, Node, Value};

/// More files than that below one path are a mistake.
const MOST: usize = 100_000;

/// What is done when a file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is copied.
    Sync,
    /// The containers are restarted.
    Restart,
    /// Both.
    SyncRestart,
    /// It is copied, then a command is run.
    SyncExec,
    /// The service's image is built, and its containers are made anew of it.
    Rebuild,
}

impl Action {
    /// Whether files are copied.
    fn copies(self) -> bool {
        matches!(self, Self::Sync | Self::SyncRestart | Self::SyncExec)
    }
}

/// One rule of one service.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The service.
    pub service: String,
    /// What is watched.
    pub path: PathBuf,
    /// What is done.
    pub action: Action,
    /// Where in the container it goes.
    pub target: String,
    /// Copy everything at first.
    pub initial: bool,
    ignore: Vec<String>,
    include: Vec<String>,
    hook: Option<Node>,
}

/// The files below a rule's path: when they changed last, and how long they are.
pub type Snapshot = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// The rules of a project's services.
///
/// # Errors
/// A rule hako cannot follow.
pub fn rules(project: &Project) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    for (name, service) in &project.services {
        for node in service.get("develop").map(|develop| develop.list("watch")).unwrap_or_default() {
            let rule = rule(name, node)?;
            if rule.action == Action::Rebuild && service.get("build").is_none() {
                return Err(format!("service {name:?}: a watch that rebuilds needs a `build`"));
            }
            rules.push(rule);
        }
    }
    Ok(rules)
}

fn rule(service: &str, node: &Node) -> Result<Rule, String> {
    let action = match node.text("action") {
        "sync" => Action::Sync,
        "restart" => Action::Restart,
        "sync+restart" => Action::SyncRestart,
        "sync+exec" => Action::SyncExec,
        "rebuild" => Action::Rebuild,
        other => return Err(format!("service {service:?}: unknown watch action {other:?}")),
    };
    let path = PathBuf::from(node.text("path"));
    let mut ignore = vec![".git".to_owned()];
    ignore.extend(node.texts("ignore"));
    let ignored = std::fs::read_to_string(path.join(".dockerignore")).unwrap_or_default();
    ignore.extend(
        ignored.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned),
    );
    if action.copies() && node.text("target").is_empty() {
        return Err(format!("service {service:?}: a watch that copies {} needs a target", path.display()));
    }
    Ok(Rule {
        service: service.to_owned(),
        path,
        action,
        target: node.text("target").to_owned(),
        initial: node.on("initial_sync"),
        ignore,
        include: node.texts("include"),
        hook: node.get("exec").cloned(),
    })
}

impl Rule {
    /// Looks at the files.
    ///
    /// # Errors
    /// There are too many.
    pub fn scan(&self) -> Result<Snapshot, String> {
        let mut found = Snapshot::new();
        let mut todo = vec![self.path.clone()];
        while let Some(path) = todo.pop() {
            let Ok(stat) = std::fs::symlink_metadata(&path) else { continue };
            let relative = path.strip_prefix(&self.path).unwrap_or(&path).to_string_lossy().into_owned();
            if self.ignore.iter().any(|pattern| fits(pattern.trim_matches('/'), &relative)) {
                continue;
            }
            if stat.is_dir() {
                todo.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            } else if self.include.is_empty() || self.include.iter().any(|pattern| fits(pattern, &relative)) {
                found.insert(path, (stat.modified().ok(), stat.len()));
            }
            if found.len() > MOST {
                return Err(format!("more than {MOST} files below {}: say `ignore`", self.path.display()));
            }
        }
        Ok(found)
    }
}

/// What is new or different, and what is gone.
#[must_use]
pub fn changes(before: &Snapshot, after: &Snapshot) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let changed = after.iter().filter(|(path, state)| before.get(*path) != Some(state)).map(|(path, _)| path.clone());
    let gone = before.keys().filter(|path| !after.contains_key(*path)).cloned();
    (changed.collect(), gone.collect())
}

/// Whether a path, or a directory above it, fits a pattern; one without a slash fits a name anywhere.
fn fits(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.trim_start_matches("./").split('/').collect();
    let parts: Vec<&str> = path.split('/').collect();
    if let [name] = pattern[..] {
        return !path.is_empty() && parts.iter().any(|part| fits_name(name.as_bytes(), part.as_bytes()));
    }
    (1..=parts.len()).any(|length| fits_parts(&pattern, &parts[..length]))
}

fn fits_parts(pattern: &[&str], parts: &[&str]) -> bool {
    match (pattern.split_first(), parts.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=parts.len()).any(|skip| fits_parts(rest, &parts[skip..])),
        (Some((first, rest)), Some((part, others))) => {
            fits_name(first.as_bytes(), part.as_bytes()) && fits_parts(rest, others)
        }
        _ => false,
    }
}

fn fits_name(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|skip| fits_name(rest, &name[skip..])),
        (Some((b'?', rest)), Some((_, others))) => fits_name(rest, others),
        (Some((wanted, rest)), Some((letter, others))) => wanted == letter && fits_name(rest, others),
        _ => false,
    }
}

/// Brings changes into a service's containers.
///
/// # Errors
/// The daemon's refusal.
pub async fn bring(
    world: &World<'_>,
    containers: &[Summary],
    rule: &Rule,
    changed: &[PathBuf],
    gone: &[PathBuf],
) -> Outcome {
    for container in members(containers, &rule.service, false).into_iter().filter(|one| one.state == "running") {
        if rule.action.copies() {
            copy(world, &container.id, rule, changed).await?;
            delete(world, &container.id, rule, gone).await?;
        }
        match (rule.action, &rule.hook) {
            (Action::Restart | Action::SyncRestart, _) => {
                world.client.containers().restart(&container.id, &stop_options(None)).await?;
            }
            (Action::SyncExec, Some(hook)) => {
                let hooks = Node::made(Value::List(vec![hook.clone()]));
                let holder = Node::made(Value::Map(Map::from_iter([("exec".to_owned(), hooks)])));
                run_hook(world.client, &container.id, &holder, "exec").await?;
            }
            _ => {}
        }
    }
    let count = changed.len() + gone.len();
    let what = if rule.action == Action::Restart { "restarted for" } else { "brought" };
    world.report.tell(&format!("Service {}", rule.service), &format!("{what} {count} changed files"), Mood::Done);
    Ok(())
}

/// Where a watched file goes.
fn inside(rule: &Rule, path: &Path) -> String {
    let relative = path.strip_prefix(&rule.path).unwrap_or(path).to_string_lossy().into_owned();
    if relative.is_empty() { rule.target.clone() } else { format!("{}/{relative}", rule.target.trim_end_matches('/')) }
}

async fn copy(world: &World<'_>, container: &str, rule: &Rule, changed: &[PathBuf]) -> Outcome {
    let mut tar = Vec::new();
    for path in changed {
        // What went away in the meantime is found gone at the next look.
        let Ok(content) = std::fs::read(path) else { continue };
        let mode = std::fs::metadata(path)
            .map_or(0o644, |stat| std::os::unix::fs::PermissionsExt::mode(&stat.permissions()) & 0o7777);
        tar_member(&mut tar, inside(rule, path).trim_start_matches('/'), &content, mode, 0, 0)?;
    }
    if tar.is_empty() {
        return Ok(());
    }
    tar.resize(tar.len() + 1024, 0);
    let options = query::PutArchive { path: "/".to_owned(), ..query::PutArchive::default() };
    Ok(world.client.containers().put_archive(container, &options, upload_bytes(Bytes::from(tar))).await?)
}

async fn delete(world: &World<'_>, container: &str, rule: &Rule, gone: &[PathBuf]) -> Outcome {
    if gone.is_empty() {
        return Ok(());
    }
    let mut cmd = vec!["rm".to_owned(), "-rf".to_owned(), "--".to_owned()];
    cmd.extend(gone.iter().map(|path| inside(rule, path)));
    let execs = world.client.execs();
    let id = execs.create(container, &ExecBody { cmd, ..ExecBody::default() }).await?.id;
    execs.start_detached(&id, &ExecStart { detach: true, ..ExecStart::default() }).await.map_err(Trouble::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names_and_paths() {
        for (pattern, path) in [
            ("node_modules", "a/node_modules/b.js"),
            ("*.tmp", "x/y.tmp"),
            ("a/b", "a/b/c"),
            ("**/c", "a/b/c"),
            ("a/**/d", "a/b/c/d"),
            ("?.txt", "a.txt"),
        ] {
            assert!(fits(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [("b", "ab"), ("a/b", "x/a/b"), ("*.tmp", "y.tmpx"), ("*", "")] {
            assert!(!fits(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn changes_are_found_by_looking_twice() {
        let state = |size| (None, size);
        let before = Snapshot::from([("a".into(), state(1)), ("b".into(), state(1))]);
        let after = Snapshot::from([("a".into(), state(2)), ("c".into(), state(1))]);
        assert_eq!(changes(&before, &after), (vec!["a".into(), "c".into()], vec!["b".into()]));
    }
}
