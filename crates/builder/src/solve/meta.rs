//! Instructions that change only what an image says of itself.

use hako_model::container::{Empty, HealthConfig};
use hako_model::image::DOCUMENT_LIMIT;
use hako_model::platform::Platform;
use hako_model::quote::quote;
use hako_model::word::Lexer;

use super::find;
use super::state::State;
use crate::dockerfile::{Command, Dockerfile, Kind, Text};
use crate::request::Request;
use crate::{Error, Result};

/// Arguments that need not be declared and leave no trace.
pub(crate) const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The arguments that hold before the first stage: those about platforms, then ARG as written or given.
pub(super) fn globals(file: &Dockerfile, request: &Request, target: &Platform) -> Result<Vec<(String, String)>> {
    let mut globals = platforms(target);
    let lexer = Lexer { escape: file.directives.escape, ..Lexer::default() };
    for instruction in &file.arguments {
        let Kind::Arg(arguments) = &instruction.kind else { continue };
        for (name, default) in arguments {
            let given = request.arguments.get(name).cloned();
            let expanded = default.as_ref().map(|default| lexer.expand(default, &|name| find(&globals, name)));
            let expanded =
                expanded.transpose().map_err(|error| Error::refused(error.to_string()).at(instruction.lines))?;
            if let Some(value) = given.or(expanded) {
                globals.push((name.clone(), value));
            }
        }
        let size = globals.iter().map(|(name, value)| name.len() + value.len()).sum();
        check_size(size).map_err(|error| error.at(instruction.lines))?;
    }
    Ok(globals)
}

/// A few lines could fill the memory, as each may hold what those before it made. What is larger is no image's configuration.
pub(super) fn check_size(size: usize) -> Result<()> {
    match size as u64 > DOCUMENT_LIMIT {
        true => Err(Error::refused(format!("variables, labels and history are larger than {DOCUMENT_LIMIT} bytes"))),
        false => Ok(()),
    }
}

fn platforms(target: &Platform) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (prefix, platform) in [("TARGET", target.clone()), ("BUILD", Platform::host().normalised())] {
        let values = [
            ("PLATFORM", platform.to_string()),
            ("OS", platform.os),
            ("ARCH", platform.architecture),
            ("VARIANT", platform.variant),
        ];
        found.extend(values.map(|(name, value)| (format!("{prefix}{name}"), value)));
    }
    found
}

/// Whether a name is one of the arguments about platforms.
fn is_platform(name: &str) -> bool {
    let rest = name.strip_prefix("TARGET").or_else(|| name.strip_prefix("BUILD"));
    matches!(rest, Some("PLATFORM" | "OS" | "ARCH" | "VARIANT"))
}

/// What expands variables in one stage.
pub(super) struct Scope<'a> {
    pub(super) lexer: Lexer,
    pub(super) globals: &'a [(String, String)],
    pub(super) request: &'a Request,
}

