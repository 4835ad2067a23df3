//! Git repositories as contexts and for ADD: the git program does the work. Nothing of the address ever becomes an option
//! of it, and no helper runs that the address could name.

use std::path::Path;
use std::process::Stdio;

use hako_builder::workshop::Cancel;
use tokio::process::Command;

use crate::{Error, Result};

/// How often it is looked whether the build was stopped.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// What an address names.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    url: &'a str,
    reference: String,
    folder: String,
    /// What the commit must begin with.
    checksum: String,
    keep_git: Option<bool>,
    submodules: bool,
}

impl<'a> Wanted<'a> {
    /// `url[?key=value&…][#reference[:folder]]`.
    fn parse(address: &'a str) -> Result<Self> {
        let (rest, fragment) = address.split_once('#').unwrap_or((address, ""));
        let (url, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut own = Self {
            url,
            reference: reference.to_owned(),
            folder: folder.to_owned(),
            checksum: String::new(),
            keep_git: None,
            submodules: true,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let switch = || match value {
                "" | "1" | "true" => Ok(true),
                "0" | "false" => Ok(false),
                _ => Err(Error::invalid(format!("invalid {key} value: {value:?}"))),
            };
            let set = |place: &mut String, what: &str, value: String| {
                if !place.is_empty() && *place != value {
                    return Err(Error::invalid(format!("{what} conflicts: {place:?} vs {value:?}")));
                }
                *place = value;
                Ok(())
            };
            match key {
                "ref" => set(&mut own.reference, "ref", value.to_owned())?,
                "branch" => set(&mut own.reference, "ref", format!("refs/heads/{value}"))?,
                "tag" => set(&mut own.reference, "ref", format!("refs/tags/{value}"))?,
                "subdir" => set(&mut own.folder, "subdir", value.to_owned())?,
                "checksum" | "commit" => set(&mut own.checksum, "checksum", value.to_owned())?,
                "keep-git-dir" => own.keep_git = Some(switch()?),
                "submodules" => own.submodules = switch()?,
                other => return Err(Error::invalid(format!("unexpected query {other:?}"))),
            }
        }
        if own.reference.is_empty() {
            own.reference = "HEAD".to_owned();
        }
        check(own.url, &own.reference)?;
        Ok(own)
    }
}

/// Checks out `url[?key=value&…][#ref[:folder]]`, with what it is made of from other repositories, into an empty directory;
/// gives the commit.
pub(super) async fn checkout(address: &str, keep_git: bool, into: &Path, cancel: &Cancel) -> Result<String> {
    let wanted = Wanted::parse(address)?;
    git(into, &["init", "--quiet", "."], cancel).await?;
    // What is beside it is named from here.
    git(into, &["remote", "add", "origin", "--", wanted.url], cancel).await?;
    let fetch = ["fetch", "--quiet", "--depth", "1", "--no-tags", "--", "origin", &wanted.reference];
    git(into, &fetch, cancel).await.map_err(|error| match error.to_string().contains("couldn't find remote ref") {
        true => Error::invalid(format!("repository does not contain ref {}", wanted.reference)),
        false => error,
    })?;
    git(into, &["checkout", "--quiet", "FETCH_HEAD"], cancel).await?;
    let read = |name: &str| {
        let text =
            std::fs::read_to_string(into.join(".git").join(name)).map_err(|e| Error::io("read the commit", e))?;
        Ok::<String, Error>(text.split_whitespace().next().unwrap_or_default().to_owned())
    };
    // A tag with a message is not the commit it names.
    let (commit, named) = (read("HEAD")?, read("FETCH_HEAD")?);
    if !commit.starts_with(&wanted.checksum) && !named.starts_with(&wanted.checksum) {
        return Err(Error::invalid(format!("expected checksum to match {}, got {commit}", wanted.checksum)));
    }
    if wanted.submodules && into.join(".gitmodules").is_file() {
        let update = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"];
        git(into, &update, cancel).await?;
    }
    if !wanted.keep_git.unwrap_or(keep_git) {
        std::fs::remove_dir_all(into.join(".git")).map_err(|e| Error::io("remove .git", e))?;
        clear_links(into)?;
    }
    if !wanted.folder.is_empty() {
        narrow(into, &wanted.folder)?;
    }
    Ok(commit)
}

/// Removes the files that lead submodules to a `.git` that is gone.
fn clear_links(directory: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("remove .git", e);
    let text = std::fs::read_to_string(directory.join(".gitmodules")).unwrap_or_default();
    let paths = text.lines().filter_map(|line| line.trim().strip_prefix("path")?.trim_start().strip_prefix('='));
    let root = hako_sys::confined::Root::open(directory).map_err(|e| Error::invalid(format!("open checkout: {e}")))?;
    for path in paths.map(str::trim) {
        let link = Path::new(path).join(".git");
        if root.read_limited(&link, 4096).is_ok_and(|text| text.starts_with(b"gitdir:")) {
            root.remove_all(&link).map_err(|e| failed(std::io::Error::other(e.to_string())))?;
            clear_links(&directory.join(path))?;
        }
    }
    Ok(())
}

fn check(url: &str, reference: &str) -> Result<()> {
    let known = ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|scheme| url.starts_with(scheme));
    if !known || url.contains(char::is_control) {
        return Err(Error::invalid(format!("invalid git repository {url}: want http, https, git or ssh")));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if reference.starts_with('-') || !reference.chars().all(plain) || reference.contains("..") {
        return Err(Error::invalid(format!("invalid git reference {reference}")));
    }
    Ok(())
}

async fn git(directory: &Path, arguments: &[&str], cancel: &Cancel) -> Result<()> {
    let mut command = Command::new("git");
    command.args(["-c", "protocol.allow=never"]);
    for scheme in ["http", "https", "git", "ssh"] {
        command.args(["-c", &format!("protocol.{scheme}.allow=always")]);
    }
    command.args(["-c", "core.symlinks=true", "-c", "core.hooksPath=/dev/null"]).args(arguments).current_dir(directory);
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::not_implemented("git repositories need the git program: install git"),
        _ => Error::io("run git", e),
    })?;
    let stopped = async {
        while !cancel.is_set() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let output = tokio::select! {
        output = child.wait_with_output() => output.map_err(|e| Error::io("run git", e))?,
        () = stopped => return Err(Error::system("the build was cancelled")),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::invalid(format!("git {} failed: {said}", arguments.first().unwrap_or(&""))))
}

