//! `version`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use gotmpl::Value;
use hako_api::system::Version;
use serde::Serialize;

use crate::command::OBJECT_FORMAT;
use crate::failure::Failure;
use crate::flags::Matches;
use crate::output;
use crate::render::clock::ansi_c;
use crate::render::json::Order;
use crate::render::template::{Format, unescape};
use crate::session::Session;
use crate::tree::{Command, Outcome, run};

pub(crate) static VERSION: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[OBJECT_FORMAT]],
    examples: &[("hako version --format '{{.Server.Version}}'", "Only the daemon's")],
    ..Command::new("Show the hako version information", run!(version))
};

/// The client's half; the server's comes from the daemon.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Client {
    version: &'static str,
    api_version: String,
    #[serde(rename = "DefaultAPIVersion")]
    default_api_version: String,
    git_commit: &'static str,
    go_version: &'static str,
    os: &'static str,
    arch: &'static str,
    build_time: &'static str,
    context: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Both<'a> {
    client: &'a Client,
    server: Option<&'a Version>,
}

/// The processor's name as Go has it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Client {
    fn new(session: &Session) -> Self {
        let api = hako_api::version::ApiVersion::CURRENT.to_string();
        Self {
            version: crate::VERSION,
            api_version: api.clone(),
            default_api_version: api,
            git_commit: "",
            go_version: "",
            os: "linux",
            arch: architecture(),
            build_time: "",
            context: session.context_name(),
        }
    }

    fn text(&self) -> String {
        format!(
            "Client: hako\n Version:           {}\n API version:       {}\n OS/Arch:           {}/{}\n Context:           {}\n",
            self.version, self.api_version, self.os, self.arch, self.context
        )
    }
}

async fn version(session: &Session, found: &Matches) -> Outcome {
    let client = Client::new(session);
    let template = match found.text("format") {
        "" => None,
        "json" => Some("{{json .}}".to_owned()),
        template => Some(unescape(template)),
    };
    let format = template
        .map(|source| Format::parse(&source, Order::default()))
        .transpose()
        .map_err(|message| Failure::Usage { message, code: 64 })?;
    let asked = match session.client() {
        Ok(daemon) => daemon.system().version().await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let server = asked.as_ref().ok();
    let text = match format {
        None => client.text() + &server.map(server_text).unwrap_or_default(),
        Some(format) => {
            let json = serde_json::to_string(&Both { client: &client, server });
            let value = json.and_then(|json| format.order().read(&json));
            let value = value.map_err(|error| Failure::local(error.to_string()))?;
            // In JSON it is ApiVersion, in Docker's own structs, and so in templates, APIVersion.
            let shown = format.run(&value).or_else(|error| match &value {
                Value::Map(halves) => format.run(&Value::Map(Arc::new(in_go(halves)))).map_err(|_| error),
                _ => Err(error),
            });
            shown? + "\n"
        }
    };
    output::print(text)?;
    asked.map(drop)
}

/// The halves with the names their fields have in Go.
fn in_go(halves: &BTreeMap<Arc<str>, Value>) -> BTreeMap<Arc<str>, Value> {
    let half = |value: &Value| match value {
        Value::Map(fields) => {
            let mut fields = BTreeMap::clone(fields);
            if let Some(version) = fields.get("ApiVersion").cloned() {
                fields.insert("APIVersion".into(), version);
            }
            // Left out when it is false.
            if fields.contains_key("MinAPIVersion") {
                fields.entry("Experimental".into()).or_insert(Value::Bool(false));
            }
            Value::Map(Arc::new(fields))
        }
        other => other.clone(),
    };
    halves.iter().map(|(name, value)| (Arc::clone(name), half(value))).collect()
}

fn server_text(server: &Version) -> String {
    let name = if server.platform.name.is_empty() { String::new() } else { format!(" {}", server.platform.name) };
    let mut out = format!("\nServer:{name}\n");
    if server.components.is_empty() {
        let _ = write!(out, " Version:           {}\n API version:       {}\n", server.version, server.api_version);
    }
    for component in &server.components {
        let _ = writeln!(out, " {}:\n  Version:          {}", component.name, component.version);
        for (key, value) in component.details.iter().flatten().filter(|(_, value)| !value.is_empty()) {
            out += &detail(key, value, server);
        }
    }
    out
}

/// One fact of a component, in the words and order of Docker's own template.
fn detail(key: &str, value: &str, server: &Version) -> String {
    let shown = match key {
        "ApiVersion" => format!("{value} (minimum version {})", server.min_api_version),
        "BuildTime" => ansi_c(value),
        _ => value.to_owned(),
    };
    let label = match key {
        "ApiVersion" => "API version",
        "MinAPIVersion" | "Os" | "KernelVersion" => return String::new(),
        "Arch" => return format!("  {:<17} {}/{value}\n", "OS/Arch:", server.os),
        "GitCommit" => "Git commit",
        "GoVersion" => "Go version",
        "BuildTime" => "Built",
        other => other,
    };
    format!("  {:<17} {shown}\n", format!("{label}:"))
}
