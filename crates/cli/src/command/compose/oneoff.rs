//! `run`: a container of a service for one command, with what the service needs already running.

use std::collections::BTreeMap;

use hako_api::query;
use hako_client::Client;
use hako_compose::yaml::{Node, Text, Value};
use hako_compose::{
    Choices, Found, Instance, Manner, Project, PullPolicy, Recreate, World, apply, body, ensure_images,
    first_container, inject, label, plan, shares,
};
use hako_model::filter::Filters;

use super::progress::Progress;
use super::project::{credentials, dry_run, failed, lend_socket, limit, project, stopped};
use super::up::{Build, build_images};
use crate::command::container::run::{Attachment, foreground};
use crate::failure::Failure;
use crate::flags::{Matches, list, switch, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};
use crate::{detach, output};

pub(super) static RUN: Command = Command {
    usage: &["[OPTIONS] SERVICE [COMMAND] [ARGS...]"],
    aliases: &["hako compose run"],
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[&[
        switch("build", "Build image before starting container"),
        list("cap-add", "Add Linux capabilities"),
        list("cap-drop", "Drop Linux capabilities"),
        switch("detach", "Run container in background and print container ID").short('d'),
        super::DRY_RUN,
        text("entrypoint", "Override the entrypoint of the image"),
        list("env", "Set environment variables").short('e').word("stringArray"),
        list("env-from-file", "Set environment variables from file").word("stringArray"),
        switch("interactive", "Keep STDIN open even if not attached").short('i').default("true"),
        list("label", "Add or override a label").short('l').word("stringArray"),
        text("name", "Assign a name to the container"),
        switch("no-TTY", "Disable pseudo-TTY allocation (default: auto-detected)").short('T'),
        switch("no-deps", "Don't start linked services"),
        list("publish", "Publish a container's port(s) to the host").short('p').word("stringArray"),
        text("pull", "Pull image before running (\"always\"|\"missing\"|\"never\")").default("policy"),
        switch("quiet", "Don't print anything to STDOUT").short('q'),
        switch("quiet-build", "Suppress progress output from the build process"),
        switch("quiet-pull", "Pull without printing progress information"),
        switch("remove-orphans", "Remove containers for services not defined in the Compose file"),
        switch("rm", "Automatically remove the container when it exits"),
        switch("service-ports", "Run command with all service's ports enabled and mapped to the host").short('P'),
        switch("tty", "").hidden().short('t'),
        switch("use-aliases", "Use the service's network useAliases in the network(s) the container connects to"),
        text("user", "Run as specified username or uid").short('u'),
        list("volume", "Bind mount a volume").short('v').word("stringArray"),
        text("workdir", "Working directory inside the container").short('w'),
    ]],
    examples: &[("hako compose run --rm web ./manage.py migrate", "One command, with the database already up")],
    ..Command::new("Run a one-off command on a service", run!(run_once))
};

async fn run_once(session: &Session, found: &Matches) -> Outcome {
    let service = found.word(0).to_owned();
    let mut project = project(session)?;
    project.select(std::slice::from_ref(&service), true).map_err(|error| failed(&error))?;
    lend_socket(session, &mut project)?;
    let tty = terminal_wanted(found, &project, &service);
    change(&mut project, &service, found, tty)?;
    let dry = dry_run(session, found);
    let progress = if found.on("quiet") { Progress::quiet() } else { Progress::wanted(session, dry)? };
    super::provider::refuse_models(&project)?;
    super::consent::ask(session, &project, false)?;
    if !found.on("no-deps") {
        super::provider::ask(session, &mut project, super::provider::Verb::Up, &progress, dry)?;
    }
    let credentials = credentials(session);
    let world =
        World { client: session.client()?, report: &progress, credentials: &credentials, dry, limit: limit(session) };
    let image = prepare(session, &world, &project, &service, found).await?;
    if dry {
        return match found.on("detach") {
            true => Ok(()),
            false => Err(Failure::local("interactive run is not supported in dry-run mode")),
        };
    }
    let (id, removes) = create(session, &project, &service, found, image).await?;
    if found.on("detach") {
        world.client.containers().start(&id, &query::Start::default()).await?;
        return output::line(id);
    }
    let attachment = Attachment {
        stdin: found.on("interactive"),
        stdout: true,
        stderr: true,
        tty,
        removes,
        proxies: true,
        detach_keys: detach::DEFAULT.to_owned(),
    };
    foreground(world.client, &id, &attachment).await.map_err(as_compose)
}

