//! Projects in repositories of git: checked out once per commit, into the cache that Docker Compose uses, too. The git
//! program does the work, with the caller's own credentials. What is in a repository is hostile: nothing of an address
//! becomes an option, no helper runs that an address could name, and no link leads a compose file out of its checkout.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hako_compose::repository::Repository;

use super::artifact::cache;

/// The names a compose file may have, the best first.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// The ways to repositories; a redirection or a submodule gets no others.
const PROTOCOLS: &str = "http:https:git:ssh";
/// What of the surroundings would make git work in another repository.
const ELSEWHERE: [&str; 5] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"];
/// What git ends with if a repository has no such branch or tag.
const NONE: i32 = 2;

/// The compose file that an address means.
pub(super) fn fetch(address: &str) -> Result<PathBuf, String> {
    let wanted = Repository::parse(address).ok_or_else(|| format!("{address}: no repository of git"))?;
    let inside = inside(&wanted.folder)?;
    let commit = commit(address, &wanted)?;
    let place = cache()?.join(&commit);
    if !place.is_dir() {
        check_out(&wanted.url, &commit, &place)?;
    }
    compose_file(&place, &inside)
}

/// A path in the repository, which may not lead out of it.
fn inside(folder: &str) -> Result<PathBuf, String> {
    let mut path = PathBuf::new();
    for part in Path::new(folder).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            Component::ParentDir => return Err(format!("git subdirectory path traversal detected: {folder}")),
            _ => return Err(format!("git subdirectory must be relative, got: {folder}")),
        }
    }
    Ok(path)
}

/// The commit that is asked for.
fn commit(address: &str, wanted: &Repository) -> Result<String, String> {
    let reference = if wanted.reference.is_empty() { "HEAD" } else { &wanted.reference };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if reference.starts_with('-') || !reference.chars().all(plain) || reference.contains("..") {
        return Err(format!("invalid git reference {reference:?} in {address}"));
    }
    if is_commit(reference) {
        return Ok(reference.to_owned());
    }
    let asked = git(None, &["ls-remote", "--exit-code", "--", &wanted.url, reference])?;
    if asked.status.code() == Some(NONE) {
        return Err(format!("repository does not contain ref {address}"));
    }
    if !asked.status.success() {
        return Err(format!("failed to access repository at {}:\n {}", wanted.url, complaint(&asked)));
    }
    let listed = String::from_utf8_lossy(&asked.stdout);
    named(&listed, reference).ok_or_else(|| format!("repository does not contain ref {address}"))
}

/// What a reference names in git's list, which has others that merely end alike. A tag with a message stands for itself, as
/// with Docker Compose: paths are the same with both.
fn named(listed: &str, reference: &str) -> Option<String> {
    let of = |name: &str| listed.lines().find_map(|line| line.split_once('\t').filter(|(_, listed)| *listed == name));
    let names = [reference.to_owned(), format!("refs/{reference}"), format!("refs/tags/{reference}")];
    let branch = format!("refs/heads/{reference}");
    let found = names.iter().chain([&branch]).find_map(|name| of(name));
    found.map(|(commit, _)| commit.to_owned()).filter(|commit| is_commit(commit))
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Checks a commit out; the files appear all at once.
fn check_out(url: &str, commit: &str, place: &Path) -> Result<(), String> {
    let making = place.with_extension(std::process::id().to_string());
    let failed = |error: std::io::Error| format!("write {}: {error}", place.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&making).map_err(failed)?;
    let done = check_out_in(url, commit, &making).and_then(|()| match fs::rename(&making, place) {
        // Somebody else was as fast.
        Err(_) if place.is_dir() => fs::remove_dir_all(&making).map_err(failed),
        outcome => outcome.map_err(failed),
    });
    if done.is_err() {
        let _ = fs::remove_dir_all(&making);
    }
    done
}

fn check_out_in(url: &str, commit: &str, directory: &Path) -> Result<(), String> {
    let steps: [&[&str]; 4] = [
        &["init", "--quiet", "."],
        &["remote", "add", "--", "origin", url],
        &["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", "origin", commit],
        &["checkout", "--quiet", "--detach", commit, "--"],
    ];
    for step in steps {
        let done = git(Some(directory), step)?;
        if !done.status.success() {
            return Err(format!("failed to fetch {commit} of {url}:\n {}", complaint(&done)));
        }
    }
    Ok(())
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
}

/// Runs git, which asks nobody anything unless the caller's surroundings say so.
fn git(directory: Option<&Path>, words: &[&str]) -> Result<Output, String> {
    let mut command = Command::new("git");
    command.args(["-c", "core.hooksPath=/dev/null"]).args(words).stdin(Stdio::null());
    command.env("GIT_ALLOW_PROTOCOL", PROTOCOLS);
    ELSEWHERE.iter().for_each(|name| _ = command.env_remove(name));
    let given = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !given("GIT_TERMINAL_PROMPT") {
        command.env("GIT_TERMINAL_PROMPT", "0");
    }
    if !given("GIT_SSH") && !given("GIT_SSH_COMMAND") {
        command.env("GIT_SSH_COMMAND", "ssh -o ControlMaster=no -o BatchMode=yes");
    }
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    command.output().map_err(|error| format!("run git: {error}: projects in repositories are fetched by it"))
}

/// The compose file at a path of a checkout.
fn compose_file(place: &Path, inside: &Path) -> Result<PathBuf, String> {
    let wanted = place.join(inside);
    let missing = |error: std::io::Error| format!("stat {}: {}", wanted.display(), crate::failure::go_cause(&error));
    let file = if fs::metadata(&wanted).map_err(missing)?.is_dir() {
        let found = NAMES.iter().map(|name| wanted.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| format!("no compose file in {}: not found", wanted.display()))?
    } else {
        wanted.clone()
    };
    let real = |path: &Path| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
    let (root, found) = (real(place)?, real(&file)?);
    if !found.starts_with(&root) || found.starts_with(root.join(".git")) {
        return Err(format!("{} leads out of its repository", file.display()));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_that_is_asked_for_is_found_among_those_that_end_alike() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let listed = format!("{one}\trefs/heads/feature/main\n{two}\trefs/heads/main\n{one}\trefs/tags/v1\n");
        assert_eq!(named(&listed, "main"), Some(two.clone()));
        assert_eq!(named(&listed, "refs/heads/main"), Some(two));
        assert_eq!(named(&listed, "v1"), Some(one));
        assert_eq!(named(&listed, "other"), None);
        assert_eq!(named("nonsense\tHEAD\n", "HEAD"), None);
    }

    #[test]
    fn nothing_leads_out_of_a_repository() {
        assert_eq!(inside("a/./b/../c"), Ok(PathBuf::from("a/c")));
        for folder in ["..", "../x", "a/../../x", "/etc"] {
            assert!(inside(folder).is_err(), "{folder}");
        }
    }

    #[test]
    fn references_are_no_options() {
        for reference in ["--upload-pack=touch /tmp/x", "-x", "a b", "a..b", "$(x)", "a:b"] {
            let wanted =
                Repository { url: "git://host/x".to_owned(), reference: reference.to_owned(), folder: String::new() };
            assert!(commit("git://host/x", &wanted).is_err_and(|why| why.contains("invalid git reference")));
        }
    }
}
