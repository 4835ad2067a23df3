//! `update`.

use hako_api::container::{UpdateBody, Updated};
use hako_model::container::Resources;
use hako_model::reference::Reference;

use super::create::lacks_image;
use super::editing::{self, ANEW, EDITING};
use crate::command::image::pull::{self, Where};
use crate::creation::{CARE, restart_policy, with_pauses};
use crate::failure::Failure;
use crate::flags::{Matches, bytes, cpus, int, swap_bytes, text, uint16};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static UPDATE: Command = Command {
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    aliases: &["hako container update", "hako update"],
    arity: Arity::AtLeast(1),
    flags: &[
        &[
            uint16("blkio-weight", "Block IO (relative weight), between 10 and 1000, or 0 to disable"),
            int("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
            int("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
            int("cpu-rt-period", "Limit the CPU real-time period in microseconds"),
            int("cpu-rt-runtime", "Limit the CPU real-time runtime in microseconds"),
            int("cpu-shares", "CPU shares (relative weight)").short('c'),
            cpus("cpus", "Number of CPUs"),
            text("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
            text("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
            bytes("memory", "Memory limit").short('m'),
            bytes("memory-reservation", "Memory soft limit"),
            swap_bytes("memory-swap", "Swap limit equal to memory plus swap: -1 to enable unlimited swap"),
            int("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
            text("restart", "Restart policy to apply when a container exits"),
        ],
        CARE,
        EDITING,
        ANEW,
    ],
    examples: &[
        ("hako update -m 512m --cpus 2 web", "New limits for a container, without a restart"),
        ("hako update -p 8080:80 -v /srv/data:/data web", "One more port and one more mount, while it runs"),
        ("hako update --network back --label tier=front web", "Join a network and set a label, while it runs"),
        (
            "hako update --image nginx:1.29 web",
            "Another image under the same name; the old one comes back if it is not well",
        ),
    ],
    offer: Offer::Containers,
    ..Command::new("Update configuration of one or more containers", run!(update))
};

async fn update(session: &Session, found: &Matches) -> Outcome {
    if !UPDATE.flags.iter().flat_map(|group| group.iter()).any(|flag| found.given(flag.long)) {
        return Err(Failure::local("you must provide one or more flags when using this command"));
    }
    let policy = found.text_given("restart").map(restart_policy).transpose();
    let policy = policy.map_err(|message| super::create::refused(&message, "update"))?.unwrap_or_default();
    let body = UpdateBody {
        resources: resources(found),
        restart_policy: with_pauses(policy, found)?,
        edit: editing::edit(found)?,
    };
    let mut failures = Vec::new();
    for name in found.words() {
        match change(session, name, &body).await {
            Ok(updated) => {
                output::line(name)?;
                for warning in updated.warnings.iter().flatten() {
                    output::complain(format!("{warning}\n"))?;
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    crate::command::together(failures)
}

/// Changes one container, fetching its new image first if need be.
async fn change(session: &Session, name: &str, body: &UpdateBody) -> Result<Updated, Failure> {
    let client = session.client()?;
    let image = body.edit.iter().filter_map(|edit| edit.anew.as_ref()).map(|anew| anew.image.as_str()).next();
    let reference = image.and_then(|image| Reference::parse_tagged(image).ok());
    match (client.containers().update(name, body).await, reference) {
        (Err(error), Some(reference)) if error.is_not_found() && lacks_image(&error) => {
            output::complain(format!("Unable to find image '{}' locally\n", reference.familiar()))?;
            pull::fetch(session, &reference, "", Where::Error).await?;
            Ok(client.containers().update(name, body).await?)
        }
        (outcome, _) => Ok(outcome?),
    }
}

fn resources(found: &Matches) -> Resources {
    Resources {
        blkio_weight: u16::try_from(found.int("blkio-weight")).unwrap_or(0),
        cpu_period: found.int("cpu-period"),
        cpu_quota: found.int("cpu-quota"),
        cpu_realtime_period: found.int("cpu-rt-period"),
        cpu_realtime_runtime: found.int("cpu-rt-runtime"),
        cpu_shares: found.int("cpu-shares"),
        nano_cpus: found.cpus("cpus"),
        cpuset_cpus: found.text("cpuset-cpus").to_owned(),
        cpuset_mems: found.text("cpuset-mems").to_owned(),
        memory: found.bytes("memory"),
        memory_reservation: found.bytes("memory-reservation"),
        memory_swap: found.bytes("memory-swap"),
        pids_limit: found.int_given("pids-limit"),
        ..Resources::default()
    }
}
