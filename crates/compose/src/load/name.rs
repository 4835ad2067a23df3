//! The project's name: `-p`, `COMPOSE_PROJECT_NAME`, the files' own `name:`, or the directory's, made fit.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::{Loader, Trouble};
use crate::environment::{Definition, Environment, Lookup, Origin};
use crate::error::Fault;
use crate::template::substitute;
use crate::yaml::{Limits, Mark, read};

impl Loader<'_> {
    /// Settles the name and makes it known as `COMPOSE_PROJECT_NAME`.
    pub(super) fn name(
        &mut self,
        files: &[PathBuf],
        directory: &Path,
        environment: &mut Environment,
    ) -> Result<String, Trouble> {
        let given = self.options.project_name.clone().filter(|name| !name.is_empty());
        let given = given.or_else(|| environment.given("COMPOSE_PROJECT_NAME").map(str::to_owned));
        let name = match given {
            Some(name) => fit(name)?,
            None => match self.name_in_files(files, environment)? {
                Some(name) => in_file(&name)?,
                None => of_directory(directory)?,
            },
        };
        let definition = Definition { value: name.clone(), origin: Origin::Project };
        environment.define("COMPOSE_PROJECT_NAME", definition);
        Ok(name)
    }

    /// The last file that has one decides.
    fn name_in_files(&mut self, files: &[PathBuf], environment: &Environment) -> Result<Option<String>, Trouble> {
        let mut found = None;
        for path in files {
            let text = super::read_text(path, self.options)?;
            let might = |line: &str| line.starts_with(['n', '"', '\'', '{', '?']);
            if !text.lines().any(might) {
                continue;
            }
            let source = self.source(path);
            let documents = read(&text, source, Limits::default())?;
            for document in &documents {
                let Some(node) = document.get("name") else { continue };
                let Some(name) = node.as_text() else { continue };
                let lookup = Lookup { environment, missed: RefCell::default() };
                let expanded = substitute(name, &lookup);
                found = Some(expanded.map_err(|trouble| super::document::refused(trouble, name, "name", node.mark))?);
            }
            // Most files have a line that might have been a name's: they are parsed once all the same.
            self.fresh.insert(path.clone(), documents);
        }
        Ok(found.filter(|name| !name.is_empty()))
    }
}

fn of_directory(directory: &Path) -> Result<String, Trouble> {
    let folder = directory.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = normal(&folder.unwrap_or_default());
    if name.is_empty() {
        let reason = "project name must not be empty: give one with -p or `name:`".to_owned();
        return Err(Mark::default().refuse(Fault::Unusable { reason }).into());
    }
    Ok(name)
}

/// A name that files give is made fit, as Compose does.
fn in_file(name: &str) -> Result<String, Trouble> {
    match normal(name) {
        fit if fit.is_empty() => {
            let reason = format!("project name {name:?} has neither a letter nor a digit");
            Err(Mark::default().refuse(Fault::Unusable { reason }).into())
        }
        fit => Ok(fit),
    }
}

/// A name that was chosen must be fit as it is.
fn fit(name: String) -> Result<String, Trouble> {
    if normal(&name) == name {
        return Ok(name);
    }
    let reason = format!(
        "invalid project name {name:?}: must consist only of lowercase alphanumeric characters, hyphens, and underscores \
         as well as start with a letter or number"
    );
    Err(Mark::default().refuse(Fault::Unusable { reason }).into())
}

/// A name made of what may be in one.
pub(crate) fn normal(text: &str) -> String {
    let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let kept: String = text.to_lowercase().chars().filter(fits).collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_become_names() {
        assert_eq!(normal("Name_Of.Folder"), "name_offolder");
        assert_eq!(normal("--x"), "x");
        assert!(fit("Foo".to_owned()).is_err());
    }
}
