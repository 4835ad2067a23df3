//! The project a command is about: the flags before the command's word decide which.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use hako_api::container::Summary;
use hako_client::Endpoint;
use hako_compose::yaml::Text;
use hako_compose::{Options, Project, World, existing, load, verb};
use hako_model::reference::Reference;
use tokio::sync::Semaphore;

use super::progress::Progress;
use crate::command::image::pull::{config_file, credential};
use crate::failure::Failure;
use crate::flags::Matches;
use crate::session::Session;

/// How a project is loaded, by the flags of `compose` and the surroundings.
pub(super) fn options(session: &Session) -> Result<Options, Failure> {
    let directory = std::env::current_dir().map_err(|error| crate::failure::path_failure("getcwd", ".", &error))?;
    let mut options = Options::new(directory);
    options.remote = Some(super::artifact::remote(session));
    options.environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let limit = std::env::var("COMPOSE_PARALLEL_LIMIT").unwrap_or_default();
    if !limit.is_empty() && limit.parse::<i64>().is_err() {
        return Err(Failure::local(format!("COMPOSE_PARALLEL_LIMIT must be an integer (found: {limit:?})")));
    }
    let Some(flags) = session.group() else { return Ok(options) };
    Progress::wanted(session, true)?;
    let compatible = std::env::var("COMPOSE_COMPATIBILITY").is_ok_and(|value| matches!(value.as_str(), "1" | "true"));
    options.compatible = flags.on("compatibility") || compatible;
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

/// Whether nothing is to be done in earnest.
pub(super) fn dry_run(session: &Session, found: &Matches) -> bool {
    found.on("dry-run") || session.group().is_some_and(|flags| flags.on("dry-run"))
}

/// Whether containers' names are coloured.
pub(super) fn colourful(session: &Session, found: &Matches) -> bool {
    let ansi = session.group().map_or("auto", |flags| flags.text("ansi"));
    let fitting = || std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    !found.on("no-color") && ansi != "never" && (ansi == "always" || fitting())
}

/// How many deeds may go on at once: `--parallel`, or `COMPOSE_PARALLEL_LIMIT`.
pub(super) fn limit(session: &Session) -> Option<Semaphore> {
    let given = session.group().and_then(|flags| flags.int_given("parallel"));
    let limit = given.or_else(|| std::env::var("COMPOSE_PARALLEL_LIMIT").ok()?.parse().ok());
    limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0).map(Semaphore::new)
}

/// Loads a project and says what was odd about it.
pub(super) fn loaded(options: &Options) -> Result<Project, Failure> {
    let project = load(options).map_err(|error| Failure::local(error.to_string()))?;
    for warning in &project.warnings {
        eprintln!("WARN[0000] {warning}");
    }
    Ok(project)
}

/// The project of the flags and the working directory.
pub(super) fn project(session: &Session) -> Result<Project, Failure> {
    let mut project = loaded(&options(session)?)?;
    if !all_resources(session) {
        project.drop_unused();
    }
    Ok(project)
}

