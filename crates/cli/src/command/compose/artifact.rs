//! Artifacts of projects in registries: sent as Docker Compose sends them, fetched into the cache it uses, too. What a
//! registry gives is hostile: how much there may be of it is bounded, and only plain names become files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_compose::artifact::{CONFIG, FILE, PROJECT, Part, Remote, Role, SCHEME, VARIABLES, files};
use hako_compose::repository::is_repository;
use hako_model::digest::Digest;
use hako_model::image::{Descriptor, Manifest, ManifestOrIndex, media};
use hako_model::reference::{DEFAULT_TAG, Reference};
use hako_registry::credentials::ConfigFile;
use hako_registry::{Access, Begun, Client, Document, Repository, Settings};
use rustix::fs::{MemfdFlags, memfd_create};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::repository;
use crate::failure::Failure;
use crate::render::clock;
use crate::session::Session;

/// The most parts an artifact may have.
const PARTS: usize = 256;
/// The most bytes all parts together may have.
const BYTES: u64 = 16 << 20;
/// The type of a configuration that is nothing, in OCI 1.1.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// That configuration.
const NOTHING: &[u8] = b"{}";
/// Which part of the project a layer is.
const NOTES: [&str; 4] = [
    "com.docker.compose.version",
    "com.docker.compose.file",
    "com.docker.compose.envfile",
    "com.docker.compose.extends",
];

/// The form of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// OCI 1.0: known by its configuration.
    Old,
    /// OCI 1.1: says what it is.
    New,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pointer {
    media_type: &'static str,
    digest: Digest,
    size: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
    data: String,
}

impl Pointer {
    fn new(media_type: &'static str, bytes: &[u8]) -> Self {
        let digest = Digest::from_sha256(Sha256::digest(bytes).into());
        let data = STANDARD.encode(bytes);
        Self { media_type, digest, size: bytes.len(), annotations: BTreeMap::new(), data }
    }

