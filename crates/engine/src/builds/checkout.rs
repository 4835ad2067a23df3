//! Git repositories as contexts and for ADD: the git program does the work. Nothing of the address ever becomes an option
//! of it, and no helper runs that the address could name.

use std::path::Path;
use std::process::Stdio;

use hako_builder::workshop::Cancel;
use tokio::process::Command;

use crate::{Error, Result};

/// How often it is looked whether the build was stopped.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// Checks out `address[#ref[:folder]]` into an empty directory; gives the commit.
pub(super) async fn checkout(address: &str, keep_git: bool, into: &Path, cancel: &Cancel) -> Result<String> {
    let (url, fragment) = address.split_once('#').unwrap_or((address, ""));
    let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
    let reference = if reference.is_empty() { "HEAD" } else { reference };
    check(url, reference)?;
    git(into, &["init", "--quiet", "."], cancel).await?;
    git(into, &["fetch", "--quiet", "--depth", "1", "--no-tags", "--", url, reference], cancel).await?;
    git(into, &["checkout", "--quiet", "FETCH_HEAD"], cancel).await?;
    let fetched = std::fs::read_to_string(into.join(".git/FETCH_HEAD")).map_err(|e| Error::io("read the commit", e))?;
    let commit = fetched.split_whitespace().next().unwrap_or_default().to_owned();
    if !keep_git {
        std::fs::remove_dir_all(into.join(".git")).map_err(|e| Error::io("remove .git", e))?;
    }
    if !folder.is_empty() {
        narrow(into, folder)?;
    }
    Ok(commit)
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
    let real = real.map_err(|e| Error::invalid(format!("folder {folder} of the repository: {e}")))?;
    root.open_dir(&real).map_err(failed)?;
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
