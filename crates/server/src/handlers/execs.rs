//! Exec requests.

use hako_api::container::IdReply;
use hako_api::exec::{ExecBody, ExecStart};
use hako_engine::containers::{ExecRequest, ExecStart as StartRequest};
use http::StatusCode;

use super::containers::terminal_size;
use crate::failure::Failure;
use crate::reply::{self, Outcome};
use crate::request::Asked;
use crate::{hijack, wire};

pub(super) async fn create(mut asked: Asked) -> Outcome {
    let body: ExecBody = asked.json().await?;
    if body.cmd.is_empty() && body.tools.is_none() {
        return Err(Failure::invalid("No exec command specified"));
    }
    let request = ExecRequest {
        attach_stdin: body.attach_stdin,
        attach_stdout: body.attach_stdout,
        attach_stderr: body.attach_stderr,
        tty: body.tty,
        detach_keys: Some(body.detach_keys).filter(|keys| !keys.is_empty()),
        console_size: body.console_size,
        env: body.env.unwrap_or_default(),
        cmd: body.cmd,
        privileged: body.privileged,
        user: body.user,
        working_dir: body.working_dir,
        tools: body.tools,
    };
    let id = asked.engine.containers().exec_create(&asked.name, request).await?;
    reply::json_with(StatusCode::CREATED, &IdReply { id: id.to_string() })
}

pub(super) async fn start(mut asked: Asked) -> Outcome {
    let body: ExecStart = asked.optional_json().await?;
    let request = StartRequest { detach: body.detach, tty: body.tty, console_size: body.console_size };
    match asked.engine.containers().exec_start(&asked.name, request).await? {
        Some(attachment) => hijack::connect(asked, attachment).await,
        None => Ok(reply::empty(StatusCode::OK)),
    }
}

pub(super) async fn resize(asked: Asked) -> Outcome {
    let (rows, columns) = terminal_size(&asked)?;
    asked.engine.containers().exec_resize(&asked.name, rows, columns).await?;
    Ok(reply::empty(StatusCode::OK))
}

pub(super) async fn inspect(asked: Asked) -> Outcome {
    let found = asked.engine.containers().exec_inspect(&asked.name).await?;
    reply::json(&wire::container::exec(found))
}
