//! What a container finds mounted: volumes, directories, files of secrets and configs.

use hako_model::container::{
    BindOptions, ImageOptions, Mount, MountKind, MountPoint, SecretFile, TmpfsOptions, VolumeOptions,
};

use super::strings;
use crate::project::{Project, is_external};
use crate::yaml::{Map, Node};

/// Binds in the old spelling, which creates missing directories, and mounts in the new one.
pub(super) fn of(
    project: &Project,
    node: &Node,
    inherited: &[MountPoint],
) -> Result<(Vec<String>, Vec<Mount>), String> {
    let (mut binds, mut mounts) = (Vec::new(), Vec::new());
    for volume in node.list("volumes") {
        match simple(project, node, volume) {
            Some(bind) => binds.push(bind),
            None => mounts.push(mount(project, volume, inherited)),
        }
    }
    let declared = |target: &str| node.list("volumes").iter().any(|volume| volume.text("target") == target);
    for point in inherited.iter().filter(|point| is_anonymous(point) && !declared(&point.destination)) {
        mounts.push(Mount {
            kind: MountKind::Volume,
            source: point.name.clone(),
            target: point.destination.clone(),
            read_only: !point.rw,
            ..Mount::default()
        });
    }
    let stored = [("secrets", "/run/secrets/", &project.secrets), ("configs", "/", &project.configs)];
    for (kind, directory, there) in stored {
        mounts.extend(files(kind, directory, node, there)?);
    }
    Ok((binds, mounts))
}

/// A volume nobody named: its name is an id.
fn is_anonymous(point: &MountPoint) -> bool {
    point.kind == MountKind::Volume && point.name.len() == 64 && point.name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `source:target:options`, where that says everything.
fn simple(project: &Project, service: &Node, volume: &Node) -> Option<String> {
    let source = project.source(service, volume);
    let bind = volume.get("bind");
    let source = match volume.text("type") {
        "bind" => {
            let plain = bind.is_none_or(|bind| {
                bind.on("create_host_path") && bind.text("propagation").is_empty() && bind.text("recursive").is_empty()
            });
            plain.then_some(source)?.to_owned()
        }
        "volume" => {
            let more = volume
                .get("volume")
                .is_some_and(|it| it.get("labels").is_some() || !it.text("subpath").is_empty() || it.on("nocopy"));
            (!more && !source.is_empty()).then(|| volume_name(project, source))?
        }
        _ => return None,
    };
    let mut options = vec![if volume.on("read_only") { "ro" } else { "rw" }];
    options.extend(bind.map(|bind| bind.text("selinux")).filter(|text| !text.is_empty()));
    Some(format!("{source}:{}:{}", volume.text("target"), options.join(",")))
}

fn volume_name(project: &Project, key: &str) -> String {
    project.volumes.get(key).map_or(key, |volume| volume.text("name")).to_owned()
}

fn mount(project: &Project, volume: &Node, inherited: &[MountPoint]) -> Mount {
    let (kind, target) = (volume.text("type"), volume.text("target"));
    let source = match kind {
        "volume" if volume.text("source").is_empty() => {
            let before = inherited.iter().find(|point| point.destination == target && is_anonymous(point));
            before.map(|point| point.name.clone()).unwrap_or_default()
        }
        "volume" => volume_name(project, volume.text("source")),
        _ => volume.text("source").to_owned(),
    };
    let mut mount = Mount {
        source,
        target: target.to_owned(),
        read_only: volume.on("read_only"),
        consistency: volume.text("consistency").to_owned(),
        ..Mount::default()
    };
    match kind {
        "bind" => {
            mount.kind = MountKind::Bind;
            mount.bind_options = volume.get("bind").map(bind_options);
        }
        "tmpfs" => {
            mount.kind = MountKind::Tmpfs;
            mount.tmpfs_options = volume.get("tmpfs").map(|tmpfs| TmpfsOptions {
                size_bytes: tmpfs.text("size").parse().unwrap_or(0),
                mode: tmpfs.int("mode").and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0),
                ..TmpfsOptions::default()
            });
        }
        "image" => {
            mount.kind = MountKind::Image;
            mount.image_options =
                volume.get("image").map(|image| ImageOptions { subpath: image.text("subpath").to_owned() });
        }
        "npipe" => mount.kind = MountKind::Npipe,
        "cluster" => mount.kind = MountKind::Cluster,
        _ => {
            mount.kind = MountKind::Volume;
            mount.volume_options = volume.get("volume").map(|volume| VolumeOptions {
                no_copy: volume.on("nocopy"),
                labels: Some(strings(volume, "labels")).filter(|labels| !labels.is_empty()),
                subpath: volume.text("subpath").to_owned(),
                ..VolumeOptions::default()
            });
        }
    }
    mount
}