/// To `docker run` a container that cannot start is another end than a program's; to Compose it is any error.
fn as_compose(failure: Failure) -> Failure {
    match failure {
        Failure::Status { message, .. } if message.starts_with("hako: ") => {
            let text = message.trim_start_matches("hako: ");
            Failure::local(text.split("\n\nRun '").next().unwrap_or(text))
        }
        other => other,
    }
}

fn terminal_wanted(found: &Matches, project: &Project, service: &str) -> bool {
    let here = std::io::IsTerminal::is_terminal(&std::io::stdin()) && output::to_terminal();
    let said = project.service(service).is_some_and(|node| node.on("tty"));
    !found.on("no-TTY") && !found.on("detach") && here || (said && found.on("detach"))
}

/// The service as the flags change it for this once.
fn change(project: &mut Project, service: &str, found: &Matches, tty: bool) -> Outcome {
    let variables = crate::creation::environment::variables(&found.list("env-from-file"), &found.list("env"))?;
    let Some(map) = project.services.get_mut(service).and_then(Node::map_mut) else { return Ok(()) };
    let text = |text: &str| Node::made(Value::from(text));
    let words = |words: Vec<String>| Node::made(Value::List(words.iter().map(|word| text(word)).collect()));
    map.insert("tty", Node::made(Value::Bool(tty)));
    map.insert("stdin_open", Node::made(Value::Bool(found.on("interactive"))));
    for gone in ["container_name", "restart", "scale"] {
        map.remove(gone);
    }
    if let Some(deploy) = map.get_mut("deploy").and_then(Node::map_mut) {
        deploy.remove("restart_policy");
        deploy.remove("replicas");
    }
    if !found.on("service-ports") {
        map.remove("ports");
    }
    if found.words().len() > 1 {
        map.insert("command".to_owned(), words(found.words()[1..].to_vec()));
    }
    if let Some(entrypoint) = found.text_given("entrypoint") {
        let split = hako_compose::split_words(entrypoint).map_err(Failure::local)?;
        map.insert("entrypoint".to_owned(), words(split));
        if found.words().len() == 1 {
            map.insert("command".to_owned(), words(Vec::new()));
        }
    }
    for (flag, key) in [("user", "user"), ("workdir", "working_dir")] {
        if let Some(given) = found.text_given(flag) {
            map.insert(key.to_owned(), text(given));
        }
    }
    for (flag, key, other) in [("cap-add", "cap_add", "cap_drop"), ("cap-drop", "cap_drop", "cap_add")] {
        let given = found.strings(flag);
        if given.is_empty() {
            continue;
        }
        if let Some(Node { value: Value::List(items), .. }) = map.get_mut(other) {
            items.retain(|item| item.as_text().is_none_or(|name| !given.iter().any(|one| one == name)));
        }
        let mut all: Vec<String> = map
            .get(key)
            .map(|node| node.items().iter().filter_map(|it| Some(it.scalar()?.into())).collect())
            .unwrap_or_default();
        all.extend(given);
        map.insert(key.to_owned(), words(all));
    }
    let added = map.or_insert("environment", || Node::made(Value::Map(Default::default())));
    for variable in variables {
        let (name, value) = match variable.split_once('=') {
            Some((name, value)) => (name.to_owned(), text(value)),
            None => (variable.clone(), Node::default()),
        };
        if let Some(map) = added.map_mut() {
            map.insert(name, value);
        }
    }
    extend_list(project, service, found)
}

/// Ports and volumes come on top of those there are.
fn extend_list(project: &mut Project, service: &str, found: &Matches) -> Outcome {
    for (flag, key) in [("publish", "ports"), ("volume", "volumes")] {
        for given in found.list(flag) {
            project.extend_service(service, key, given).map_err(|error| failed(&error))?;
        }
    }
    Ok(())
}

