//! Which files make the project, which directory is its own, and which variables it sees.

use std::path::{Path, PathBuf};

use super::Options;
use crate::artifact::is_elsewhere;
use crate::environment::Environment;
use crate::error::{Error, Fault};
use crate::path::absolute;

/// The names a compose file may have, the best first.
const NAMES: &[&str] = &["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// The names of a file that is merged on top without being asked for.
const OVERRIDES: &[&str] =
    &["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// What was found.
pub(super) struct Located {
    pub(super) files: Vec<PathBuf>,
    pub(super) directory: PathBuf,
    /// The directory the project is called after, if nothing else names it.
    pub(super) named: PathBuf,
    pub(super) environment: Environment,
    pub(super) warnings: Vec<String>,
}

/// Finds the project's files.
pub(super) fn files(options: &Options) -> Result<Located, Error> {
    let here = |path: &Path| absolute(&options.directory.join(path));
    let mut environment = Environment::of_process(options.environment.iter().cloned());
    let given: Vec<PathBuf> = options.files.iter().map(|path| stdin_or(path, &here)).collect();
    let mut directory = match (&options.project_directory, given.first()) {
        (Some(directory), _) => here(directory),
        (None, Some(first)) => parent(first, &options.directory),
        (None, None) => options.directory.clone(),
    };
    load_environment(&mut environment, options, &directory)?;
    let mut warnings = Vec::new();
    let files = match (given.is_empty(), environment.given("COMPOSE_FILE").map(str::to_owned)) {
        (false, _) => given,
        (true, Some(list)) => {
            let separator = environment.given("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
            list.split(separator).map(|path| stdin_or(Path::new(path), &here)).collect()
        }
        (true, None) => search(&directory, options.project_directory.is_none(), &mut warnings)?,
    };
    if options.project_directory.is_none() {
        let own = parent(&files[0], &options.directory);
        if own != directory {
            directory = own;
            load_environment(&mut environment, options, &directory)?;
        }
    }
    let named = directory.clone();
    // What was fetched lies in a cache, and its own paths lead there; its name and variables are those of whoever asks.
    let remote = is_remote(&files[0]);
    let files = files.iter().map(|path| super::local(path, options)).collect::<Result<Vec<PathBuf>, Error>>()?;
    if remote {
        directory = parent(&files[0], &options.directory);
    }
    Ok(Located { files, directory, named, environment, warnings })
}

fn stdin_or(path: &Path, here: &impl Fn(&Path) -> PathBuf) -> PathBuf {
    if path == Path::new("-") || is_remote(path) { path.to_owned() } else { here(path) }
}

fn is_remote(path: &Path) -> bool {
    path.to_str().is_some_and(is_elsewhere)
}

fn parent(file: &Path, directory: &Path) -> PathBuf {
    if file == Path::new("-") || is_remote(file) {
        return directory.to_owned();
    }
    file.parent().unwrap_or(directory).to_owned()
}

/// `--env-file`, or `COMPOSE_ENV_FILES`, or `.env` of the project's directory.
fn load_environment(environment: &mut Environment, options: &Options, directory: &Path) -> Result<(), Error> {
    let mut files: Vec<PathBuf> = options.env_files.clone();
    if files.is_empty() {
        let named = environment.given("COMPOSE_ENV_FILES").unwrap_or_default();
        files = named.split(',').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    }
    let disabled = match environment.given("COMPOSE_DISABLE_ENV_FILE") {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
        Some(other) => {
            let reason = format!("COMPOSE_DISABLE_ENV_FILE is no boolean: {other:?}");
            return Err(Error::Invalid { place: None, fault: Fault::Unusable { reason } });
        }
    };
    if files.is_empty() && !disabled {
        let own = directory.join(".env");
        files = Some(own).filter(|path| path.is_file()).into_iter().collect();
    }
    let files: Vec<PathBuf> = files.iter().map(|path| absolute(&options.directory.join(path))).collect();
    environment.load(&files)
}

/// Looks in the directory and those above it.
fn search(directory: &Path, upwards: bool, warnings: &mut Vec<String>) -> Result<Vec<PathBuf>, Error> {
    for place in directory.ancestors().take(if upwards { usize::MAX } else { 1 }) {
        let there = |names: &[&str]| -> Vec<PathBuf> {
            names.iter().map(|name| place.join(name)).filter(|path| path.is_file()).collect()
        };
        let found = there(NAMES);
        let Some(first) = found.first() else { continue };
        if found.len() > 1 {
            let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
            warnings.push(format!("Found multiple config files with supported names: {}", names.join(", ")));
            warnings.push(format!("Using {}", first.display()));
        }
        let mut files = vec![first.clone()];
        files.extend(there(OVERRIDES).into_iter().next());
        return Ok(files);
    }
    let reason = format!(
        "no configuration file provided: not found (looked for {} in {} and above; -f names another)",
        NAMES.join(", "),
        directory.display()
    );
    Err(Error::Invalid { place: None, fault: Fault::Unusable { reason } })
}
