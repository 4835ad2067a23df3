//! What of a project goes into an artifact. Paths of files that go along become the names they have there.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};

use super::rewrite::Rewrite;
use super::{Part, Role, is_elsewhere};
use crate::environment::Lookup;
use crate::error::{Error, Fault, Place};
use crate::load::{cause, refused_template};
use crate::path::Base;
use crate::project::Project;
use crate::template::substitute;
use crate::yaml::{Limits, Mark, Node, read};

/// The parts of a project's artifact: its files, what they extend, and the files of variables they name.
///
/// # Errors
/// A file cannot be read, or says something that cannot be published: local includes, or paths behind YAML's anchors.
pub fn parts(project: &Project) -> Result<Vec<Part>, Error> {
    let mut gather = Gather { project, extended: IndexMap::new(), variables: IndexMap::new() };
    let mut parts = Vec::new();
    for path in &project.files {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = gather.file(path, &project.directory)?.into_bytes();
        parts.push(Part { role: Role::File, name, bytes });
    }
    let mut done = 0;
    while let Some((path, name)) = gather.extended.get_index(done).map(|(path, name)| (path.clone(), name.clone())) {
        let directory = path.parent().unwrap_or(&project.directory);
        let bytes = gather.file(&path, directory)?.into_bytes();
        parts.push(Part { role: Role::Extended, name, bytes });
        done += 1;
    }
    for (path, name) in gather.variables {
        // A file that need not be there goes along when it is.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        parts.push(Part { role: Role::Variables, name, bytes });
    }
    Ok(parts)
}

struct Gather<'p> {
    project: &'p Project,
    extended: IndexMap<PathBuf, String>,
    variables: IndexMap<PathBuf, String>,
}

/// A file that is being read.
struct Page<'p> {
    path: &'p Path,
    directory: &'p Path,
    rewrite: Rewrite<'p>,
}

impl Gather<'_> {
    fn file(&mut self, path: &Path, directory: &Path) -> Result<String, Error> {
        if path == Path::new("-") {
            let reason = "a project that is read from standard input cannot be published".to_owned();
            return Err(Error::Invalid { place: None, fault: Fault::Unusable { reason } });
        }
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Error::File { path: path.to_owned(), reason: cause(&error) })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut page = Page { path, directory, rewrite: Rewrite::new(text) };
        let documents = read(text, 0, Limits::default()).map_err(|refusal| page.at(refusal.mark, refusal.fault))?;
        for document in &documents {
            if let Some(include) = document.get("include") {
                self.includes(&page, include)?;
            }
            for (name, service) in document.entries("services") {
                self.service(&mut page, name, service)?;
            }
        }
        Ok(page.rewrite.done())
    }

    fn includes(&self, page: &Page<'_>, include: &Node) -> Result<(), Error> {
        for entry in include.items() {
            let path = entry.get("path").unwrap_or(entry);
            let each = if path.as_text().is_some() { std::slice::from_ref(path) } else { path.items() };
            for text in each.iter().filter_map(Node::as_text) {
                if !is_elsewhere(&self.expanded(page, text, "include", entry.mark)?) {
                    return Err(page.unfit(entry.mark, "cannot publish compose file with local includes"));
                }
            }
        }
        Ok(())
    }

    fn service(&mut self, page: &mut Page<'_>, name: &str, service: &Node) -> Result<(), Error> {
        if let Some(files) = service.get("env_file") {
            let path = format!("services.{name}.env_file");
            match files.as_text() {
                Some(_) => self.variables(page, files, Some("env_file"), &path)?,
                None => {
                    for entry in files.items() {
                        match entry.get("path") {
                            Some(file) => self.variables(page, file, Some("path"), &path)?,
                            None => self.variables(page, entry, None, &path)?,
                        }
                    }
                }
            }
        }
        let Some(file) = service.at_path(&["extends", "file"]) else { return Ok(()) };
        let path = format!("services.{name}.extends.file");
        let text = self.expanded(page, file.as_text().unwrap_or_default(), &path, file.mark)?;
        if text.is_empty() || is_elsewhere(&text) {
            return Ok(());
        }
        let there = self.resolved(page, &text);
        let name = called(&there, "yaml");
        page.put(file, Some("file"), &name, &path)?;
        self.extended.insert(there, name);
        Ok(())
    }

    fn variables(&mut self, page: &mut Page<'_>, file: &Node, key: Option<&str>, path: &str) -> Result<(), Error> {
        let text = self.expanded(page, file.as_text().unwrap_or_default(), path, file.mark)?;
        let there = self.resolved(page, &text);
        let name = called(&there, "env");
        page.put(file, key, &name, path)?;
        self.variables.insert(there, name);
        Ok(())
    }

    fn expanded(&self, page: &Page<'_>, text: &str, path: &str, mark: Mark) -> Result<String, Error> {
        let lookup = Lookup { environment: &self.project.environment, missed: RefCell::default() };
        let expanded = substitute(text, &lookup).map_err(|trouble| refused_template(trouble, text, path, mark));
        expanded.map_err(|refusal| page.at(refusal.mark, refusal.fault))
    }

    fn resolved(&self, page: &Page<'_>, text: &str) -> PathBuf {
        let home = self.project.environment.get("HOME").map(str::to_owned);
        PathBuf::from(Base { directory: page.directory.to_owned(), home }.resolve(text))
    }
}

