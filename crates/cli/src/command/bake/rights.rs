//! What targets want of this machine that the caller must have allowed: the host's network, devices, privileges, and files
//! outside of the working directory.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::change::Change;
use super::target::Target;

/// What is allowed, or what is wanted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Rights {
    network: bool,
    insecure: bool,
    device: bool,
    ssh: bool,
    read: BTreeSet<PathBuf>,
    write: BTreeSet<PathBuf>,
}

impl Rights {
    /// What `--allow` says.
    pub(super) fn allowed(words: &[&str], directory: &Path) -> Result<Self, String> {
        let mut own = Self::default();
        let everything = |path: &str| if path == "*" { PathBuf::from("/") } else { real(directory, path) };
        own.read.insert(real(directory, "."));
        own.write.insert(real(directory, "."));
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match key {
                "network.host" => own.network = true,
                "security.insecure" => own.insecure = true,
                "device" => own.device = true,
                "ssh" => own.ssh = true,
                "fs" => {
                    own.read.insert(everything(value));
                    own.write.insert(everything(value));
                }
                "fs.read" => _ = own.read.insert(everything(value)),
                "fs.write" => _ = own.write.insert(everything(value)),
                _ => return Err(format!("unknown entitlement key {key:?}")),
            }
        }
        Ok(own)
    }

    /// What these changes, which the caller typed, imply.
    pub(super) fn imply(&mut self, changes: &[Change], directory: &Path) {
        let mut typed = Target::default();
        for change in changes {
            // Whatever cannot be read is refused where it is applied.
            let _ = change.apply(&mut typed);
        }
        (typed.context, typed.contexts) = (None, std::collections::BTreeMap::new());
        let implied = Self::wanted(&typed, directory);
        self.read.extend(implied.read);
        self.write.extend(implied.write);
    }

    /// What a target wants.
    fn wanted(target: &Target, directory: &Path) -> Self {
        let has =
            |name: &str| target.entitlements.iter().any(|own| own == name || own.starts_with(&format!("{name}=")));
        let mut own = Self {
            network: has("network.host"),
            insecure: has("security.insecure"),
            device: has("device"),
            ssh: target.ssh.iter().any(|agent| agent.get("id") == "default" && agent.get("paths").is_empty()),
            ..Self::default()
        };
        let context = target.source.as_deref().or(target.context.as_deref());
        let named = target.contexts.iter().map(|(name, place)| target.sources.get(name).unwrap_or(place).as_str());
        let places = context.into_iter().chain(named);
        let mut read: Vec<&str> = places.filter(|place| !is_elsewhere(place)).collect();
        read.extend(target.secret.iter().map(|secret| secret.get("src")));
        read.extend(target.ssh.iter().flat_map(|agent| agent.get("paths").split(',')));
        read.extend(target.cache_from.iter().filter(|own| own.get("type") == "local").map(|own| own.get("src")));
        let mut write: Vec<&str> =
            target.output.iter().map(|own| own.get("dest")).filter(|dest| *dest != "-").collect();
        write.extend(target.cache_to.iter().filter(|own| own.get("type") == "local").map(|own| own.get("dest")));
        let places = |words: Vec<&str>| {
            words.into_iter().filter(|word| !word.is_empty()).map(|word| real(directory, word)).collect()
        };
        (own.read, own.write) = (places(read), places(write));
        own
    }

    /// What is wanted by these targets and not allowed.
    pub(super) fn missing<'a>(&self, targets: impl Iterator<Item = &'a Target>, directory: &Path, files: bool) -> Self {
        let mut own = Self::default();
        for target in targets {
            let wanted = Self::wanted(target, directory);
            own.network |= wanted.network && !self.network;
            own.insecure |= wanted.insecure && !self.insecure;
            own.device |= wanted.device && !self.device;
            if files {
                own.ssh |= wanted.ssh && !self.ssh;
                own.read.extend(beyond(wanted.read, &self.read));
                own.write.extend(beyond(wanted.write, &self.write));
            }
        }
        (own.read, own.write) = (outermost(own.read), outermost(own.write));
        own
    }

    /// What is to be said of it; none if nothing is missing. `words` are the command's.
    pub(super) fn refusal(&self, directory: &Path, words: &[String]) -> Option<String> {
        let (mut said, mut flags, mut files) = (Vec::new(), Vec::new(), Vec::new());
        let mut switch = |on: bool, flag: &str, text: &str| {
            if on {
                said.push(format!(" - {text}"));
                flags.push(format!("--allow={flag}"));
            }
        };
        switch(self.network, "network.host", "Running build containers that can access host network");
        switch(self.insecure, "security.insecure", "Running privileged containers that can make system changes");
        switch(self.device, "device", "Access to CDI devices");
        switch(self.ssh, "ssh", "Forwarding default SSH agent socket");
        let both: BTreeSet<&PathBuf> = self.read.intersection(&self.write).collect();
        let only =
            |own: &BTreeSet<PathBuf>| own.iter().filter(|path| !both.contains(path)).cloned().collect::<Vec<_>>();
        for (paths, flag, text) in [
            (both.iter().map(|path| (*path).clone()).collect(), "fs", "Read and write access"),
            (only(&self.read), "fs.read", "Read access"),
            (only(&self.write), "fs.write", "Write access"),
        ] {
            for path in paths {
                let path = relative(directory, &path);
                said.push(format!(" - {text} to path {path}"));
                files.push(format!("--allow={flag}={path}"));
            }
        }
        if said.is_empty() {
            return None;
        }
        let all = [flags, files.clone()].concat().join(" ");
        let mut text = format!(
            "Your build is requesting privileges for following possibly insecure capabilities:\n\n{}\n\nPass {all:?} to \
             grant requested privileges.\n\nYour full command with requested privileges:\n\nhako bake {all} {}\n\n",
            said.join("\n"),
            words.join(" ")
        );
        if !files.is_empty() {
            text += "To disable filesystem entitlements checks, you can set BUILDX_BAKE_ENTITLEMENTS_FS=0 .\n\n";
        }
        Some(text + "ERROR: additional privileges requested")
    }
}

/// Whether it is no directory of this machine.
fn is_elsewhere(place: &str) -> bool {
    place.starts_with("target:") || place.starts_with("docker-image:") || super::remote::is_remote(place)
}

/// Where a path leads; what is not there yet counts as what it would be in.
fn real(directory: &Path, path: &str) -> PathBuf {
    let path = directory.join(path.strip_prefix("cwd://").unwrap_or(path));
    let mut known = path.as_path();
    loop {
        match (known.canonicalize(), known.parent()) {
            (Ok(found), _) => return found,
            (Err(_), Some(parent)) => known = parent,
            (Err(_), None) => return path.clone(),
        }
    }
}

fn beyond(wanted: BTreeSet<PathBuf>, allowed: &BTreeSet<PathBuf>) -> impl Iterator<Item = PathBuf> {
    wanted.into_iter().filter(|path| !allowed.iter().any(|own| path.starts_with(own)))
}

/// Without what lies in another one.
fn outermost(paths: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let inner = |path: &PathBuf| paths.iter().any(|other| other != path && path.starts_with(other));
    paths.iter().filter(|path| !inner(path)).cloned().collect()
}

fn relative(directory: &Path, path: &Path) -> String {
    let directory = real(directory, ".");
    let (mut own, mut wanted) = (directory.components().peekable(), path.components().peekable());
    while own.peek().is_some() && own.peek() == wanted.peek() {
        own.next();
        wanted.next();
    }
    let way: PathBuf = own.map(|_| Component::ParentDir).chain(wanted).collect();
    way.display().to_string()
}