/// Images, networks, volumes and what the service needs; returns the service's image id.
async fn prepare(
    session: &Session,
    world: &World<'_>,
    project: &Project,
    service: &str,
    found: &Matches,
) -> Result<String, Failure> {
    let pull = match found.text("pull") {
        "always" => PullPolicy::Always,
        "missing" => PullPolicy::Missing,
        "never" => PullPolicy::Never,
        "policy" => PullPolicy::AsSaid,
        other => {
            return Err(Failure::local(format!("invalid --pull option {other:?}: it is always, missing or never")));
        }
    };
    let mut needed = project.clone();
    needed.set_scale(service, 0);
    let mut there = world.find(project).await.map_err(stopped)?;
    let build = if found.on("build") { Build::Always } else { Build::Missing };
    build_images(session, project, &mut there, build, world.dry).await?;
    ensure_images(world, project, &mut there, pull).await.map_err(stopped)?;
    let image = there.images.get(&image_of(project, service)).cloned().unwrap_or_default();
    if found.on("no-deps") {
        let names: Vec<String> = needed.services.keys().map(Text::to_string).collect();
        names.iter().for_each(|name| needed.set_scale(name, 0));
    }
    let choices = Choices {
        recreate_dependencies: Recreate::Never,
        remove_orphans: found.on("remove-orphans"),
        ignore_orphans: false,
        services: vec![service.to_owned()],
        recreate: Recreate::Never,
    };
    let mut steps = plan(&needed, &there, &choices).map_err(Failure::local)?;
    for (name, list) in &mut steps.services {
        // Containers of the service itself, and with --no-deps of the others, stay as they are.
        if name == service || found.on("no-deps") {
            list.clear();
        }
    }
    let manner = Manner { start: true, ..Manner::default() };
    // The service itself is started below; here it only waits for what it depends on.
    apply(world, &needed, &there, &steps, manner).await.map_err(stopped)?;
    Ok(image)
}

fn image_of(project: &Project, service: &str) -> String {
    project.service(service).map(|node| project.image(service, node)).unwrap_or_default()
}

/// The first containers of the services this one shares namespaces and volumes with.
async fn shared(client: &Client, project: &Project, service: &str) -> Result<BTreeMap<String, String>, Failure> {
    let others = project.service(service).map(shares).unwrap_or_default();
    if others.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut filters = Filters::default();
    filters.add("label", format!("{}={}", label::PROJECT, project.name));
    let options = query::ListContainers { all: true, filters, ..query::ListContainers::default() };
    let found = Found { containers: client.containers().list(&options).await?, ..Found::default() };
    let first = |other: String| first_container(&found, &other).map(|id| (other, id));
    Ok(others.into_iter().filter_map(first).collect())
}

async fn create(
    session: &Session,
    project: &Project,
    service: &str,
    found: &Matches,
    image: String,
) -> Result<(String, bool), Failure> {
    let client = session.client()?;
    let slug: String = hako_compose::slug();
    let name = match found.text("name") {
        "" => project.named(&[service, "run", &slug[..12]]),
        name => name.to_owned(),
    };
    let mut labels: BTreeMap<String, String> = found
        .strings("label")
        .iter()
        .map(|label| label.split_once('=').unwrap_or((label, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    labels.insert(label::SLUG.to_owned(), slug);
    let shared = shared(client, project, service).await?;
    let instance =
        Instance { image, labels, name: name.clone(), aliased: found.on("use-aliases"), shared, ..Instance::default() };
    let mut body = body(project, service, &instance).map_err(Failure::local)?;
    let attached = !found.on("detach");
    let input = attached && found.on("interactive");
    (body.config.attach_stdin, body.config.stdin_once) = (input, input);
    if let Some(host) = &mut body.host_config {
        host.auto_remove = found.on("rm");
    }
    let platform = project.service(service).map(|node| node.text("platform").to_owned()).unwrap_or_default();
    let created = client.containers().create(&query::CreateContainer { name, platform }, &body).await?;
    inject(client, project, service, &created.id).await.map_err(stopped)?;
    Ok((created.id, found.on("rm")))
}
