//! `context`: named daemons.

use std::fs::File;
use std::io::{self, Read, Write};

use serde_json::{Map, Value, json};

use crate::archive::header::{Kind, Member, finish, pad};
use crate::command::{LIST_FORMAT, OBJECT_FORMAT, together};
use crate::config;
use crate::config::contexts::{self, Context, DEFAULT, Endpoint, Material};
use crate::failure::{Failure, path_failure};
use crate::flags::{Matches, csv, parse_bool, switch, text as text_flag};
use crate::output;
use crate::render::listing::{Listing, column, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Group, Node, Offer, Outcome, run};

use super::inspect::Printer;

/// `context …`
pub(crate) static CONTEXT: Group = Group {
    short: "Manage contexts",
    flags: &[],
    nodes: &[
        Node::command("create", &CREATE),
        Node::command("export", &EXPORT),
        Node::command("import", &IMPORT),
        Node::command("inspect", &INSPECT),
        Node::command("ls", &LIST).also(&["list"]),
        Node::command("rm", &REMOVE).also(&["remove"]),
        Node::command("show", &SHOW),
        Node::command("update", &UPDATE),
        Node::command("use", &USE),
    ],
};

const ENDPOINT: crate::flags::Flag =
    csv("docker", "Set the endpoint (host=URL, ca=FILE, cert=FILE, key=FILE, skip-tls-verify=BOOL)")
        .word("stringToString");

static CREATE: Command = Command {
    usage: &["[OPTIONS] CONTEXT"],
    arity: Arity::Exactly(1),
    flags: &[&[
        text_flag("description", "Description of the context"),
        ENDPOINT,
        text_flag("from", "Create context from a named context"),
    ]],
    examples: &[
        ("hako context create docker --docker host=unix:///run/docker.sock", "A name for another daemon"),
        ("hako -c docker ps", "Talk to it once"),
        ("hako context use docker", "Talk to it from now on"),
    ],
    ..Command::new("Create a context", run!(create))
};

static EXPORT: Command = Command {
    usage: &["[OPTIONS] CONTEXT [FILE|-]"],
    arity: Arity::Between(1, 2),
    offer: Offer::Contexts,
    ..Command::new("Export a context to a tar archive FILE or a tar stream on STDOUT.", run!(export))
};

static IMPORT: Command = Command {
    usage: &["CONTEXT FILE|-"],
    arity: Arity::Exactly(2),
    ..Command::new("Import a context from a tar file", run!(import))
};

