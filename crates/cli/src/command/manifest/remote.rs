//! Registries as `manifest` uses them: what is there under a name, and a list pushed with what it needs.

use std::collections::BTreeMap;

use hako_model::digest::Digest;
use hako_model::image::{Descriptor, ImageConfig, Manifest, ManifestOrIndex};
use hako_model::platform::Platform;
use hako_model::reference::{DEFAULT_TAG, Reference};
use hako_registry::{Access, Begun, Client, Document, Repository, Settings};

use super::document::{Entry, Pointer, index};
use crate::command::image::pull::credential;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

/// The way to registries.
pub(super) struct Registry<'a> {
    session: &'a Session,
    insecure: bool,
}

/// What a registry has under a name.
pub(super) enum Found {
    /// An image.
    Image(Box<Entry>),
    /// A list of them.
    List(Vec<Entry>),
}

fn local(error: impl std::fmt::Display) -> Failure {
    Failure::local(error.to_string())
}

impl<'a> Registry<'a> {
    /// With the person's credentials; `insecure` allows plain http and unknown certificates.
    pub(super) fn open(session: &'a Session, insecure: bool) -> Self {
        Self { session, insecure }
    }

    fn repository(&self, reference: &Reference, access: &Access) -> Result<Repository, Failure> {
        let insecure = if self.insecure { vec![reference.domain().to_owned()] } else { Vec::new() };
        let client = Client::new(Settings { insecure, ..Settings::default() }).map_err(local)?;
        let credential = credential(self.session, reference)?;
        client.repository(reference, credential.as_ref(), access).map_err(local)
    }

    /// What there is under a name.
    pub(super) async fn find(&self, reference: &Reference) -> Result<Found, Failure> {
        let repository = self.repository(reference, &Access::Pull)?;
        let asked = match reference.digest() {
            Some(digest) => repository.manifest(digest).await,
            None => repository.tagged(reference.tag().unwrap_or(DEFAULT_TAG)).await,
        };
        let document = asked.map_err(|error| match error.is_not_found() {
            true => Failure::local(format!("no such manifest: {}", reference.familiar())),
            false => Failure::local(format!("no manifest for {}: {error}", reference.familiar())),
        })?;
        match document.parse().map_err(local)? {
            ManifestOrIndex::Manifest(manifest) => {
                let platform = platform(&repository, &manifest).await?;
                Ok(Found::Image(Box::new(entry(reference, &document, platform)?)))
            }
            ManifestOrIndex::Index(index) => {
                let mut entries = Vec::new();
                for member in &index.manifests {
                    let document = repository.manifest(&member.digest).await.map_err(local)?;
                    let name = reference.clone().with_digest(member.digest.clone());
                    entries.push(entry(&name, &document, member.platform.clone())?);
                }
                Ok(Found::List(entries))
            }
        }
    }

    /// The image under a name; a list is refused.
    pub(super) async fn image(&self, reference: &Reference) -> Result<Entry, Failure> {
        match self.find(reference).await? {
            Found::Image(entry) => Ok(*entry),
            Found::List(_) => Err(Failure::local(format!("{reference} is a manifest list"))),
        }
    }

    /// Pushes a list; what it lists is taken over from other repositories of the same registry.
    pub(super) async fn push(&self, list: &Reference, entries: &[Entry]) -> Result<Digest, Failure> {
        let mut foreign: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            let source = Reference::parse(&entry.reference).map_err(local)?;
            if source.domain() != list.domain() {
                return Err(Failure::local(format!(
                    "cannot use source images from a different registry than the target image: {} != {}",
                    source.domain(),
                    list.domain()
                )));
            }
            if source.path() != list.path() {
                foreign.entry(source.path().to_owned()).or_default().push(entry);
            }
        }
        let repository = self.repository(list, &Access::Push { sources: foreign.keys().cloned().collect() })?;
        for (source, entries) in foreign {
            for entry in entries {
                take_over(&repository, list, &source, entry).await?;
            }
        }
        let written = index(entries)?;
        let tag = list.tag().unwrap_or(DEFAULT_TAG);
        repository.put_manifest(tag, written.media_type, written.text.as_bytes()).await.map_err(local)
    }
}

fn entry(reference: &Reference, document: &Document, platform: Option<Platform>) -> Result<Entry, Failure> {
    let descriptor = document.descriptor();
    let (media_type, digest, size) = (descriptor.media_type, descriptor.digest, descriptor.size);
    Entry::new(reference.to_string(), Pointer { media_type, digest, size, platform }, &document.bytes)
}

/// The platform an image's configuration names; what is no image has none.
async fn platform(repository: &Repository, manifest: &Manifest) -> Result<Option<Platform>, Failure> {
    let bytes = repository.small_blob(&manifest.config).await.map_err(local)?;
    Ok(ImageConfig::parse(&bytes).ok().map(|config| config.platform()))
}

/// Lets the registry have an image of another of its repositories in this one.
async fn take_over(repository: &Repository, list: &Reference, source: &str, entry: &Entry) -> Result<(), Failure> {
    let bytes = entry.bytes()?;
    let kind = &entry.descriptor.media_type;
    let parsed = ManifestOrIndex::parse(&bytes, kind).map_err(local)?;
    let blobs: Vec<Descriptor> = match parsed {
        ManifestOrIndex::Manifest(manifest) => std::iter::once(manifest.config).chain(manifest.layers).collect(),
        ManifestOrIndex::Index(_) => return Err(Failure::local(format!("{} is a manifest list", entry.reference))),
    };
    for blob in blobs {
        let begun = repository.begin(&blob.digest, Some(source)).await.map_err(local)?;
        if matches!(begun, Begun::Open(_)) && !repository.has_blob(&blob.digest).await.map_err(local)? {
            return Err(Failure::local(format!("error mounting {source}@{} to {}", blob.digest, list.name())));
        }
    }
    let digest = repository.put_manifest(entry.descriptor.digest.as_str(), kind, &bytes).await.map_err(local)?;
    output::line(format!("Pushed ref {}@{digest} with digest: {digest}", list.name()))
}
