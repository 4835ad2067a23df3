//! `login` and `logout`.

use std::io::{self, IsTerminal, Read};

use hako_api::system::AuthConfig;
use hako_registry::credentials::{Credential, Place, server_key};

use crate::command::image::pull::config_file;
use crate::failure::Failure;
use crate::flags::{Matches, switch, text};
use crate::output;
use crate::session::Session;
use crate::terminal;
use crate::tree::{Arity, Command, Outcome, run};

pub(crate) static LOGIN: Command = Command {
    usage: &["[OPTIONS] [SERVER]"],
    long: "Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
    arity: Arity::AtMost(1),
    flags: &[&[
        text("password", "Password or Personal Access Token (PAT)").short('p'),
        switch("password-stdin", "Take the Password or Personal Access Token (PAT) from stdin"),
        text("username", "Username").short('u'),
    ]],
    examples: &[("pass show registry | hako login -u me --password-stdin registry.example.com", "For a script")],
    ..Command::new("Authenticate to a registry", run!(login))
};

pub(crate) static LOGOUT: Command = Command {
    usage: &["[SERVER]"],
    long: "Log out from a registry.\nIf no server is specified, the default is defined by the daemon.",
    arity: Arity::AtMost(1),
    ..Command::new("Log out from a registry", run!(logout))
};

const DEFAULT_SERVER: &str = "docker.io";

/// The registry a person means: without a scheme or a path; Docker Hub when nothing was said.
fn server(typed: &str) -> String {
    let bare = typed.strip_prefix("https://").or_else(|| typed.strip_prefix("http://")).unwrap_or(typed);
    match bare.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => DEFAULT_SERVER.to_owned(),
        host => host.to_owned(),
    }
}

async fn login(session: &Session, found: &Matches) -> Outcome {
    let server = server(found.word(0));
    let password = given_password(found)?;
    let mut file = config_file(session)?;
    let stored = || file.credential(&server).map_err(|error| Failure::local(error.to_string()));
    let asked = found.given("username") || password.is_some();
    let known = if asked { None } else { stored()?.filter(|credential| !credential.is_anonymous()) };
    let credential = match known {
        Some(credential) => {
            output::line("Authenticating with existing credentials...")?;
            credential
        }
        None => ask(found, &server, password)?,
    };
    let body = AuthConfig {
        username: credential.username.clone(),
        password: credential.password.clone(),
        server_address: server_key(&server).to_owned(),
        identity_token: credential.identitytoken.clone(),
        ..AuthConfig::default()
    };
    let reply = session.client()?.system().auth(&body).await?;
    let mut kept = credential;
    if !reply.identity_token.is_empty() {
        kept.password.clear();
        kept.identitytoken = reply.identity_token;
    }
    let place = file.store(&server, &kept).map_err(|error| Failure::local(error.to_string()))?;
    if let Place::PlainFile(path) = place {
        output::complain(format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\n\
             Configure a credential helper (credsStore) to remove this warning.\n\n",
            path.display()
        ))?;
    }
    output::line(if reply.status.is_empty() { "Login Succeeded" } else { &reply.status })
}

/// The password of the command line or of standard input.
fn given_password(found: &Matches) -> Result<Option<String>, Failure> {
    if found.given("password") {
        output::complain("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")?;
        if found.on("password-stdin") {
            return Err(Failure::local("conflicting options: cannot specify both --password and --password-stdin"));
        }
        return Ok(Some(found.text("password").to_owned()));
    }
    if !found.on("password-stdin") {
        return Ok(None);
    }
    if found.text("username").is_empty() {
        return Err(Failure::local("the --password-stdin option requires --username to be set"));
    }
    let mut text = String::new();
    io::stdin().lock().take(1 << 20).read_to_string(&mut text).map_err(|error| Failure::local(error.to_string()))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Asks for what is missing.
fn ask(found: &Matches, server: &str, password: Option<String>) -> Result<Credential, Failure> {
    let failed = |error: io::Error| Failure::local(error.to_string());
    let typed = found.text("username").to_owned();
    if !io::stdin().is_terminal() && (typed.is_empty() || password.is_none()) {
        return Err(Failure::local("Error: Cannot perform an interactive login from a non TTY device"));
    }
    let username = if typed.is_empty() { terminal::ask("Username: ", false).map_err(failed)? } else { typed };
    if username.trim().is_empty() {
        return Err(Failure::local("Error: Non-null Username Required"));
    }
    let password = match password {
        Some(password) => password,
        None => terminal::ask("Password: ", true).map_err(failed)?,
    };
    if password.is_empty() {
        return Err(Failure::local("Error: Password Required"));
    }
    Ok(Credential::new(server_key(server), username.trim(), &password))
}

async fn logout(session: &Session, found: &Matches) -> Outcome {
    let server = server(found.word(0));
    let mut file = config_file(session)?;
    file.erase(&server).map_err(|error| Failure::local(error.to_string()))?;
    output::line(format!("Removing login credentials for {}", server_key(&server)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        for hub in ["", "docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"] {
            assert_eq!(server(hub), "docker.io");
        }
        assert_eq!(server("https://registry.example.com:5000/v2/"), "registry.example.com:5000");
    }
}
