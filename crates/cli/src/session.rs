//! One run of the program: the global flags, the person's configuration, and the daemon they lead to.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use hako_client::{Choice, Client, Endpoint, Tls};

use crate::config::{self, Config, contexts};
use crate::failure::Failure;
use crate::flags::{Flag, Matches, list, switch, text};

/// The flags before the command.
pub(crate) const GLOBALS: &[Flag] = &[
    text("config", "Location of client config files (default \"~/.docker\")"),
    text(
        "context",
        "Name of the context to use to connect to the daemon (overrides HAKO_HOST and DOCKER_HOST env vars and \
         default context set with \"hako context use\")",
    )
    .short('c'),
    switch("debug", "Enable debug mode").short('D'),
    list("host", "Daemon socket to connect to").short('H'),
    text("log-level", "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")")
        .short('l')
        .default("info")
        .check(crate::level::check),
    text("root", "Keep everything of a private hako (data, runtime files, socket) below one directory"),
    switch("tls", "Use TLS; implied by --tlsverify"),
    text("tlscacert", "Trust certs signed only by this CA"),
    text("tlscert", "Path to TLS certificate file"),
    text("tlskey", "Path to TLS key file"),
    switch("tlsverify", "Use TLS and verify the remote"),
    switch("version", "Print version information and quit").short('v'),
];

/// One run of the program. What is not asked for is not read.
pub(crate) struct Session {
    globals: Matches,
    config: OnceCell<Config>,
    client: OnceCell<Client>,
    group: OnceCell<Matches>,
}

impl Session {
    /// A run with these global flags.
    pub(crate) fn new(globals: Matches) -> Self {
        Self { globals, config: OnceCell::new(), client: OnceCell::new(), group: OnceCell::new() }
    }

    /// Remembers the flags that stood between a group's word and its command's.
    pub(crate) fn enter(&self, found: Matches) {
        // Groups with flags stand in no other ones.
        let _ = self.group.set(found);
    }

    /// The flags of the group, if any were given.
    pub(crate) fn group(&self) -> Option<&Matches> {
        self.group.get()
    }

    /// The directory of `config.json`.
    pub(crate) fn directory(&self) -> PathBuf {
        config::directory(self.globals.text("config"))
    }

    /// The person's `config.json`.
    pub(crate) fn config(&self) -> &Config {
        self.config.get_or_init(|| config::load(&self.directory()))
    }

    /// The daemon to talk to. Nothing is connected yet.
    pub(crate) fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::chosen(&self.choice()?)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Whether the daemon may use files this process holds open instead of being sent bytes. It has the last word.
    pub(crate) fn may_lend(&self) -> Result<bool, Failure> {
        let here = matches!(self.client()?.endpoint(), Endpoint::Own(_) | Endpoint::Unix(_));
        Ok(here && rustix::process::geteuid().is_root())
    }

    fn choice(&self) -> Result<Choice, Failure> {
        let given = |flag: &str| self.globals.text_given(flag).filter(|text| !text.is_empty()).map(str::to_owned);
        let hosts = self.globals.list("host");
        if hosts.len() > 1 {
            return Err(Failure::local("specify only one -H"));
        }
        let mut choice = Choice {
            host: hosts.first().map(|host| (*host).to_owned()),
            context: given("context"),
            root: given("root").map(|root| absolute(&root)),
            config: Some(self.directory()),
            tls: self.tls(),
            ..Choice::from_environment()
        };
        choice.hako_root = choice.hako_root.map(|root| absolute(&root.to_string_lossy()));
        if choice.host.is_some() && choice.context.is_some() {
            return Err(Failure::local("conflicting options: cannot specify both --host and --context"));
        }
        let decided = choice.host.is_some() || choice.context.is_some() || choice.root.is_some();
        let from_environment = choice.hako_host.is_some() || choice.hako_root.is_some() || choice.docker_host.is_some();
        if !decided && !from_environment && choice.docker_context.is_none() {
            choice.docker_context = Some(self.config().current_context.clone()).filter(|name| !name.is_empty());
        }
        Ok(choice)
    }

    /// TLS, as docker's flags and variables ask for it.
    fn tls(&self) -> Option<Tls> {
        let environment = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let verify = match self.globals.given("tlsverify") {
            true => self.globals.on("tlsverify"),
            false => environment("DOCKER_TLS_VERIFY").is_some(),
        };
        if !verify && !self.globals.on("tls") && environment("DOCKER_TLS").is_none() {
            return None;
        }
        let directory = environment("DOCKER_CERT_PATH").map_or_else(|| self.directory(), PathBuf::from);
        let mut tls = Tls::in_directory(&directory, verify);
        let given = |flag: &str| self.globals.text_given(flag).filter(|text| !text.is_empty()).map(PathBuf::from);
        tls.authority = given("tlscacert").or(tls.authority);
        if given("tlscert").is_some() || given("tlskey").is_some() {
            let file = |flag: &str, usual: &str| given(flag).unwrap_or_else(|| directory.join(usual));
            tls.identity = Some((file("tlscert", "cert.pem"), file("tlskey", "key.pem")));
        }
        Some(tls)
    }

    /// The name of the context in use, as `context show` tells it.
    pub(crate) fn context_name(&self) -> String {
        let environment = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        if let Some(named) = self.globals.text_given("context").filter(|name| !name.is_empty()) {
            return named.to_owned();
        }
        let overridden = self.globals.given("host")
            || self.globals.given("root")
            || ["HAKO_HOST", "HAKO_ROOT", "DOCKER_HOST"].into_iter().any(|name| environment(name).is_some());
        if overridden {
            return contexts::DEFAULT.to_owned();
        }
        environment("DOCKER_CONTEXT")
            .or_else(|| Some(self.config().current_context.clone()).filter(|name| !name.is_empty()))
            .unwrap_or_else(|| contexts::DEFAULT.to_owned())
    }

    /// Where the daemon of this machine keeps what it keeps, unless it was told otherwise.
    pub(crate) fn data_root(&self) -> PathBuf {
        let given = self.globals.text_given("root").filter(|root| !root.is_empty()).map(absolute);
        let variable = || std::env::var("HAKO_ROOT").ok().filter(|root| !root.is_empty()).map(|root| absolute(&root));
        given.or_else(variable).map_or_else(|| PathBuf::from("/var/lib/hako"), |root| root.join("data"))
    }

    /// Whether `-D` was given.
    pub(crate) fn debug(&self) -> bool {
        self.globals.on("debug")
    }
}

/// A private root may be written relative to the working directory; the daemon has another one.
fn absolute(root: &str) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned());
    PathBuf::from(crate::paths::clean(&here.join(root).to_string_lossy()))
}
