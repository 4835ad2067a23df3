//! Credential helpers: programs named `docker-credential-NAME` that take `get`, `store`, `erase` and `list` and speak
//! JSON on their standard streams.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::{Credential, TOKEN_USER};

/// What a helper says when it has nothing.
const MISSING: &str = "credentials not found in native keychain";

/// One helper program.
#[derive(Debug, Clone)]
pub struct Helper {
    name: String,
    program: String,
}

/// A helper failed.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It cannot be run.
    #[error("run {program}: {cause}")]
    Run {
        /// The program.
        program: String,
        /// Why not.
        cause: std::io::Error,
    },
    /// It ran and refused.
    #[error("{program} {verb}: {message}")]
    Refused {
        /// The program.
        program: String,
        /// What was asked.
        verb: &'static str,
        /// What it said.
        message: String,
    },
}

/// The helpers' own JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spoken {
    #[serde(rename = "ServerURL", default)]
    server: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

impl Helper {
    /// The helper `docker-credential-NAME`, looked for on the PATH.
    pub fn new(name: &str) -> Self {
        Self::at(name, &format!("docker-credential-{name}"))
    }

    /// A helper whose program is this one.
    pub(super) fn at(name: &str, program: &str) -> Self {
        Self { name: name.to_owned(), program: program.to_owned() }
    }

    /// Its name without the prefix.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The credential it keeps for a server.
    ///
    /// # Errors
    /// It cannot be run or failed otherwise than by having none.
    pub fn get(&self, server: &str) -> Result<Option<Credential>, HelperError> {
        let answer = match self.ask("get", server.as_bytes()) {
            Ok(answer) => answer,
            Err(HelperError::Refused { message, .. }) if message.contains(MISSING) => return Ok(None),
            Err(error) => return Err(error),
        };
        let spoken: Spoken = serde_json::from_slice(&answer).map_err(|_| self.unclear("get"))?;
        let mut credential = Credential { serveraddress: server.to_owned(), ..Credential::default() };
        if spoken.username == TOKEN_USER {
            credential.identitytoken = spoken.secret;
        } else {
            credential.password = spoken.secret;
        }
        credential.username = spoken.username;
        Ok((!credential.is_anonymous()).then_some(credential))
    }

    /// Gives it a credential to keep.
    ///
    /// # Errors
    /// It cannot be run or failed.
    pub fn store(&self, server: &str, credential: &Credential) -> Result<(), HelperError> {
        let token = !credential.identitytoken.is_empty();
        let (username, secret) = if token {
            (TOKEN_USER, &credential.identitytoken)
        } else {
            (credential.username.as_str(), &credential.password)
        };
        let spoken = Spoken { server: server.to_owned(), username: username.to_owned(), secret: secret.clone() };
        let json = serde_json::to_vec(&spoken).map_err(|_| self.unclear("store"))?;
        self.ask("store", &json).map(drop)
    }

    /// Makes it forget a server.
    ///
    /// # Errors
    /// It cannot be run or failed otherwise than by having none.
    pub fn erase(&self, server: &str) -> Result<(), HelperError> {
        match self.ask("erase", server.as_bytes()) {
            Err(HelperError::Refused { message, .. }) if message.contains(MISSING) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// The servers it has credentials for, with the user names.
    ///
    /// # Errors
    /// It cannot be run or failed.
    pub fn list(&self) -> Result<BTreeMap<String, String>, HelperError> {
        serde_json::from_slice(&self.ask("list", b"")?).map_err(|_| self.unclear("list"))
    }

    fn unclear(&self, verb: &'static str) -> HelperError {
        HelperError::Refused { program: self.program.clone(), verb, message: "its answer is not JSON".to_owned() }
    }

    fn ask(&self, verb: &'static str, input: &[u8]) -> Result<Vec<u8>, HelperError> {
        let failed = |cause| HelperError::Run { program: self.program.clone(), cause };
        let mut child = Command::new(&self.program)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read its input breaks the pipe; what it answers counts.
            let _ = stdin.write_all(input);
        }
        let output = child.wait_with_output().map_err(failed)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        // By the protocol the reason of a failure is on standard output.
        let message = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Err(HelperError::Refused { program: self.program.clone(), verb, message })
    }
}