impl Scope<'_> {
    pub(super) fn expand(&self, state: &State, text: &str) -> Result<String> {
        self.lexer.expand(text, &|name| state.value(name)).map_err(|error| Error::refused(error.to_string()))
    }

    pub(super) fn words(&self, state: &State, text: &str) -> Result<Vec<String>> {
        self.lexer.words(text, &|name| state.value(name)).map_err(|error| Error::refused(error.to_string()))
    }

    fn pairs(&self, state: &State, pairs: &[Text]) -> Result<Vec<Text>> {
        pairs.iter().map(|(name, value)| Ok((self.expand(state, name)?, self.expand(state, value)?))).collect()
    }

    /// Does an instruction that makes no layer.
    pub(super) fn apply(&self, state: &mut State, kind: &Kind) -> Result<()> {
        match kind {
            Kind::Arg(arguments) => return self.arguments(state, arguments),
            Kind::Cmd(command) => self.cmd(state, command),
            Kind::Entrypoint(command) => self.entrypoint(state, command),
            Kind::Env(pairs) => self.env(state, pairs)?,
            Kind::Expose(words) => self.expose(state, words)?,
            Kind::Healthcheck(check) => {
                state.note(format!("HEALTHCHECK {}", probe(check)));
                state.config.healthcheck = Some(check.clone());
            }
            Kind::Label(pairs) => self.label(state, pairs)?,
            Kind::Maintainer(name) => {
                state.author.clone_from(name);
                state.note(format!("MAINTAINER {name}"));
            }
            Kind::Onbuild(text) => {
                state.config.on_build.get_or_insert_default().push(text.clone());
            }
            Kind::Shell(words) => {
                state.note(format!("SHELL [{}]", words.join(" ")));
                state.config.shell = Some(words.clone());
            }
            Kind::StopSignal(signal) => self.stop_signal(state, signal)?,
            Kind::User(user) => {
                let user = self.expand(state, user)?;
                state.note(format!("USER {user}"));
                state.config.user = user;
            }
            Kind::Volume(words) => self.volumes(state, words)?,
            Kind::Add(_) | Kind::Copy(_) | Kind::From(_) | Kind::Run(_) | Kind::Workdir(_) => {}
        }
        Ok(())
    }

    fn arguments(&self, state: &mut State, arguments: &[(String, Option<String>)]) -> Result<()> {
        let mut shown = Vec::new();
        for (name, default) in arguments {
            let given = self.request.arguments.get(name).cloned();
            let global = || find(self.globals, name).filter(|_| default.is_none() || is_platform(name));
            let value = match (given, default) {
                (Some(value), _) => Some(value),
                (None, None) => global(),
                (None, Some(text)) => Some(self.expand(state, text)?),
            };
            shown.push(value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}")));
            if let Some(value) = value {
                state.set(name, &value);
                state.arguments.retain(|(own, _)| own != name);
                state.arguments.push((name.clone(), value));
            }
        }
        state.note(format!("ARG {}", shown.join(" ")));
        Ok(())
    }

    fn cmd(&self, state: &mut State, command: &Command) {
        let words = command.with_shell(&state.shell());
        state.note(format!("CMD {}", quoted(&words)));
        state.config.cmd = Some(words);
        state.config.args_escaped = Some(true);
        state.own_cmd = true;
    }

    /// A new entry point takes the arguments of the old one away.
    fn entrypoint(&self, state: &mut State, command: &Command) {
        let words = command.with_shell(&state.shell());
        state.note(format!("ENTRYPOINT {}", quoted(&words)));
        state.config.entrypoint = Some(words);
        if !state.own_cmd {
            state.config.cmd = None;
        }
    }

    fn env(&self, state: &mut State, pairs: &[Text]) -> Result<()> {
        let pairs = self.pairs(state, pairs)?;
        let shown: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        state.note(format!("ENV {}", shown.join(" ")));
        for (name, value) in &pairs {
            if name.is_empty() {
                return Err(Error::refused("ENV names can not be blank"));
            }
            let entry = format!("{name}={value}");
            let env = state.config.env.get_or_insert_default();
            match env.iter_mut().find(|pair| pair.split('=').next() == Some(name)) {
                Some(pair) => *pair = entry,
                None => env.push(entry),
            }
            state.set(name, value);
        }
        Ok(())
    }

    fn label(&self, state: &mut State, pairs: &[Text]) -> Result<()> {
        let pairs = self.pairs(state, pairs)?;
        let shown: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        state.note(format!("LABEL {}", shown.join(" ")));
        state.config.labels.get_or_insert_default().extend(pairs);
        Ok(())
    }

    fn expose(&self, state: &mut State, words: &[String]) -> Result<()> {
        let mut ports = Vec::new();
        for word in words {
            for port in self.words(state, word)? {
                ports.extend(parse_ports(&port)?);
            }
        }
        ports.sort();
        state.note(format!("EXPOSE [{}]", ports.join(" ")));
        let exposed = state.config.exposed_ports.get_or_insert_default();
        exposed.extend(ports.into_iter().map(|port| (port, Empty {})));
        Ok(())
    }

    fn volumes(&self, state: &mut State, words: &[String]) -> Result<()> {
        let names = words.iter().map(|word| self.expand(state, word)).collect::<Result<Vec<_>>>()?;
        if names.iter().any(|name| name.is_empty()) {
            return Err(Error::refused("VOLUME specified can not be an empty string"));
        }
        state.note(format!("VOLUME [{}]", names.join(" ")));
        let volumes = state.config.volumes.get_or_insert_default();
        volumes.extend(names.into_iter().map(|name| (name, Empty {})));
        Ok(())
    }

    fn stop_signal(&self, state: &mut State, signal: &str) -> Result<()> {
        let signal = self.expand(state, signal)?;
        if hako_model::signal::number(&signal).is_none() {
            return Err(Error::refused(format!("invalid signal: {signal}")));
        }
        state.note(format!("STOPSIGNAL {signal}"));
        state.config.stop_signal = signal;
        Ok(())
    }
}

/// A list of texts as Go prints it with `%q`: what BuildKit writes into the history.
fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("[{}]", words.join(" "))
}

/// A health check as Go prints the structure, its count of retries as a character.
fn probe(check: &HealthConfig) -> String {
    let span = |nanos: i64| quote(&hako_model::duration::text(nanos));
    let retries = u32::try_from(check.retries).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
    let retries = match quote(&retries.to_string()).trim_matches('"') {
        "'" => "\\'".to_owned(),
        "\\\"" => "\"".to_owned(),
        other => other.to_owned(),
    };
    let spans = [check.interval, check.timeout, check.start_period, check.start_interval].map(span).join(" ");
    format!("&{{{} {spans} '{retries}'}}", quoted(&check.test))
}

/// A list of texts as JSON.
pub(super) fn json(words: &[String]) -> String {
    serde_json::to_string(words).unwrap_or_default()
}

/// `80`, `80/udp`, `8000-8010`, as EXPOSE takes them.
fn parse_ports(text: &str) -> Result<Vec<String>> {
    let invalid = || Error::refused(format!("invalid containerPort: {text}"));
    let lower = text.to_ascii_lowercase();
    let (numbers, protocol) = lower.split_once('/').unwrap_or((&lower, "tcp"));
    // A host's part, as in `8080:80`, means nothing in an image.
    let numbers = numbers.rsplit(':').next().unwrap_or(numbers);
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let number = |text: &str| text.parse::<u16>().ok();
    match (number(first).zip(number(last)), protocol) {
        (Some((first, last)), "tcp" | "udp" | "sctp") if first <= last => {
            Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
        }
        _ => Err(invalid()),
    }
}
