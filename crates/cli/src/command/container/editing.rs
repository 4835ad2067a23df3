//! From the flags of `update` to hako's own part of its request.

use hako_model::container::{Anew, Edit};

use crate::creation;
use crate::flags::{Flag, Matches, duration, int, list, switch, text};

/// The flags for what changes while the container runs.
pub(super) const EDITING: &[Flag] = &[
    text("health-cmd", "Command to run to check health"),
    duration("health-interval", "Time between running the check (ms|s|m|h)"),
    int("health-retries", "Consecutive failures needed to report unhealthy"),
    duration("health-start-interval", "Time between running the check during the start period (ms|s|m|h)"),
    duration("health-start-period", "Start period before failed checks count (ms|s|m|h)"),
    duration("health-timeout", "Maximum time to allow one check to run (ms|s|m|h)"),
    list("label", "Set a label").short('l').check(creation::check_label),
    list("label-rm", "Remove a label"),
    list("mount", "Attach a filesystem mount to the running container"),
    list("network", "Join a network").word("network"),
    list("network-rm", "Leave a network"),
    switch("no-healthcheck", "Take the health check away"),
    list("publish", "Publish a container's port(s) to the host").short('p'),
    list("publish-rm", "Take a published port back (80/tcp or 8080:80/tcp)"),
    text("stop-signal", "Signal to stop the container"),
    int("stop-timeout", "Timeout (in seconds) to stop a container"),
    list("volume", "Bind mount a volume into the running container").short('v'),
    list("volume-rm", "Take the bind mount or volume at a path out of the container"),
];

/// The flags for what takes a new process.
pub(super) const ANEW: &[Flag] = &[
    text("command", "Run another command: a JSON array, or a line for /bin/sh -c (new process)"),
    text("entrypoint", "Overwrite the ENTRYPOINT (new process)"),
    list("env", "Set environment variables (new process)").short('e').check(creation::check_variable),
    list("env-file", "Read in a file of environment variables (new process)"),
    list("env-rm", "Remove environment variables (new process)"),
    text("image", "Run another image (new process)"),
    duration(
        "patience",
        "How long the new process may take to become healthy before the old one is put back (ms|s|m|h)",
    ),
];

/// What is to change beside limits and restart policy, if anything.
pub(super) fn edit(found: &Matches) -> Result<Option<Edit>, String> {
    let (_, publish) = creation::ports(&found.list("publish"), &[])?;
    let (binds, anonymous) = creation::volumes(&found.list("volume"))?;
    if let Some(target) = anonymous.keys().next() {
        return Err(format!("invalid volume {target}: name its source, as in -v NAME:{target}"));
    }
    let edit = Edit {
        publish,
        unpublish: found.strings("publish-rm"),
        connect: creation::attachments(&found.list("network"))?,
        disconnect: found.strings("network-rm"),
        labels: creation::environment::labels(&[], &found.list("label"))?,
        remove_labels: found.strings("label-rm"),
        binds,
        mounts: found.list("mount").into_iter().map(creation::mount).collect::<Result<_, _>>()?,
        unmount: found.strings("volume-rm"),
        healthcheck: creation::health(found)?,
        on_unhealthy: creation::on_unhealthy(found)?,
        stop_signal: found.text("stop-signal").to_owned(),
        stop_timeout: found.int_given("stop-timeout"),
        anew: anew(found)?,
    };
    Ok(Some(edit).filter(|edit| *edit != Edit::default()))
}

fn anew(found: &Matches) -> Result<Option<Anew>, String> {
    let wanted = Anew {
        image: found.text("image").to_owned(),
        env: creation::environment::variables(&found.list("env-file"), &found.list("env"))?,
        remove_env: found.strings("env-rm"),
        cmd: found.text_given("command").map(command).transpose()?,
        entrypoint: found.text_given("entrypoint").map(|program| vec![program.to_owned()]),
        patience: 0,
    };
    let patience = found.duration("patience");
    if patience < 0 {
        return Err("--patience cannot be negative".to_owned());
    }
    let wanted = Some(wanted).filter(|wanted| *wanted != Anew::default());
    match wanted {
        None if found.given("patience") => {
            Err("--patience needs a new --image, --env, --command or the like".to_owned())
        }
        wanted => Ok(wanted.map(|wanted| Anew { patience, ..wanted })),
    }
}

/// As in a Dockerfile: an array of words, or a line for the shell.
fn command(text: &str) -> Result<Vec<String>, String> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|error| format!("invalid command {text:?}: {error}"));
    }
    Ok(["/bin/sh", "-c", text].map(str::to_owned).to_vec())
}
