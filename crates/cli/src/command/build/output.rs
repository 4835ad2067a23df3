//! `--output`: where what was built goes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use hako_api::query;
use hako_client::ByteStream;
use hako_model::reference::Reference;

use super::Built;
use crate::archive::unpack;
use crate::command::image::pull::Where;
use crate::command::image::push::upload;
use crate::failure::{Failure, path_failure};
use crate::scratch::Folder;
use crate::session::Session;

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// An image in the daemon.
    Image,
    /// Files in a directory; whether each platform has a folder of its own in it, if that is said.
    Local(String, Option<bool>),
    /// Files in a tar; `-` is standard output.
    Tar(String),
    /// An image in its registries.
    Registry,
    /// Nothing but what is remembered of it.
    Cache,
    /// An image as an archive docker and OCI tools load.
    Archive(String),
}

impl Output {
    pub(super) fn needs_image(&self) -> bool {
        matches!(self, Self::Image | Self::Registry | Self::Archive(_))
    }
}

/// Reads the flags; without any, the result is an image.
pub(super) fn parse(flags: &[&str], load: bool, push: bool) -> Result<Vec<Output>, Failure> {
    let mut outputs = flags.iter().map(|flag| one(flag)).collect::<Result<Vec<_>, _>>()?;
    if push && !outputs.contains(&Output::Registry) {
        outputs.push(Output::Registry);
    }
    if outputs.is_empty() || load {
        outputs.push(Output::Image);
    }
    let mixed = outputs.iter().any(Output::needs_image) && !outputs.iter().all(Output::needs_image);
    if mixed || outputs.len() > 2 {
        return Err(Failure::local("several outputs of different kinds come with a later version"));
    }
    Ok(outputs)
}

fn one(flag: &str) -> Result<Output, Failure> {
    if !flag.contains('=') {
        return Ok(if flag == "-" { Output::Tar("-".to_owned()) } else { Output::Local(flag.to_owned(), None) });
    }
    let (mut kind, mut dest, mut push, mut split) = ("", "", false, None);
    for field in flag.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match key {
            "type" => kind = value,
            "dest" => dest = value,
            "push" => push = value == "true",
            "platform-split" => split = Some(value),
            other => return Err(Failure::local(format!("output option {other} comes with a later version"))),
        }
    }
    let needed = || match dest {
        "" => Err(Failure::local(format!("output {kind} needs dest=PATH"))),
        dest => Ok(dest.to_owned()),
    };
    let split = split.map(truth).transpose()?;
    if split.is_some() && kind != "local" {
        return Err(Failure::local(format!("output option platform-split is for type=local, not for type={kind}")));
    }
    match kind {
        "local" => needed().map(|dest| Output::Local(dest, split)),
        "tar" => Ok(Output::Tar(if dest.is_empty() { "-".to_owned() } else { dest.to_owned() })),
        "registry" => Ok(Output::Registry),
        "image" if push => Ok(Output::Registry),
        "cacheonly" => Ok(Output::Cache),
        "docker" | "image" if dest.is_empty() => Ok(Output::Image),
        "docker" => Ok(Output::Archive(dest.to_owned())),
        "oci" => Ok(Output::Archive(if dest.is_empty() { "-".to_owned() } else { dest.to_owned() })),
        other => Err(Failure::local(format!("unknown output type {other:?}"))),
    }
}

fn truth(text: &str) -> Result<bool, Failure> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => {
            let why = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
            Err(Failure::local(format!("failed to solve: non-bool value for platform-split: {text}: {why}")))
        }
    }
}