static INSPECT: Command = Command {
    usage: &["[OPTIONS] [CONTEXT] [CONTEXT...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[OBJECT_FORMAT]],
    offer: Offer::Contexts,
    ..Command::new("Display detailed information on one or more contexts", run!(inspect))
};

static LIST: Command = Command {
    usage: &["[OPTIONS]"],
    aliases: &["hako context ls", "hako context list"],
    flags: &[&[LIST_FORMAT, switch("quiet", "Only show context names").short('q')]],
    ..Command::new("List contexts", run!(ls))
};

static REMOVE: Command = Command {
    usage: &["CONTEXT [CONTEXT...]"],
    aliases: &["hako context rm", "hako context remove"],
    arity: Arity::AtLeast(1),
    flags: &[&[switch("force", "Force the removal of a context in use").short('f')]],
    offer: Offer::Contexts,
    ..Command::new("Remove one or more contexts", run!(remove))
};

static SHOW: Command = Command::new("Print the name of the current context", run!(show));

static UPDATE: Command = Command {
    usage: &["[OPTIONS] CONTEXT"],
    arity: Arity::Exactly(1),
    flags: &[&[text_flag("description", "Description of the context"), ENDPOINT]],
    offer: Offer::Contexts,
    ..Command::new("Update a context", run!(update))
};

static USE: Command = Command {
    usage: &["CONTEXT"],
    arity: Arity::Exactly(1),
    offer: Offer::Contexts,
    ..Command::new("Set the current context", run!(choose))
};

/// Reads `host=URL,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=…`; the files are the second half.
fn endpoint(found: &Matches) -> Result<(Endpoint, Material), Failure> {
    let mut endpoint = Endpoint::default();
    let mut files = Vec::new();
    for pair in found.list("docker") {
        match pair.split_once('=') {
            Some(("host", host)) => endpoint.host = host.to_owned(),
            Some(("skip-tls-verify", value)) => {
                let wrong = || Failure::local(format!("skip-tls-verify: parsing {value:?}: invalid syntax"));
                endpoint.skip_tls_verify = parse_bool(value).map_err(|_| wrong())?;
            }
            Some((key @ ("ca" | "cert" | "key"), path)) => {
                let name = contexts::MATERIAL.iter().find(|name| name.strip_suffix(".pem") == Some(key));
                let bytes = std::fs::read(path).map_err(|error| path_failure("open", path, &error))?;
                files.extend(name.map(|name| (*name, bytes)));
            }
            Some(("from", _)) | None => return Err(Failure::local(format!("{pair} must be formatted as key=value"))),
            Some((key, _)) => return Err(Failure::local(format!("unrecognized config key: {key}"))),
        }
    }
    Ok((endpoint, files))
}

/// Puts what `--docker` says in place.
fn set_endpoint(session: &Session, context: &mut Context, found: &Matches) -> Result<(), Failure> {
    let (endpoint, files) = endpoint(found)?;
    context.endpoints.insert("docker".to_owned(), endpoint);
    contexts::store_material(&session.directory(), &context.name, &files)
}

async fn create(session: &Session, found: &Matches) -> Outcome {
    let (directory, name) = (session.directory(), found.word(0));
    contexts::check_name(name)?;
    if contexts::load(&directory, name).is_ok() {
        return Err(Failure::local(format!("context {name:?} already exists")));
    }
    let mut context = match found.text("from") {
        "" => Context::default(),
        from => known(session, from)?,
    };
    context.name = name.to_owned();
    describe(&mut context, found);
    match found.given("docker") {
        true => set_endpoint(session, &mut context, found)?,
        false if context.endpoints.is_empty() => {
            return Err(Failure::local("docker endpoint configuration is required: --docker host=unix:///PATH"));
        }
        false => {}
    }
    contexts::store(&directory, &context)?;
    output::line(name)?;
    output::complain(format!("Successfully created context {name:?}\n"))
}

fn describe(context: &mut Context, found: &Matches) {
    if let Some(description) = found.text_given("description") {
        context.metadata.insert("Description".to_owned(), Value::from(description));
    }
}

async fn update(session: &Session, found: &Matches) -> Outcome {
    let (directory, name) = (session.directory(), found.word(0));
    let mut context = contexts::load(&directory, name)?;
    describe(&mut context, found);
    if found.given("docker") {
        set_endpoint(session, &mut context, found)?;
    }
    contexts::store(&directory, &context)?;
    output::line(name)?;
    output::complain(format!("Successfully updated context {name:?}\n"))
}

/// A stored context, or the one that is always there.
fn known(session: &Session, name: &str) -> Result<Context, Failure> {
    if name != DEFAULT {
        return contexts::load(&session.directory(), name);
    }
    let host = hako_client::Choice { config: Some(session.directory()), ..hako_client::Choice::from_environment() };
    let host = hako_client::Endpoint::choose(&hako_client::Choice { docker_context: None, ..host })?.to_string();
    let endpoint = Endpoint { host, skip_tls_verify: false };
    Ok(Context {
        name: DEFAULT.to_owned(),
        metadata: Map::new(),
        endpoints: [("docker".to_owned(), endpoint)].into_iter().collect(),
    })
}

async fn show(session: &Session, _found: &Matches) -> Outcome {
    output::line(session.context_name())
}

async fn choose(session: &Session, found: &Matches) -> Outcome {
    let (directory, name) = (session.directory(), found.word(0));
    if name != DEFAULT {
        contexts::load(&directory, name)?;
    }
    config::set(&directory, "currentContext", if name == DEFAULT { "" } else { name })?;
    output::line(name)?;
    output::complain(format!("Current context is now {name:?}\n"))?;
    if name == DEFAULT { Ok(()) } else { warn_of_environment(&format!("{name:?}")) }
}

/// What the environment says about the daemon goes before the context that was chosen.
fn warn_of_environment(wanted: &str) -> Outcome {
    for variable in ["HAKO_HOST", "HAKO_ROOT", "DOCKER_HOST"] {
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            output::complain(format!(
                "Warning: {variable} environment variable overrides the active context. To use {wanted}, either set the \
                 global --context flag, or unset {variable} environment variable.\n"
            ))?;
        }
    }
    Ok(())
}

