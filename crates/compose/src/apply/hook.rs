//! Commands run in a container after its start and before its stop.

use hako_api::exec::{ExecBody, ExecStart};
use hako_client::Client;
use tokio::io::AsyncReadExt;

use crate::creation::environment;
use crate::world::{Outcome, Trouble};
use crate::yaml::Node;

/// How much of a hook's output is kept for the message when it fails.
const KEPT: usize = 4096;

/// Runs a service's hooks, one after the other.
pub(crate) async fn run(client: &Client, container: &str, service: &Node, kind: &str) -> Outcome {
    for hook in service.list(kind) {
        run_one(client, container, hook, kind).await?;
    }
    Ok(())
}

async fn run_one(client: &Client, container: &str, hook: &Node, kind: &str) -> Outcome {
    let env = environment(hook);
    let body = ExecBody {
        user: hook.text("user").to_owned(),
        privileged: hook.on("privileged"),
        attach_stdout: true,
        attach_stderr: true,
        env: Some(env).filter(|env| !env.is_empty()),
        working_dir: hook.text("working_dir").to_owned(),
        cmd: hook.texts("command"),
        ..ExecBody::default()
    };
    let id = client.execs().create(container, &body).await?.id;
    let mut stream = client.execs().start(&id, &ExecStart::default()).await?;
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count) = stream.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        said.extend_from_slice(&buffer[..count.min(KEPT.saturating_sub(said.len()))]);
    }
    match client.execs().inspect(&id).await?.exit_code {
        Some(0) | None => Ok(()),
        Some(code) => {
            let reason = format!("{kind} hook {:?} exited with status {code}", hook.texts("command").join(" "));
            Err(Trouble::Ill { reason, told: super::ready::text_of(&said, stream.multiplexed) })
        }
    }
}