/// Leaves only the content of one folder.
fn narrow(into: &Path, folder: &str) -> Result<()> {
    let failed = |e: hako_sys::Error| Error::invalid(format!("folder {folder} of the repository: {e}"));
    let root = hako_sys::confined::Root::open(into).map_err(failed)?;
    let chosen = Path::new(".hako-chosen");
    let real = hako_store::tree::resolve(std::os::fd::AsFd::as_fd(&root), Path::new(folder));
    let missing = || Error::invalid(format!("invalid subdir {folder}: no such directory in the repository"));
    let real = real.map_err(|_| missing())?;
    root.open_dir(&real).map_err(|_| missing())?;
    root.rename(&real, chosen).map_err(failed)?;
    for entry in root.read_dir(Path::new(".")).map_err(failed)? {
        if Path::new(&entry.name) != chosen {
            root.remove_all(Path::new(&entry.name)).map_err(failed)?;
        }
    }
    for entry in root.read_dir(chosen).map_err(failed)? {
        root.rename(&chosen.join(&entry.name), Path::new(&entry.name)).map_err(failed)?;
    }
    root.rmdir(chosen).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_references_and_folders() {
        let parse = |address| Wanted::parse(address).map_err(|error| error.to_string());
        let wanted = |reference: &str, folder: &str| Wanted {
            url: "https://host/x.git",
            reference: reference.to_owned(),
            folder: folder.to_owned(),
            checksum: String::new(),
            keep_git: None,
            submodules: true,
        };
        assert_eq!(parse("https://host/x.git"), Ok(wanted("HEAD", "")));
        assert_eq!(parse("https://host/x.git#v1:a/b"), Ok(wanted("v1", "a/b")));
        assert_eq!(parse("https://host/x.git#:a"), Ok(wanted("HEAD", "a")));
        assert_eq!(parse("https://host/x.git?branch=b&subdir=a"), Ok(wanted("refs/heads/b", "a")));
        assert_eq!(
            parse("https://host/x.git?tag=v1&keep-git-dir=1&submodules=false&checksum=abc"),
            Ok(Wanted {
                checksum: "abc".to_owned(),
                keep_git: Some(true),
                submodules: false,
                ..wanted("refs/tags/v1", "")
            })
        );
        assert_eq!(parse("https://host/x.git?nope=1"), Err("unexpected query \"nope\"".to_owned()));
        assert_eq!(parse("https://host/x.git?ref=a#b"), Err("ref conflicts: \"b\" vs \"a\"".to_owned()));
        assert_eq!(parse("https://host/x.git?submodules=x"), Err("invalid submodules value: \"x\"".to_owned()));
    }

    #[test]
    fn addresses_that_would_be_options_or_programs_are_refused() {
        for (url, reference) in [
            ("--upload-pack=touch /tmp/x", "HEAD"),
            ("ext::sh -c true", "HEAD"),
            ("file:///etc", "HEAD"),
            ("https://host/x.git", "--upload-pack=x"),
            ("https://host/x.git", "a..b"),
            ("https://host/x.git", "a b"),
        ] {
            assert!(check(url, reference).is_err(), "{url} {reference}");
        }
        assert!(check("https://host/x.git", "refs/heads/main").is_ok());
    }
}