    fn of(part: &Part) -> Self {
        let [version, file, variables, extends] = NOTES;
        let (media_type, name) = match part.role {
            Role::File | Role::Extended => (FILE, file),
            Role::Variables => (VARIABLES, variables),
        };
        let mut pointer = Self::new(media_type, &part.bytes);
        pointer.annotations.insert(version, super::COMPOSE_VERSION.to_owned());
        pointer.annotations.insert(name, part.name.clone());
        if part.role == Role::Extended {
            pointer.annotations.insert(extends, "true".to_owned());
        }
        pointer
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'w> {
    schema_version: u32,
    media_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'static str>,
    config: Pointer,
    layers: &'w [Pointer],
    annotations: BTreeMap<&'static str, String>,
}

fn manifest(layers: &[Pointer], form: Form) -> Result<Vec<u8>, Failure> {
    let kind = if form == Form::New { EMPTY } else { CONFIG };
    let whole = Whole {
        schema_version: 2,
        media_type: media::OCI_MANIFEST,
        artifact_type: (form == Form::New).then_some(PROJECT),
        config: Pointer::new(kind, NOTHING),
        layers,
        annotations: BTreeMap::from([("org.opencontainers.image.created", clock::rfc3339_local(clock::now()))]),
    };
    serde_json::to_vec(&whole).map_err(local)
}

fn local(error: impl std::fmt::Display) -> Failure {
    Failure::local(error.to_string())
}

/// Sends an artifact. Without a form the newer one is tried first, and the older where a registry does not take that.
pub(super) async fn send(
    session: &Session,
    name: &Reference,
    parts: &[Part],
    form: Option<Form>,
) -> Result<Digest, Failure> {
    let client = Client::new(Settings::default()).map_err(local)?;
    let credential = crate::command::image::pull::credential(session, name)?;
    let access = Access::Push { sources: Vec::new() };
    let repository = client.repository(name, credential.as_ref(), &access).map_err(local)?;
    let layers: Vec<Pointer> = parts.iter().map(Pointer::of).collect();
    put_blob(&repository, &Pointer::new(EMPTY, NOTHING), NOTHING).await?;
    for (layer, part) in layers.iter().zip(parts) {
        put_blob(&repository, layer, &part.bytes).await?;
    }
    let tag = name.tag().unwrap_or(DEFAULT_TAG);
    let put = async |form| {
        let bytes = manifest(&layers, form)?;
        Ok::<_, Failure>(repository.put_manifest(tag, media::OCI_MANIFEST, &bytes).await)
    };
    let first = put(form.unwrap_or(Form::New)).await?;
    let refused = |error: &hako_registry::Error| match error.status() {
        Some(401 | 403 | 407) | None => false,
        Some(status) => (400..500).contains(&status),
    };
    match first {
        Err(error) if form.is_none() && refused(&error) => put(Form::Old).await?.map_err(local),
        outcome => outcome.map_err(local),
    }
}

async fn put_blob(repository: &Repository, pointer: &Pointer, bytes: &[u8]) -> Result<(), Failure> {
    if repository.has_blob(&pointer.digest).await.map_err(local)? {
        return Ok(());
    }
    let Begun::Open(upload) = repository.begin(&pointer.digest, None).await.map_err(local)? else { return Ok(()) };
    let memory = memfd_create("hako-publish", MemfdFlags::CLOEXEC).map_err(local)?;
    let mut file = fs::File::from(memory);
    file.write_all(bytes).map_err(local)?;
    let blob = Descriptor::new(pointer.media_type, pointer.digest.clone(), bytes.len() as u64);
    repository.send(upload, &blob, Arc::new(file), Arc::new(|_| {})).await.map_err(local)
}

/// The way to artifacts and repositories, with the credentials of whoever runs this. Each is asked for once.
pub(super) fn remote(session: &Session) -> Remote {
    let credentials = session.directory().join("config.json");
    let known: Mutex<BTreeMap<String, PathBuf>> = Mutex::default();
    Remote::new(move |address| {
        let mut known = known.lock().map_err(|error| error.to_string())?;
        if let Some(path) = known.get(address) {
            return Ok(path.clone());
        }
        let path = match is_repository(address) {
            true => allowed("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "git").and_then(|()| repository::fetch(address)),
            false => allowed("COMPOSE_EXPERIMENTAL_OCI_REMOTE", "OCI").and_then(|()| apart(&credentials, address)),
        }?;
        known.insert(address.to_owned(), path.clone());
        Ok(path)
    })
}

/// Whether the surroundings let projects be fetched in some way.
fn allowed(variable: &str, what: &str) -> Result<(), String> {
    let value = std::env::var(variable).unwrap_or_default();
    match value.as_str() {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => {
            Err(format!("{what} remote resource is disabled by {variable:?}"))
        }
        other => Err(format!("{variable} environment variable expects boolean value, not {other:?}")),
    }
}

/// Projects are loaded in one go, also where other things wait: fetching has a thread of its own.
fn apart(credentials: &Path, address: &str) -> Result<PathBuf, String> {
    let text = |error: std::io::Error| error.to_string();
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
            runtime.block_on(fetch(credentials, address))
        });
        fetching.join().map_err(|_| format!("{address}: fetching it came to a sudden end"))?
    })
}

async fn fetch(credentials: &Path, address: &str) -> Result<PathBuf, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let name = address.strip_prefix(SCHEME).unwrap_or(address);
    let name = Reference::parse(name).map_err(|error| text(&error))?.or_latest();
    let file = ConfigFile::read(credentials).map_err(|error| text(&error))?;
    let credential = file.credential(name.domain()).map_err(|error| text(&error))?;
    let client = Client::new(Settings::default()).map_err(|error| text(&error))?;
    let repository = client.repository(&name, credential.as_ref(), &Access::Pull).map_err(|error| text(&error))?;
    let shown = name.familiar();
    let failed = |error: hako_registry::Error| match error.is_not_found() {
        true => format!("failed to pull OCI resource \"{shown}\": {shown}: not found"),
        false => format!("failed to pull OCI resource \"{shown}\": {error}"),
    };
    let document = match name.digest() {
        Some(digest) => repository.manifest(digest).await,
        None => repository.tagged(name.tag().unwrap_or(DEFAULT_TAG)).await,
    };
    let document = document.map_err(failed)?;
    let manifest = project_manifest(&document, &shown)?;
    let place = cache()?.join(hex(&document.digest));
    if !place.is_dir() {
        let mut parts = Vec::new();
        for layer in &manifest.layers {
            let Some(mut part) = described(layer) else { continue };
            part.bytes = repository.small_blob(layer).await.map_err(failed)?;
            parts.push(part);
        }
        let files = files(&parts).map_err(|reason| format!("{shown} is not to be trusted: {reason}"))?;
        keep(&place, &files).map_err(|error| format!("write {}: {error}", place.display()))?;
    }
    Ok(place.join(hako_compose::artifact::MAIN))
}