async fn remove(session: &Session, found: &Matches) -> Outcome {
    let (directory, current) = (session.directory(), session.context_name());
    let mut failures = Vec::new();
    for name in found.words() {
        let outcome = match name.as_str() {
            DEFAULT => Err(Failure::local("context \"default\" cannot be removed")),
            name if name == current && !found.on("force") => {
                Err(Failure::local(format!("context {name:?} is in use, set -f flag to force remove")))
            }
            name => contexts::remove(&directory, name),
        };
        match outcome {
            Ok(()) => output::line(name)?,
            Err(failure) => failures.push(failure),
        }
        if *name == current && found.on("force") && name != DEFAULT {
            config::set(&directory, "currentContext", "")?;
        }
    }
    together(failures)
}

/// One line of the table.
struct Row {
    context: Context,
    current: bool,
}

const ROWS: Listing<Row> = Listing {
    columns: &[
        column("Name", "NAME", |row: &Row| text(&row.context.name)),
        column("Description", "DESCRIPTION", |row: &Row| text(row.context.description())),
        column("DockerEndpoint", "DOCKER ENDPOINT", |row: &Row| text(row.context.host())),
        column("Error", "ERROR", |_: &Row| text("")),
        column("Current", "", |row: &Row| gotmpl::Value::Bool(row.current)),
    ],
    shown: &["Name", "Description", "DockerEndpoint", "Error"],
    row_type: "*formatter.clientContextContext",
    labels: None,
};

/// In the default table the current one has a mark.
fn marked(mut row: Row) -> Row {
    if row.current {
        row.context.name += " *";
    }
    row
}

async fn ls(session: &Session, found: &Matches) -> Outcome {
    let current = session.context_name();
    let mut default = known(session, DEFAULT)?;
    default
        .metadata
        .insert("Description".to_owned(), Value::from("Current HAKO_HOST or DOCKER_HOST based configuration"));
    let all = [default].into_iter().chain(contexts::all(&session.directory()));
    let mut rows: Vec<Row> = all.map(|context| Row { current: context.name == current, context }).collect();
    rows.sort_by(|a, b| a.context.name.cmp(&b.context.name));
    if found.on("quiet") {
        output::print(rows.iter().map(|row| format!("{}\n", row.context.name)).collect::<String>())?;
        return warn_of_environment("a context");
    }
    if matches!(found.text("format"), "" | "table") {
        rows = rows.into_iter().map(marked).collect();
    }
    output::print(ROWS.render(found.text("format"), &rows)?)?;
    warn_of_environment("a context")
}

async fn inspect(session: &Session, found: &Matches) -> Outcome {
    let mut printer = Printer::new(found.text("format"))?;
    let names = if found.words().is_empty() { vec![session.context_name()] } else { found.words().to_vec() };
    let (mut texts, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match known(session, &name) {
            // As Go writes it.
            Ok(context) => texts.push(description(session, &context).replace("<IN MEMORY>", "\\u003cIN MEMORY\\u003e")),
            Err(failure) => failures.push(failure),
        }
    }
    let shown = printer.print(&texts);
    output::print(printer.out)?;
    shown?;
    together(failures)
}

fn description(session: &Session, context: &Context) -> String {
    let directory = session.directory();
    let place = |part: &str| match context.name.as_str() {
        DEFAULT => "<IN MEMORY>".to_owned(),
        name => contexts::place(&directory, part, name).display().to_string(),
    };
    let part = |value: Value| value.to_string();
    let material = contexts::material(&directory, &context.name);
    let names: Vec<&str> = material.iter().map(|(name, _)| *name).collect();
    let material = if names.is_empty() { json!({}) } else { json!({"docker": names}) };
    format!(
        "{{\"Name\":{},\"Metadata\":{},\"Endpoints\":{},\"TLSMaterial\":{},\"Storage\":{{\"MetadataPath\":{},\"TLSPath\":{}}}}}",
        part(json!(context.name)),
        part(json!(context.metadata)),
        serde_json::to_string(&context.endpoints).unwrap_or_default(),
        part(material),
        part(json!(place("meta"))),
        part(json!(place("tls")))
    )
}