impl Page<'_> {
    fn put(&mut self, node: &Node, key: Option<&str>, word: &str, path: &str) -> Result<(), Error> {
        let why = format!("{path} cannot be published: write the path there, without anchors and escapes");
        self.rewrite.put(node, key, word).ok_or_else(|| self.unfit(node.mark, &why))
    }

    fn unfit(&self, mark: Mark, reason: &str) -> Error {
        self.at(mark, Fault::Unusable { reason: reason.to_owned() })
    }

    fn at(&self, mark: Mark, fault: Fault) -> Error {
        let place = Place { file: self.path.to_owned(), line: mark.line, column: mark.column };
        Error::Invalid { place: Some(place), fault }
    }
}

/// What a file is called in the artifact: the digest of its path, as in Docker Compose.
fn called(path: &Path, extension: &str) -> String {
    let digest = Sha256::digest(path.to_string_lossy().as_bytes());
    let mut name = String::with_capacity(70);
    for byte in &digest {
        let _ = write!(name, "{byte:02x}");
    }
    format!("{name}.{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Options, load};

    fn gathered(files: &[(&str, &str)]) -> Result<Vec<Part>, Error> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let options = Options::new(directory.path().canonicalize().unwrap());
        parts(&load(&options).unwrap())
    }

    #[test]
    fn names_are_those_of_docker_compose() {
        let name = called(Path::new("/tmp/p/sub/other.yaml"), "yaml");
        assert_eq!(name, "e4e350335348537db5559770e72c86ae85059ed9cbb17391e201c70a8afd54e7.yaml");
    }

    #[test]
    fn what_is_extended_goes_along_with_its_variables() {
        let main = "services:\n  a:\n    image: x\n    env_file: [own.env] # mine\n    extends: {file: sub/b.yaml, service: b}\n";
        let sub = "services:\n  b:\n    env_file:\n      - path: b.env\n        required: false\n      - path: none.env\n        required: false\n";
        let files = [("compose.yaml", main), ("own.env", "A=1"), ("sub/b.yaml", sub), ("sub/b.env", "B=2")];
        let parts = gathered(&files).unwrap();
        let roles: Vec<Role> = parts.iter().map(|part| part.role).collect();
        assert_eq!(roles, [Role::File, Role::Extended, Role::Variables, Role::Variables]);
        let text = String::from_utf8(parts[0].bytes.clone()).unwrap();
        assert!(text.contains(&format!("{{file: {}, service: b}}", parts[1].name)), "{text}");
        assert!(text.contains("] # mine\n") && !text.contains("own.env"), "{text}");
        let text = String::from_utf8(parts[1].bytes.clone()).unwrap();
        let own = parts.iter().find(|part| part.bytes == b"B=2").unwrap();
        assert!(text.contains(&format!("path: {}\n        required", own.name)), "{text}");
    }

    #[test]
    fn local_includes_stay_at_home() {
        let files = [("compose.yaml", "include: [b.yaml]\n"), ("b.yaml", "services: {b: {image: x}}\n")];
        let error = gathered(&files).unwrap_err().to_string();
        assert!(error.ends_with("compose.yaml:1:11: cannot publish compose file with local includes"), "{error}");
    }
}