/// The manifest, if it is one of a project and no larger than projects are.
fn project_manifest(document: &Document, shown: &str) -> Result<Manifest, String> {
    let parsed = document.parse().map_err(|error| error.to_string())?;
    let ManifestOrIndex::Manifest(manifest) = parsed else {
        return Err(format!("{shown} is not a compose project OCI artifact, but a list of images"));
    };
    let kind = manifest.extra.get("artifactType").and_then(serde_json::Value::as_str).unwrap_or_default();
    if kind != PROJECT && !(kind.is_empty() && manifest.config.media_type == CONFIG) {
        return Err(format!("{shown} is not a compose project OCI artifact, but {kind}"));
    }
    let bytes = manifest.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size));
    if manifest.layers.len() > PARTS || bytes > BYTES {
        return Err(format!("{shown} is not to be trusted: it has more than {PARTS} files or {} MiB", BYTES >> 20));
    }
    Ok(manifest)
}

/// What a layer is, still without its text; none for what is of no use here.
fn described(layer: &Descriptor) -> Option<Part> {
    let [_, file, variables, extends] = NOTES;
    let note = |key: &str| layer.annotations.get(key).cloned();
    let (role, name) = match layer.media_type.as_str() {
        FILE if note(extends).is_some() => (Role::Extended, note(file)),
        FILE => (Role::File, note(file)),
        VARIABLES => (Role::Variables, note(variables)),
        _ => return None,
    };
    Some(Part { role, name: name.unwrap_or_default(), bytes: Vec::new() })
}

fn hex(digest: &Digest) -> String {
    digest.as_str().split(':').next_back().unwrap_or_default().to_owned()
}

/// The cache of fetched projects, which is Docker Compose's own: a project has the same paths with both.
pub(super) fn cache() -> Result<PathBuf, String> {
    let given = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = given("XDG_CACHE_HOME").or_else(|| Some(given("HOME")?.join(".cache")));
    base.map(|base| base.join("docker-compose")).ok_or_else(|| "neither XDG_CACHE_HOME nor HOME is set".to_owned())
}

/// Writes the files of an artifact; they appear all at once.
fn keep(place: &Path, files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    let making = place.with_extension(std::process::id().to_string());
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&making)?;
    for (name, bytes) in files {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(making.join(name))?.write_all(bytes)?;
    }
    match fs::rename(&making, place) {
        // Somebody else was as fast.
        Err(_) if place.is_dir() => fs::remove_dir_all(&making),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(role: Role, name: &str) -> Part {
        Part { role, name: name.to_owned(), bytes: b"services: {}\n".to_vec() }
    }

    #[test]
    fn manifests_are_those_of_docker_compose() {
        let layers = [Pointer::of(&part(Role::File, "compose.yaml")), Pointer::of(&part(Role::Extended, "x.yaml"))];
        let text = String::from_utf8(manifest(&layers, Form::New).unwrap()).unwrap();
        let start = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.docker.compose.project","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},"layers":[{"mediaType":"application/vnd.docker.compose.file+yaml","digest":"sha256:"#;
        assert!(text.starts_with(start), "{text}");
        let notes = r#""annotations":{"com.docker.compose.extends":"true","com.docker.compose.file":"x.yaml","com.docker.compose.version":"2.40.3"},"data":"c2Vydmlj"#;
        assert!(text.contains(notes), "{text}");
        let text = String::from_utf8(manifest(&layers, Form::Old).unwrap()).unwrap();
        assert!(
            !text.contains("artifactType")
                && text.contains(r#""config":{"mediaType":"application/vnd.docker.compose.config.empty.v1+json""#),
            "{text}"
        );
    }
}
