//! Definitions that lie elsewhere: a git repository, an archive, or a single file. As with buildx it is the builder who
//! fetches them.

use std::path::{Component, Path, PathBuf};

use super::Text;
use super::target::Target;
use crate::command::build::{BUILD, is_archive};
use crate::command::compose::inside::hand_on;
use crate::failure::{Failure, path_failure};
use crate::scratch::{Folder, Scratch};
use crate::session::Session;

/// The largest single file that may be a definition.
const LARGEST: u64 = 512 << 10;

/// How much of a file tells whether it is an archive.
const TASTE: usize = 512;

/// What a command line names: the definition's address, the address that stands for the caller's own directory, and targets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub(super) address: Option<&'a str>,
    pub(super) directory: &'a str,
    pub(super) targets: &'a [String],
}

impl<'a> Asked<'a> {
    pub(super) fn of(words: &'a [String]) -> Self {
        let (mut address, mut directory, mut targets) = (None, "cwd://", words);
        if let Some((first, rest)) = targets.split_first().filter(|(first, _)| is_remote(first)) {
            (address, targets) = (Some(first.as_str()), rest);
            if let Some((second, rest)) = targets.split_first().filter(|(second, _)| is_remote(second)) {
                (directory, targets) = (second, rest);
            }
        }
        Asked { address, directory, targets }
    }
}

/// Whether a word names something on another machine.
pub(super) fn is_remote(word: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@", "github.com/"].iter().any(|scheme| word.starts_with(scheme))
}

fn is_repository(address: &str) -> bool {
    let path = address.split(['#', '?']).next().unwrap_or(address);
    !(address.starts_with("http://") || address.starts_with("https://")) || path.ends_with(".git")
}

/// A definition that was fetched.
#[derive(Debug)]
pub(super) struct Remote {
    address: String,
    /// What it is part of, as the builder has it.
    base: Base,
    folder: Folder,
}

#[derive(Debug, PartialEq, Eq)]
enum Base {
    /// A repository, where contexts are, too.
    Repository,
    /// An archive, unpacked in the folder.
    Archive,
    /// One file; contexts are the caller's own.
    File,
}

impl Remote {
    /// Fetches files of these names; the usual ones if there are none.
    pub(super) async fn fetch(session: &Session, address: &str, names: &[&str]) -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let mut own = Self { address: address.to_owned(), base: Base::Repository, folder };
        if is_repository(address) {
            let line = match names {
                // A pattern may match nothing.
                [] => {
                    let usual: Vec<String> = super::USUAL.iter().map(|name| pattern(name)).collect();
                    format!("COPY --from=definition {} /", usual.join(" "))
                }
                names => {
                    let one = |name: &&str| {
                        format!(
                            "COPY --parents --from=definition [{:?}, \"/\"]\n",
                            pattern(name.trim_start_matches('/'))
                        )
                    };
                    names.iter().map(one).collect()
                }
            };
            own.build(session, &line, &[&format!("--build-context=definition={address}")]).await?;
            return Ok(own);
        }
        own.build(session, &format!("ADD {address:?} /definition"), &[]).await?;
        let path = own.folder.path().join("definition");
        let failed = |error: std::io::Error| path_failure("read", &path.display().to_string(), &error);
        let size = std::fs::metadata(&path).map_err(failed)?.len();
        let mut taste = vec![0; TASTE];
        let mut file = std::fs::File::open(&path).map_err(failed)?;
        let read = std::io::Read::read(&mut file, &mut taste).map_err(failed)?;
        if is_archive(&taste[..read]) {
            std::fs::remove_file(&path).map_err(failed)?;
            own.base = Base::Archive;
            let context = format!("--build-context=definition={address}");
            own.build(session, "COPY --from=definition / /", &[&context]).await?;
            return Ok(own);
        }
        own.base = Base::File;
        if size > LARGEST {
            return Err(refused("non-archive definition URL bigger than maximum allowed size"));
        }
        Ok(own)
    }

    async fn build(&self, session: &Session, line: &str, flags: &[&str]) -> Result<(), Failure> {
        let (dockerfile, context) = (Scratch::with(&format!("FROM scratch\n{line}\n"))?, Folder::new()?);
        let mut words = vec![
            "--progress=none".to_owned(),
            format!("--output=type=local,dest={}", self.folder.path().display()),
            format!("--file={}", dockerfile.path().display()),
        ];
        words.extend(flags.iter().map(|flag| (*flag).to_owned()));
        words.push(context.path().display().to_string());
        hand_on(session, &BUILD, words).await
    }

    /// Names and texts of the files.
    pub(super) fn files(&self, names: &[&str]) -> Result<Vec<Text>, String> {
        let read = |path: &Path, name: &str| {
            let failed = |error| format!("failed to solve: lstat {name}: {}", crate::failure::go_cause(&error));
            let bytes = std::fs::read(path).map_err(failed)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Ok(Text { name: name.to_owned(), text, path: path.to_owned() })
        };
        if self.base == Base::File {
            return Ok(vec![read(&self.folder.path().join("definition"), &self.address)?]);
        }
        match names {
            [] => super::USUAL
                .iter()
                .map(|name| (self.folder.path().join(name), *name))
                .filter(|(path, _)| path.is_file())
                .map(|(path, name)| read(&path, name))
                .collect(),
            names => {
                names.iter().map(|name| read(&self.folder.path().join(name.trim_start_matches('/')), name)).collect()
            }
        }
    }

    /// Contexts that lie beside the definition are there, and not here.
    pub(super) fn place(&self, target: &mut Target) -> Result<(), String> {
        if self.base == Base::File {
            return Ok(());
        }
        for (name, place) in &target.contexts {
            if let Some(found) = self.context(place) {
                target.sources.insert(name.clone(), found);
            }
        }
        let context = target.context.clone().unwrap_or_else(|| ".".to_owned());
        target.source = self.context(&context);
        if context == "." && self.base == Base::Repository {
            target.context = Some(self.address.clone());
        }
        let file = target.dockerfile.as_deref().unwrap_or("Dockerfile");
        let local = context
            .strip_prefix("cwd://")
            .filter(|_| !file.starts_with("cwd://") && target.dockerfile_inline.is_none());
        if local.is_some_and(|local| Path::new(local).join(file).exists()) {
            return Err("reading a dockerfile for a remote build invocation is currently not supported".to_owned());
        }
        Ok(())
    }

    fn context(&self, place: &str) -> Option<String> {
        let known = ["cwd://", "target:", "docker-image:"].iter().any(|scheme| place.starts_with(scheme));
        if known || is_remote(place) {
            return None;
        }
        let inside = inside(place);
        if self.base == Base::Archive {
            return Some(self.folder.path().join(inside).display().to_string());
        }
        if inside.as_os_str().is_empty() {
            return Some(self.address.clone());
        }
        let (repository, fragment) = self.address.split_once('#').unwrap_or((&self.address, ""));
        let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
        let folder = Path::new(folder).join(inside);
        Some(format!("{repository}#{reference}:{}", folder.display()))
    }
}

/// A path from the root of what was fetched on, which nothing leads out of.
fn inside(place: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in Path::new(place).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => _ = path.pop(),
            _ => {}
        }
    }
    path
}

/// A name as a pattern that matches it alone.
fn pattern(name: &str) -> String {
    match name.char_indices().last() {
        Some((at, last)) if last.is_alphanumeric() => format!("{}[{last}]", &name[..at]),
        _ => name.to_owned(),
    }
}

fn refused(why: &str) -> Failure {
    Failure::Status { message: format!("ERROR: {why}"), code: 1 }
}
