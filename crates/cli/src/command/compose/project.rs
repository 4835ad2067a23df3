//! The project a command is about: the flags before the command's word decide which.

use std::path::PathBuf;

use hako_compose::{Options, Project, load};

use crate::failure::Failure;
use crate::session::Session;

/// How a project is loaded, by the flags of `compose` and the surroundings.
pub(super) fn options(session: &Session) -> Result<Options, Failure> {
    let directory = std::env::current_dir().map_err(|error| crate::failure::path_failure("getcwd", ".", &error))?;
    let mut options = Options::new(directory);
    options.environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let Some(flags) = session.group() else { return Ok(options) };
    let paths = |flag: &str| flags.list(flag).into_iter().map(PathBuf::from).collect::<Vec<_>>();
    options.files = paths("file");
    options.env_files = paths("env-file");
    options.profiles = flags.strings("profile");
    let directory = flags.text_given("project-directory").or_else(|| flags.text_given("workdir"));
    options.project_directory = directory.filter(|path| !path.is_empty()).map(PathBuf::from);
    options.project_name = flags.text_given("project-name").map(str::to_owned);
    if options.files.iter().any(|path| path.as_os_str() == "-") {
        let text = std::io::read_to_string(std::io::stdin());
        options.stdin = Some(text.map_err(|error| crate::failure::path_failure("read", "-", &error))?);
    }
    Ok(options)
}

/// Whether all resources are wanted, used or not.
pub(super) fn all_resources(session: &Session) -> bool {
    session.group().is_some_and(|flags| flags.on("all-resources"))
}

/// Loads a project and says what was odd about it.
pub(super) fn loaded(options: &Options) -> Result<Project, Failure> {
    let project = load(options).map_err(|error| Failure::local(error.to_string()))?;
    warn(&project);
    Ok(project)
}

/// Says what was odd about a project.
fn warn(project: &Project) {
    for warning in &project.warnings {
        eprintln!("WARN[0000] {warning}");
    }
}

/// A failure of the project.
pub(super) fn failed(error: &hako_compose::Error) -> Failure {
    Failure::local(error.to_string())
}