/// Lends the daemon's socket to services that use it.
pub(super) fn lend_socket(session: &Session, project: &mut Project) -> Result<(), Failure> {
    if !project.wants_socket() {
        return Ok(());
    }
    let socket = match session.client()?.endpoint() {
        Endpoint::Own(roots) => roots.socket().display().to_string(),
        Endpoint::Unix(path) => path.display().to_string(),
        Endpoint::Tcp { .. } | Endpoint::Ssh(_) => {
            return Err(Failure::local("use_api_socket can only be used with unix sockets"));
        }
    };
    let credentials = config_file(session)?.all_in_one().map_err(|error| Failure::local(error.to_string()))?;
    let credentials = credentials.and_then(|file| String::from_utf8(file).ok());
    project.lend_socket(socket, credentials.as_deref().unwrap_or(r#"{"auths":{}}"#));
    Ok(())
}

/// A failure of the project.
pub(super) fn failed(error: &hako_compose::Error) -> Failure {
    Failure::local(error.to_string())
}

/// A failure on the way.
pub(super) fn stopped(trouble: hako_compose::Trouble) -> Failure {
    match trouble {
        hako_compose::Trouble::Daemon { context: None, source } => Failure::from(source),
        other => Failure::local(other.to_string()),
    }
}

/// The caller's credentials for an image's registry, as the daemon wants them.
pub(super) fn credentials(session: &Session) -> impl Fn(&str) -> Option<String> {
    |image: &str| {
        let reference = Reference::parse(image).ok()?;
        credential(session, &reference).ok().flatten().map(|credential| credential.to_header())
    }
}

/// A project and its containers. Without files at hand the containers themselves tell what the project is.
pub(super) struct Present {
    pub(super) project: Project,
    pub(super) containers: Vec<Summary>,
    /// The files were at hand.
    pub(super) described: bool,
}

/// The project and its containers, those that do not run too if `all`.
pub(super) async fn present(session: &Session, all: bool) -> Result<Present, Failure> {
    let options = options(session)?;
    let client = session.client()?;
    let progress = Progress::quiet();
    let credentials = credentials(session);
    let world = World { client, report: &progress, credentials: &credentials, dry: false, limit: None };
    let unnamed = options.project_name.is_none() || !options.files.is_empty();
    match load(&options) {
        Ok(mut project) => {
            project.drop_unused();
            let containers = world.containers(&project.name, all).await.map_err(stopped)?;
            Ok(Present { project, containers, described: true })
        }
        Err(error) if unnamed => Err(failed(&error)),
        Err(_) => {
            let name = options.project_name.clone().unwrap_or_default();
            let containers = world.containers(&name, all).await.map_err(stopped)?;
            let project = verb::from_containers(&name, &containers, &Project::empty(&options));
            Ok(Present { project, containers, described: false })
        }
    }
}

impl Present {
    /// The containers of the named services, of all if none are named; an unknown name is refused.
    pub(super) fn of(&self, services: &[String], oneoff: bool) -> Result<Vec<&Summary>, Failure> {
        let mut names: Vec<&str> = self.project.services.keys().map(Text::as_str).collect();
        if !services.is_empty() {
            for name in services {
                let known = self.project.services.contains_key(name) || self.project.disabled.contains_key(name);
                if !known && verb::members(&self.containers, name, true).is_empty() {
                    return Err(failed(&self.project.no_such_service(name)));
                }
            }
            names = services.iter().map(String::as_str).collect();
        }
        names.sort();
        Ok(names.into_iter().flat_map(|name| verb::members(&self.containers, name, oneoff)).collect())
    }

    /// As [`Present::of`], but what nobody knows has none.
    pub(super) fn known(&self, services: &[String], oneoff: bool) -> Vec<&Summary> {
        let known: Vec<String> =
            services.iter().filter(|name| self.of(&[(*name).clone()], true).is_ok()).cloned().collect();
        if known.is_empty() && !services.is_empty() {
            return Vec::new();
        }
        self.of(&known, oneoff).unwrap_or_default()
    }

    /// One container of a service: the one of that number, or the first.
    pub(super) fn one(&self, service: &str, index: i64) -> Result<&Summary, Failure> {
        let all = self.known(&[service.to_owned()], false);
        let wanted = |one: &&Summary| index <= 0 || existing(one).number == usize::try_from(index).unwrap_or(0);
        let running = |one: &&Summary| one.state == "running";
        let mut fitting = all.into_iter().filter(wanted).collect::<Vec<_>>();
        fitting.sort_by_key(|one| !running(one));
        fitting.into_iter().next().ok_or_else(|| match index {
            index if index > 0 => Failure::local(format!("service {service:?} is not running container #{index}")),
            _ => Failure::local(format!("service {service:?} is not running")),
        })
    }
}
