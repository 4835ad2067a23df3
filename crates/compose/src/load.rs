//! Files become a project: found, read, expanded, extended, included, merged, checked.

mod defaults;
mod document;
mod extend;
mod include;
mod locate;
mod name;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::artifact::{Remote, is_elsewhere};
use crate::conform::{Conform, Remarks, expect_values};
use crate::environment::Environment;
use crate::error::{Error, Fault, Place, Refusal};
use crate::merge::{merge, without_repeats};
use crate::path::{Base, relative};
use crate::project::Project;
use crate::shape::{Kind, PROJECT, SERVICE, Trail};
use crate::yaml::{Map, Mark, Node};

pub use document::VariableUse;
pub(crate) use document::refused as refused_template;

/// What a project is loaded from, and how far.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)]
pub struct Options {
    /// `-f`, in order; `-` is `stdin`.
    pub files: Vec<PathBuf>,
    /// The text for `-f -`.
    pub stdin: Option<String>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--env-file`.
    pub env_files: Vec<PathBuf>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// The process's variables.
    pub environment: Vec<(String, String)>,
    /// The working directory.
    pub directory: PathBuf,
    /// Expand variables.
    pub interpolate: bool,
    /// Fill in what Compose implies: default network, names, dependencies by link.
    pub normalise: bool,
    /// Make paths absolute.
    pub resolve_paths: bool,
    /// Read services' `env_file`s and pass variables on.
    pub resolve_environment: bool,
    /// Check that what is referred to is there.
    pub consistent: bool,
    /// Names of containers and images are put together with underscores, as those of Compose 1 were.
    pub compatible: bool,
    /// The way to what lies in registries and repositories; without it, such addresses are refused.
    pub remote: Option<Remote>,
}

impl Options {
    /// Everything as `up` wants it, in a working directory.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            files: Vec::new(),
            stdin: None,
            project_directory: None,
            project_name: None,
            env_files: Vec::new(),
            profiles: Vec::new(),
            environment: Vec::new(),
            directory,
            interpolate: true,
            normalise: true,
            resolve_paths: true,
            resolve_environment: true,
            compatible: false,
            consistent: true,
            remote: None,
        }
    }
}

/// Everything that is known while a project is being loaded.
pub(crate) struct Loader<'o> {
    pub(crate) options: &'o Options,
    /// The project's directory.
    root: PathBuf,
    /// Files in the order they were first read; marks point into it.
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) warnings: Vec<String>,
    pub(crate) remarks: Remarks,
    pub(crate) uses: Vec<VariableUse>,
    documents: HashMap<(PathBuf, PathBuf), Node>,
    /// Files that were read for the project's name, and not yet for anything else.
    fresh: HashMap<PathBuf, Vec<Node>>,
}

/// Loads a project.
///
/// # Errors
/// [`Error`] with file, line and key.
pub fn load(options: &Options) -> Result<Project, Error> {
    let found = locate::files(options)?;
    let mut loader = Loader {
        options,
        root: found.directory.clone(),
        sources: Vec::new(),
        warnings: found.warnings.clone(),
        remarks: Remarks::default(),
        uses: Vec::new(),
        documents: HashMap::new(),
        fresh: HashMap::new(),
    };
    let loaded = loader.project(found);
    loaded.map_err(|trouble| loader.place(trouble))
}

/// A refusal with its mark, or an error that already says where.
pub(crate) enum Trouble {
    Refused(Refusal),
    Placed(Error),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Placed(error)
    }
}

/// A group of files that make one model: the project's, or an include's.
pub(crate) struct Group {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) directory: PathBuf,
    pub(crate) environment: Environment,
    /// Whether it is an include's.
    pub(crate) foreign: bool,
    /// The files that led here, outermost first.
    pub(crate) chain: Vec<PathBuf>,
}

impl Loader<'_> {
    fn project(&mut self, found: locate::Located) -> Result<Project, Trouble> {
        let mut environment = found.environment;
        let name = self.name(&found.files, &found.named, &mut environment)?;
        let group = Group {
            files: found.files.clone(),
            directory: found.directory.clone(),
            environment,
            foreign: false,
            chain: Vec::new(),
        };
        let mut model = self.model(&group)?;
        if let Some(map) = model.map_mut() {
            // The name is settled, the version means nothing.
            map.remove("name");
            map.remove("version");
        }
        let mut project = Project::assemble(name, group, model, self.options)?;
        project.sources.clone_from(&self.sources);
        self.warnings.extend(self.remarks.take());
        project.warnings = std::mem::take(&mut self.warnings);
        project.uses = std::mem::take(&mut self.uses);
        Ok(project)
    }

    /// Reads and merges a group's files.
    fn model(&mut self, group: &Group) -> Result<Node, Trouble> {
        let mut merged: Option<Node> = None;
        for path in &group.files {
            for document in self.documents(path, group)? {
                let over = self.conformed(document, path, group)?;
                merged = merge(merged, over, Kind::Object(&PROJECT));
            }
        }
        let mut model = merged
            .filter(|model| !model.is_null())
            .ok_or_else(|| Mark::default().refuse(Fault::Unusable { reason: "empty compose file".to_owned() }))?;
        for service in
            model.map_mut().and_then(|map| map.get_mut("services")?.map_mut()).into_iter().flat_map(Map::values_mut)
        {
            without_repeats(service, &SERVICE);
        }
        expect_values(&mut model, Kind::Object(&PROJECT), &Trail::TOP)?;
        let base = self.base(&group.directory, &group.environment, group.foreign);
        defaults::fill(&mut model, base.as_ref(), !self.options.interpolate);
        Ok(model)
    }

    /// One document in canonical form: what it extends and includes is in it.
    fn conformed(&mut self, mut document: Node, path: &Path, group: &Group) -> Result<Node, Trouble> {
        let conform = self.conform(&group.directory, &group.environment, group.foreign);
        let includes = document.map_mut().and_then(|map| map.remove("include"));
        let services = document.map_mut().and_then(|map| map.remove("services"));
        self.warn_of_old_ways(&document, path);
        let mut model = conform.node(document, Kind::Object(&PROJECT), &Trail::TOP)?;
        if let Some(services) = services {
            let services = self.services(services, path, group)?;
            if let Some(map) = model.map_mut() {
                map.insert("services".to_owned(), services);
            }
        }
        if let Some(includes) = includes {
            self.include(&mut model, includes, path, group)?;
        }
        Ok(model)
    }

    /// What older files say and newer ones should not.
    fn warn_of_old_ways(&mut self, document: &Node, path: &Path) {
        let mut warn = |warning: String| {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        };
        if document.get("version").is_some() {
            warn(format!(
                "{}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion",
                path.display()
            ));
        }
        for section in ["networks", "volumes", "secrets", "configs"] {
            for (name, _) in document.entries(section).filter(|(_, node)| node.at_path(&["external", "name"]).is_some())
            {
                warn(format!("{section}.{name}: external.name is deprecated. Please set name and external: true"));
            }
        }
    }

    pub(crate) fn conform(&self, directory: &Path, environment: &Environment, foreign: bool) -> Conform {
        Conform {
            base: self.base(directory, environment, foreign),
            raw: !self.options.interpolate,
            remarks: self.remarks.clone(),
        }
    }

    /// Where a file's paths lead. Those of the project's own files may stay as they are; those of `foreign` ones, which
    /// are included or extended, would lead elsewhere then, and become relative to the project.
    fn base(&self, directory: &Path, environment: &Environment, foreign: bool) -> Option<Base> {
        if self.options.resolve_paths {
            return Some(Self::base_of(directory, environment));
        }
        foreign.then(|| Self::base_of(&relative(directory, &self.root), environment))
    }

    /// Where paths written in a directory lead.
    pub(crate) fn base_of(directory: &Path, environment: &Environment) -> Base {
        Base { directory: directory.to_owned(), home: environment.get("HOME").map(str::to_owned) }
    }

    /// The index of a file among the sources.
    pub(crate) fn source(&mut self, path: &Path) -> u16 {
        let place = self.sources.iter().position(|source| source == path).unwrap_or_else(|| {
            self.sources.push(path.to_owned());
            self.sources.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    fn place(&self, trouble: Trouble) -> Error {
        match trouble {
            Trouble::Placed(error) => error,
            Trouble::Refused(refusal) => Error::Invalid {
                place: place(refusal.mark, &self.sources, &self.options.directory),
                fault: refusal.fault,
            },
        }
    }
}

/// Where a mark points, the file relative to the working directory if it lies in it.
pub(crate) fn place(mark: Mark, sources: &[PathBuf], directory: &Path) -> Option<Place> {
    let path = sources.get(usize::from(mark.file)).filter(|_| mark.line > 0)?;
    let file = path.strip_prefix(directory).unwrap_or(path).to_owned();
    Some(Place { file, line: mark.line, column: mark.column })
}

/// The file that a path means: for the address of something elsewhere, the compose file that was fetched.
pub(crate) fn local(path: &Path, options: &Options) -> Result<PathBuf, Error> {
    let address = path.to_str().filter(|path| is_elsewhere(path));
    let Some(address) = address else { return Ok(path.to_owned()) };
    let failed = |reason: String| Error::Invalid { place: None, fault: Fault::Unusable { reason } };
    let Some(remote) = &options.remote else {
        return Err(failed(format!("{address}: there is no way there from here")));
    };
    remote.fetch(address).map_err(failed)
}

/// Reads a compose file.
pub(crate) fn read_text(path: &Path, options: &Options) -> Result<String, Error> {
    if path == Path::new("-") {
        return Ok(options.stdin.clone().unwrap_or_default());
    }
    let failed = |reason: String| Error::File { path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(|error| failed(cause(&error)))?;
    if size.is_dir() {
        return Err(failed("it is a directory".to_owned()));
    }
    if size.len() > 16 << 20 {
        return Err(failed("it is larger than 16 MiB".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(cause(&error)))?;
    String::from_utf8(bytes)
        .map_err(|error| failed(format!("it is no UTF-8 text (byte {})", error.utf8_error().valid_up_to())))
}

/// The cause in Go's words: no number, no capital.
pub(crate) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