async fn export(session: &Session, found: &Matches) -> Outcome {
    let name = found.word(0);
    let context = contexts::load(&session.directory(), name)?;
    let mut bytes = Vec::new();
    pack(&context, &contexts::material(&session.directory(), name), &mut bytes)
        .map_err(|error| Failure::local(error.to_string()))?;
    let path = match found.word(1) {
        "" => format!("{name}.dockercontext"),
        path => path.to_owned(),
    };
    if path == "-" {
        if output::to_terminal() {
            return Err(Failure::local("cowardly refusing to export to a terminal, specify a file path"));
        }
        return output::print(bytes);
    }
    let mut file = File::create_new(&path).map_err(|error| path_failure("open", &path, &error))?;
    file.write_all(&bytes).map_err(|error| path_failure("write", &path, &error))?;
    output::complain(format!("Written file {path:?}\n"))
}

fn pack(context: &Context, material: &Material, out: &mut Vec<u8>) -> io::Result<()> {
    pack_file("meta.json", &serde_json::to_vec(context)?, out)?;
    for (name, bytes) in material {
        pack_file(&format!("{MATERIAL_DIRECTORY}{name}"), bytes, out)?;
    }
    finish(out)
}

fn pack_file(name: &str, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let member = Member {
        name: name.as_bytes().to_vec(),
        link: Vec::new(),
        kind: Kind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: bytes.len() as u64,
        mtime: 0,
        device: (0, 0),
        xattrs: Vec::new(),
    };
    member.write(out)?;
    out.extend_from_slice(bytes);
    pad(out, member.size)
}

/// Where a context's certificates lie in its archive.
const MATERIAL_DIRECTORY: &str = "tls/docker/";

/// The longest description of a context that is read.
const LIMIT: u64 = 1 << 20;

async fn import(session: &Session, found: &Matches) -> Outcome {
    let (name, path) = (found.word(0), found.word(1));
    contexts::check_name(name)?;
    let (mut context, material) = match path {
        "-" => unpack(&mut io::stdin().lock())?,
        path => unpack(&mut File::open(path).map_err(|error| path_failure("open", path, &error))?)?,
    };
    context.name = name.to_owned();
    contexts::store(&session.directory(), &context)?;
    contexts::store_material(&session.directory(), name, &material)?;
    output::line(name)?;
    output::complain(format!("Successfully imported context {name:?}\n"))
}

fn unpack(input: &mut impl Read) -> Result<(Context, Material), Failure> {
    let failed = |error: io::Error| Failure::local(format!("read context: {error}"));
    let (mut context, mut material) = (None, Vec::new());
    while let Some(member) = Member::read(input).map_err(failed)? {
        if member.kind == Kind::File && member.size > LIMIT {
            return Err(Failure::local(format!(
                "read context: {} is too large",
                String::from_utf8_lossy(&member.name)
            )));
        }
        let mut bytes = Vec::new();
        input.by_ref().take(member.size + member.padding()).read_to_end(&mut bytes).map_err(failed)?;
        bytes.truncate(usize::try_from(member.size).unwrap_or(0));
        if member.name == b"meta.json" {
            let read = serde_json::from_slice(&bytes);
            context = Some(read.map_err(|error| Failure::local(format!("read context: {error}")))?);
        }
        // Nothing but the known names is ever written: an archive may say anything.
        let known = |name: &&&str| member.name == format!("{MATERIAL_DIRECTORY}{name}").as_bytes();
        if let Some(name) = contexts::MATERIAL.iter().find(known) {
            material.push((*name, bytes));
        }
    }
    let context = context.ok_or_else(|| Failure::local("invalid context: no meta.json in the archive"))?;
    Ok((context, material))
}