/// Brings the result to where it is wanted. `platform` is the one it is for, if that is only one.
pub(super) async fn deliver(
    session: &Session,
    outputs: &[Output],
    result: &Built,
    tags: &[String],
    platform: &str,
) -> Result<(), Failure> {
    for output in outputs {
        match (output, result) {
            (Output::Image | Output::Cache, _) => {}
            (Output::Registry, _) => {
                for tag in tags {
                    let name = Reference::parse_tagged(tag).map_err(|error| Failure::local(error.to_string()))?;
                    upload(session, &name, String::new(), Where::Nowhere).await?;
                }
            }
            (Output::Archive(path), Built::Image(id, index)) => {
                // Its names are in the archive, where there are any; an id alone may be in several indexes.
                let named = index.is_some() && !tags.is_empty();
                let names = if named { tags.to_vec() } else { vec![id.clone()] };
                let options = query::Save { names, ..query::Save::default() };
                write(session.client()?.images().save(&options).await?, path).await?;
            }
            (Output::Local(path, split), Built::Layer(layer)) => {
                let own = if *split == Some(true) { folder(path, platform) } else { path.clone() };
                local(session.client()?.builds().files(layer.as_deref()).await?, &own).await?;
            }
            (Output::Tar(path), Built::Layer(layer)) => {
                write(session.client()?.builds().files(layer.as_deref()).await?, path).await?;
            }
            (Output::Local(path, split), Built::Layers(layers)) => {
                let mut placed = BTreeMap::new();
                for (platform, layer) in layers {
                    let files = session.client()?.builds().files(layer.as_deref()).await?;
                    if *split != Some(false) {
                        local(files, &folder(path, platform)).await?;
                        continue;
                    }
                    let own = Folder::within(Path::new(path))?;
                    local(files, &own.path().display().to_string()).await?;
                    merge(own.path(), Path::new(path), platform, Path::new(""), &mut placed)?;
                }
            }
            (Output::Tar(path), Built::Layers(layers)) => {
                let folders: Vec<_> =
                    layers.iter().map(|(platform, layer)| (platform.replace('/', "_"), layer.clone())).collect();
                write(session.client()?.builds().files_of_all(&folders).await?, path).await?;
            }
            _ => return Err(Failure::local("the daemon made something else than what was asked for")),
        }
    }
    Ok(())
}

/// A platform's own folder.
fn folder(path: &str, platform: &str) -> String {
    Path::new(path).join(platform.replace('/', "_")).display().to_string()
}

/// Moves what lies in one directory into another; what another platform put there stays, and only directories may be in both.
fn merge(
    from: &Path,
    to: &Path,
    platform: &str,
    below: &Path,
    placed: &mut BTreeMap<PathBuf, String>,
) -> Result<(), Failure> {
    let failed = |path: &Path, error: &io::Error| path_failure("write", &path.display().to_string(), error);
    let entries = std::fs::read_dir(from.join(below)).map_err(|error| failed(from, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failed(from, &error))?;
        let name = below.join(entry.file_name());
        let (source, target) = (entry.path(), to.join(&name));
        let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|about| about.is_dir());
        if is_folder(&source) && is_folder(&target) {
            merge(from, to, platform, &name, placed)?;
            continue;
        }
        if let Some(other) = placed.get(&name) {
            let why = format!("cannot overwrite {} from {other} with {platform}", name.display());
            return Err(Failure::local(format!("failed to solve: {why} when split option is disabled")));
        }
        note(&source, &name, platform, placed);
        std::fs::rename(&source, &target).map_err(|error| failed(&target, &error))?;
    }
    Ok(())
}

/// Remembers the files that a platform brings.
fn note(source: &Path, name: &Path, platform: &str, placed: &mut BTreeMap<PathBuf, String>) {
    match source.symlink_metadata() {
        Ok(about) if about.is_dir() => {
            for entry in std::fs::read_dir(source).into_iter().flatten().flatten() {
                note(&entry.path(), &name.join(entry.file_name()), platform, placed);
            }
        }
        _ => _ = placed.insert(name.to_owned(), platform.to_owned()),
    }
}