fn bind_options(bind: &Node) -> BindOptions {
    let recursive = bind.text("recursive");
    BindOptions {
        propagation: bind.text("propagation").to_owned(),
        non_recursive: recursive == "disabled",
        create_mountpoint: bind.on("create_host_path"),
        read_only_non_recursive: recursive == "writable",
        read_only_force_recursive: recursive == "readonly",
    }
}

/// Secrets and configs that are files of the host; the others are written into the container.
fn files(kind: &str, directory: &str, node: &Node, there: &Map) -> Result<Vec<Mount>, String> {
    let mut found = Vec::new();
    for grant in node.list(kind) {
        let source = grant.text("source");
        let Some(stored) = there.get(source) else { continue };
        for refused in ["driver", "template_driver"] {
            if !stored.text(refused).is_empty() {
                return Err(format!("{kind}.{source}.{refused} is not supported"));
            }
        }
        if stored.text("file").is_empty() || is_external(stored) {
            continue;
        }
        found.push(Mount {
            kind: MountKind::Bind,
            source: stored.text("file").to_owned(),
            target: grant_target(grant, directory),
            read_only: true,
            // As Compose asks for them.
            bind_options: (kind == "secrets").then(BindOptions::default),
            ..Mount::default()
        });
    }
    Ok(found)
}

/// What is said of owner and mode of secrets and configs that are files of the host: those have their own.
pub(crate) fn unheeded(project: &Project, node: &Node) -> Vec<String> {
    let kinds = [("secrets", &project.secrets), ("configs", &project.configs)];
    let says = |grant: &&Node| ["uid", "gid", "mode"].iter().any(|key| !grant.text(key).is_empty());
    let heeded = |kind: &str, there: &Map| {
        let file =
            |grant: &&Node| there.get(grant.text("source")).is_some_and(|stored| !stored.text("file").is_empty());
        let any = node.list(kind).iter().filter(file).any(|grant| says(&grant));
        any.then(|| format!("{kind} `uid`, `gid` and `mode` are not supported, they will be ignored"))
    };
    kinds.into_iter().filter_map(|(kind, there)| heeded(kind, there)).collect()
}

/// Secrets and configs that others keep: hako's store has both, as files in the container's memory.
pub(super) fn kept(project: &Project, node: &Node) -> Result<Vec<SecretFile>, String> {
    let mut found = Vec::new();
    for (kind, directory, there) in [("secrets", "/run/secrets/", &project.secrets), ("configs", "/", &project.configs)]
    {
        let external = |grant: &&Node| there.get(grant.text("source")).is_some_and(is_external);
        for grant in node.list(kind).iter().filter(external) {
            let number = |key: &str| match grant.text(key) {
                "" => Ok(0),
                text => {
                    text.parse().map_err(|_| format!("{kind}.{}.{key}: {text:?} is no number", grant.text("source")))
                }
            };
            found.push(SecretFile {
                source: there
                    .get(grant.text("source"))
                    .map(|stored| stored.text("name"))
                    .unwrap_or_default()
                    .to_owned(),
                target: grant_target(grant, directory),
                uid: number("uid")?,
                gid: number("gid")?,
                mode: u32::from_str_radix(grant.text("mode"), 8).unwrap_or(0),
            });
        }
    }
    Ok(found)
}

/// Where a secret or config appears.
pub(crate) fn grant_target(grant: &Node, directory: &str) -> String {
    match grant.text("target") {
        "" => format!("{directory}{}", grant.text("source")),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("{directory}{relative}"),
    }
}
