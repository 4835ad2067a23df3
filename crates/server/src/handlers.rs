//! One handler per endpoint: decode, one engine call, encode.

mod archive;
mod build;
mod checkpoints;
mod containers;
mod execs;
mod images;
mod jobs;
mod networks;
mod secrets;
mod system;
mod volumes;

pub(crate) use containers::stream_type;

use hako_engine::caller::{Caller, on_behalf};

use crate::buildkit;
use crate::failure::Failure;
use crate::metrics;
use crate::reply::Outcome;
use crate::request::Asked;
use crate::router::{Endpoint, Own, Refusal};

/// Answers a request on behalf of its client.
pub(crate) async fn answer(endpoint: Endpoint, asked: Asked) -> Outcome {
    let caller = asked.peer.map(|peer| Caller { pid: peer.pid, uid: peer.uid });
    on_behalf(caller, dispatch(endpoint, asked)).await
}

async fn dispatch(endpoint: Endpoint, asked: Asked) -> Outcome {
    match endpoint {
        Endpoint::Ping => Ok(system::ping()),
        Endpoint::Version => system::version(&asked),
        Endpoint::Info => system::info(asked).await,
        Endpoint::Auth => system::auth(asked).await,
        Endpoint::Events => system::events(asked).await,
        Endpoint::DiskUsage => system::disk_usage(asked).await,
        Endpoint::Metrics => metrics::answer(&asked.engine, &asked.tally).await,
        Endpoint::ContainerList => containers::list(asked).await,
        Endpoint::ContainerCreate => containers::create(asked).await,
        Endpoint::ContainerPrune => containers::prune(asked).await,
        Endpoint::ContainerInspect => containers::inspect(asked).await,
        Endpoint::ContainerTop => containers::top(asked).await,
        Endpoint::ContainerLogs => containers::logs(asked).await,
        Endpoint::ContainerChanges => containers::changes(asked).await,
        Endpoint::ContainerStats => containers::stats(asked).await,
        Endpoint::ContainerResize => containers::resize(asked).await,
        Endpoint::ContainerStart => containers::start(asked).await,
        Endpoint::ContainerStop => containers::stop(asked).await,
        Endpoint::ContainerRestart => containers::restart(asked).await,
        Endpoint::ContainerSucceed => containers::succeed(asked).await,
        Endpoint::ContainerKill => containers::kill(asked).await,
        Endpoint::ContainerUpdate => containers::update(asked).await,
        Endpoint::ContainerRename => containers::rename(asked).await,
        Endpoint::ContainerPause => containers::pause(asked).await,
        Endpoint::ContainerUnpause => containers::unpause(asked).await,
        Endpoint::ContainerAttach => containers::attach(asked).await,
        Endpoint::ContainerAttachSocket => containers::attach_socket(asked).await,
        Endpoint::ContainerWait => containers::wait(asked).await,
        Endpoint::ContainerRemove => containers::remove(asked).await,
        Endpoint::Checkpoints(verb) => checkpoints::answer(verb, asked).await,
        Endpoint::ContainerExport => archive::export(asked).await,
        Endpoint::ArchiveStat => archive::stat(asked).await,
        Endpoint::ArchiveGet => archive::get(asked).await,
        Endpoint::ArchivePut => archive::put(asked).await,
        Endpoint::Commit => archive::commit(asked).await,
        Endpoint::ExecCreate => execs::create(asked).await,
        Endpoint::ExecStart => execs::start(asked).await,
        Endpoint::ExecResize => execs::resize(asked).await,
        Endpoint::ExecInspect => execs::inspect(asked).await,
        Endpoint::ImageList => images::list(asked).await,
        Endpoint::ImageCreate => images::create(asked).await,
        Endpoint::ImageSearch => images::search(asked).await,
        Endpoint::ImagePrune => images::prune(asked).await,
        Endpoint::ImageSave => images::save(asked).await,
        Endpoint::ImageSaveOne => images::save_one(asked).await,
        Endpoint::ImageLoad => images::load(asked).await,
        Endpoint::ImageInspect => images::inspect(asked).await,
        Endpoint::ImageHistory => images::history(asked).await,
        Endpoint::ImagePush => images::push(asked).await,
        Endpoint::ImageTag => images::tag(asked).await,
        Endpoint::ImageRemove => images::remove(asked).await,
        Endpoint::Distribution => images::distribution(asked).await,
        Endpoint::VolumeList => volumes::list(asked).await,
        Endpoint::VolumeCreate => volumes::create(asked).await,
        Endpoint::VolumePrune => volumes::prune(asked).await,
        Endpoint::VolumeInspect => volumes::inspect(asked).await,
        Endpoint::VolumeRemove => volumes::remove(asked).await,
        Endpoint::NetworkList => networks::list(asked).await,
        Endpoint::NetworkInspect => networks::inspect(asked).await,
        Endpoint::NetworkRemove => networks::remove(asked).await,
        Endpoint::Own(own) => answer_own(own, asked).await,
        Endpoint::NetworkCreate => networks::create(asked).await,
        Endpoint::NetworkConnect => networks::connect(asked).await,
        Endpoint::NetworkDisconnect => networks::disconnect(asked).await,
        Endpoint::NetworkPrune => networks::prune(asked).await,
        Endpoint::Session => buildkit::session(asked),
        Endpoint::Grpc => buildkit::grpc(asked),
        Endpoint::Build => build::classic::build(asked).await,
        Endpoint::BuildCancel => build::cancel(&asked),
        Endpoint::BuildOrder => build::build(asked).await,
        Endpoint::BuildFiles => build::files(asked),
        Endpoint::BuildPrune => build::prune(asked).await,
        Endpoint::PluginList => system::plugins(),
        Endpoint::Refused(why) => refuse(&asked, why),
    }
}

fn refuse(asked: &Asked, why: Refusal) -> Outcome {
    Err(match why {
        Refusal::NoManager => Failure::no_manager(),
        Refusal::NoMember => Failure::no_member(),
        Refusal::NoPlugin => system::no_plugin(&asked.name),
        Refusal::NoCluster => Failure::no_cluster(),
        Refusal::Absent(what) => Failure::absent(what),
    })
}

/// Answers what only hako is asked.
async fn answer_own(endpoint: Own, asked: Asked) -> Outcome {
    match endpoint {
        Own::NameTrace => networks::trace(asked).await,
        Own::JobList => jobs::list(&asked),
        Own::PortReach => networks::reach(asked).await,
        Own::Why => containers::why(asked).await,
        Own::SecretList => secrets::list(asked).await,
        Own::SecretCreate => secrets::create(asked).await,
        Own::SecretInspect => secrets::inspect(asked).await,
        Own::SecretRemove => secrets::remove(asked).await,
        Own::ImageSave => images::save_to(asked).await,
        Own::ImageLoad => images::load_from(&asked),
    }
}