async fn write(mut bytes: ByteStream, path: &str) -> Result<(), Failure> {
    if path == "-" && io::stdout().is_terminal() {
        return Err(Failure::local("dest file is required for the exporter: refusing to write to console"));
    }
    let failed = |error: io::Error| path_failure("write", path, &error);
    let mut out: Box<dyn Write> = match path {
        "-" => Box::new(io::stdout().lock()),
        path => Box::new(File::create(path).map_err(failed)?),
    };
    while let Some(piece) = bytes.next().await {
        out.write_all(&piece?).map_err(failed)?;
    }
    out.flush().map_err(failed)
}

/// Unpacks below a directory, with every name resolved inside it.
async fn local(mut bytes: ByteStream, path: &str) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|error| path_failure("mkdir", path, &error))?;
    let (read, write) = io::pipe().map_err(|error| path_failure("open", "pipe", &error))?;
    let directory = Path::new(path).to_owned();
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut reader = io::BufReader::with_capacity(256 << 10, read);
        unpack::unpack(&mut reader, &directory, None)
    });
    let feeding = async {
        let mut write = tokio::fs::File::from_std(File::from(std::os::fd::OwnedFd::from(write)));
        while let Some(piece) = bytes.next().await {
            tokio::io::AsyncWriteExt::write_all(&mut write, &piece?)
                .await
                .map_err(|error| path_failure("write", path, &error))?;
        }
        tokio::io::AsyncWriteExt::flush(&mut write).await.map_err(|error| path_failure("write", path, &error))
    };
    let fed: Result<(), Failure> = feeding.await;
    let unpacked = unpacking.await.map_err(|error| Failure::local(error.to_string()))?;
    unpacked.map_err(|error| path_failure("write", path, &error))?;
    fed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_share_a_directory_but_no_file() {
        let house = tempfile::tempdir().unwrap();
        let path = |name: &str| house.path().join(name);
        for name in ["one/bin/a", "one/same/x", "two/bin/b", "two/same/y", "three/bin/a"] {
            std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            std::fs::write(path(name), name).unwrap();
        }
        std::fs::create_dir(path("out")).unwrap();
        let mut placed = BTreeMap::new();
        let mut merged =
            |from: &str| merge(&path(from), &path("out"), from, Path::new(""), &mut placed).map_err(|e| e.to_string());
        assert_eq!(merged("one"), Ok(()));
        assert_eq!(merged("two"), Ok(()));
        assert!(["out/bin/a", "out/bin/b", "out/same/x", "out/same/y"].iter().all(|name| path(name).is_file()));
        let said = merged("three").unwrap_err();
        assert!(said.contains("cannot overwrite bin/a from one with three when split option is disabled"), "{said}");
    }

    #[test]
    fn outputs_are_read() {
        let check = |flags: &[&str]| parse(flags, false, false).map_err(|error| error.to_string());
        assert_eq!(check(&[]), Ok(vec![Output::Image]));
        assert_eq!(check(&["out"]), Ok(vec![Output::Local("out".into(), None)]));
        assert_eq!(check(&["-"]), Ok(vec![Output::Tar("-".into())]));
        assert_eq!(check(&["type=local,dest=d"]), Ok(vec![Output::Local("d".into(), None)]));
        assert_eq!(check(&["type=oci,dest=i.tar"]), Ok(vec![Output::Archive("i.tar".into())]));
        assert_eq!(
            check(&["type=local,dest=d,platform-split=false"]),
            Ok(vec![Output::Local("d".into(), Some(false))])
        );
        assert!(check(&["type=local,dest=d,platform-split=x"]).unwrap_err().contains("non-bool value"));
        assert!(check(&["type=tar,dest=d,platform-split=true"]).is_err());
        assert!(check(&["type=local"]).unwrap_err().contains("needs dest"));
        assert_eq!(check(&["type=registry"]), Ok(vec![Output::Registry]));
        assert_eq!(check(&["type=image,push=true"]), Ok(vec![Output::Registry]));
        assert!(check(&["type=x"]).is_err() && check(&["type=local,dest=d", "type=registry"]).is_err());
    }
}
