//! Images that come as several: for several platforms, or with what is attested of them. A name leads to one of them, the
//! host's if there is one, and to the index in which it stands beside the others.

use hako_model::annotation::{Annotations, Place};
use hako_model::digest::Digest;
use hako_model::image::media::{self, Compression};
use hako_model::image::{DOCUMENT_LIMIT, Descriptor, ImageConfig, Index, Manifest, ManifestOrIndex};
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_store::{Bundle, Image, NewImage, Store};
use serde_json::json;

use super::answer::{Part, PartKind};
use super::list::signed;
use super::resolve::{key, new_name};
use super::{Images, failure};
use crate::{Error, Result};

/// What a descriptor in an index is about, in BuildKit's words.
const KIND: &str = "vnd.docker.reference.type";
const ABOUT: &str = "vnd.docker.reference.digest";
const ATTESTATION: &str = "attestation-manifest";
const PREDICATE: &str = "in-toto.io/predicate-type";
const STATEMENT: &str = "application/vnd.in-toto+json";

/// An image to be put into an index.
#[derive(Debug, Default)]
pub(crate) struct Member {
    /// Its configuration's exact bytes.
    pub(crate) config: Vec<u8>,
    /// What is attested of it.
    pub(crate) statements: Vec<Predicate>,
}

impl Member {
    fn platform(&self) -> Result<Platform> {
        let config = ImageConfig::parse(&self.config).map_err(|error| Error::io("read image", error))?;
        Ok(config.platform())
    }
}

/// Images that are made at once.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// The images.
    pub(crate) members: Vec<Member>,
    /// Their names.
    pub(crate) tags: Vec<String>,
    /// What stands in their manifests and index besides.
    pub(crate) annotations: Annotations,
}

/// Something that is attested of an image.
#[derive(Debug, Clone)]
pub(crate) struct Predicate {
    /// Its type, an address.
    pub(crate) kind: &'static str,
    /// What it says.
    pub(crate) content: serde_json::Value,
}

impl Images {
    /// The image of an image's index that serves a platform best.
    pub(super) fn member_for(&self, image: &Image, wanted: &Platform) -> Option<Image> {
        let images = self.room.store.images();
        let members = image.bundle.iter().flat_map(|bundle| &bundle.images).filter_map(|id| images.get(id).ok());
        let ranked = members.filter_map(|member| Some((wanted.rank(&member.config.platform())?, member)));
        let (_, best) = ranked.min_by_key(|(rank, _)| *rank)?;
        Some(Image { bundle: image.bundle.clone(), ..best })
    }

    /// What is in an image's index; nothing if it has none.
    pub(super) fn parts(&self, image: &Image) -> Vec<Part> {
        let Some(bundle) = &image.bundle else { return Vec::new() };
        let listed = read_index(&self.room.store, bundle).map(|index| index.manifests).unwrap_or_default();
        listed.into_iter().map(|descriptor| self.part(bundle, descriptor)).collect()
    }

    fn part(&self, bundle: &Bundle, descriptor: Descriptor) -> Part {
        let store = &self.room.store;
        let manifest = read_manifest(store, &descriptor);
        let blobs = || manifest.iter().flat_map(|it| it.layers.iter().chain([&it.config]));
        let here = |blob: &&Descriptor| store.blobs().contains(&blob.digest);
        let content: u64 = blobs().filter(here).map(|blob| blob.size).sum();
        if is_attestation(&descriptor) {
            let about = descriptor.annotations.get(ABOUT).cloned().unwrap_or_default();
            let available = manifest.is_some();
            return Part { descriptor, kind: PartKind::Attestation(about), available, content: signed(content) };
        }
        let id = manifest.map(|manifest| manifest.config.digest);
        let image = id.and_then(|id| store.images().get(&id).ok()).or_else(|| {
            // Its manifest may be another than the one it came with.
            let wanted = descriptor.platform.as_ref()?;
            let all = bundle.images.iter().filter_map(|id| store.images().get(id).ok());
            all.into_iter()
                .find(|image| image.manifest.as_ref().is_some_and(|own| own.digest == descriptor.digest))
                .filter(|image| wanted.accepts(&image.config.platform()))
        });
        let platform = image.as_ref().map(|image| image.config.platform()).or_else(|| descriptor.platform.clone());
        let users = image.iter().flat_map(|image| self.room.around.users(&image.id));
        let kind = PartKind::Image {
            containers: users.map(|user| user.container).collect(),
            unpacked: signed(image.as_ref().map_or(0, |image| image.size)),
            platform: platform.unwrap_or_default(),
            id: image.as_ref().map(|image| image.id.clone()),
        };
        Part { descriptor, kind, available: image.is_some(), content: signed(content) }
    }

    /// Makes images that are all in one index; gives the id of the one that names lead to, and the index.
    pub(crate) async fn add_bundle(&self, series: Series) -> Result<(Digest, Descriptor)> {
        self.blocking(move |images| images.run_add_bundle(&series)).await
    }

    fn run_add_bundle(&self, series: &Series) -> Result<(Digest, Descriptor)> {
        let store = &self.room.store;
        let _hold = store.hold();
        let names = names(&series.tags)?;
        let (mut ids, mut blobs, mut listed, mut attested) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let platforms = series.members.iter().map(Member::platform).collect::<Result<Vec<_>>>()?;
        series.annotations.check_index(&platforms).map_err(Error::invalid)?;
        for member in &series.members {
            let id = self.run_add_built(NewImage { config: member.config.clone(), ..NewImage::default() }, &[])?;
            let manifest = packed(store, &id, member, &series.annotations)?;
            if !member.statements.is_empty() {
                attested.push(attestation(store, &manifest, &member.statements, &names, &mut blobs)?);
            }
            blobs.push(manifest.digest.clone());
            listed.push(manifest);
            ids.push(id);
        }
        listed.extend(attested);
        let annotations = series.annotations.of_index(Place::Index);
        let index = Index { annotations, ..Index::new(media::OCI_INDEX, listed) };
        let mut index = put(store, media::OCI_INDEX, &index)?;
        index.annotations = series.annotations.of_index(Place::IndexDescriptor);
        let bundle = Bundle { index: index.clone(), images: ids.clone(), blobs };
        let id = self.first_of(&ids)?;
        self.name_bundle(&id, &names, &bundle)?;
        Ok((id, index))
    }

    /// Makes an image that is in no index, with a manifest that says more than others; gives its id, and the manifest.
    pub(crate) async fn add_annotated(&self, series: Series) -> Result<(Digest, Descriptor)> {
        self.blocking(move |images| images.run_add_annotated(&series)).await
    }

    fn run_add_annotated(&self, series: &Series) -> Result<(Digest, Descriptor)> {
        let store = &self.room.store;
        let _hold = store.hold();
        series.annotations.check_alone().map_err(Error::invalid)?;
        let names = names(&series.tags)?;
        let member = series.members.first().ok_or_else(|| Error::invalid("a manifest needs an image"))?;
        let id = self.run_add_built(NewImage { config: member.config.clone(), ..NewImage::default() }, &[])?;
        let manifest = packed(store, &id, member, &series.annotations)?;
        let bundle = Bundle { index: manifest.clone(), images: vec![id.clone()], blobs: Vec::new() };
        self.name_bundle(&id, &names, &bundle)?;
        Ok((id, manifest))
    }

    /// Gives an image names that lead to a bundle; without one, the bundle is kept as long as the image.
    fn name_bundle(&self, id: &Digest, names: &[Reference], bundle: &Bundle) -> Result<()> {
        let (images, failed) = (self.room.store.images(), |error: hako_store::Error| failure::of_store(&error));
        for name in names {
            images.tag_bundle(&key(name), id, Some(bundle.clone())).map_err(failed)?;
            self.tell_of("tag", id, &name.familiar());
        }
        match names.is_empty() {
            true => images.keep_bundle(id, bundle.clone()).map_err(failed),
            false => Ok(()),
        }
    }

    /// The image that names lead to: the host's, or the first one.
    fn first_of(&self, ids: &[Digest]) -> Result<Digest> {
        let images = self.room.store.images();
        let host = Platform::host();
        let suits = |id: &&Digest| images.get(id).ok().and_then(|image| host.rank(&image.config.platform()));
        let best = ids.iter().filter_map(|id| Some((suits(&id)?, id))).min_by_key(|(rank, _)| *rank);
        let first = best.map(|(_, id)| id).or(ids.first()).cloned();
        first.ok_or_else(|| Error::invalid("an index needs an image"))
    }
}

fn names(tags: &[String]) -> Result<Vec<Reference>> {
    let names = tags.iter().map(|tag| new_name(tag, "")).collect::<Result<Vec<_>>>()?;
    Ok(names.into_iter().flatten().collect())
}

/// The index of a bundle.
pub(super) fn read_index(store: &Store, bundle: &Bundle) -> Option<Index> {
    let bytes = store.blobs().read(&bundle.index.digest, DOCUMENT_LIMIT).ok()?;
    match ManifestOrIndex::parse(&bytes, &bundle.index.media_type) {
        Ok(ManifestOrIndex::Index(index)) => Some(index),
        _ => None,
    }
}

/// A manifest that is here.
pub(super) fn read_manifest(store: &Store, descriptor: &Descriptor) -> Option<Manifest> {
    let bytes = store.blobs().read(&descriptor.digest, DOCUMENT_LIMIT).ok()?;
    match ManifestOrIndex::parse(&bytes, &descriptor.media_type) {
        Ok(ManifestOrIndex::Manifest(manifest)) => Some(manifest),
        _ => None,
    }
}

/// The bundle of an image if all that its index names is here: one that was pulled for some platforms only is not.
pub(super) fn whole(store: &Store, image: &Image) -> Option<(Bundle, Index)> {
    let bundle = image.bundle.clone()?;
    let index = read_index(store, &bundle)?;
    let is_here = |descriptor: &Descriptor| {
        read_manifest(store, descriptor).is_some_and(|manifest| {
            let blobs = manifest.layers.iter().chain([&manifest.config]);
            blobs.into_iter().all(|blob| store.blobs().contains(&blob.digest))
        })
    };
    index.manifests.iter().all(is_here).then_some((bundle, index))
}

/// Whether a manifest in an index says what is attested of another one.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.get(KIND).is_some_and(|kind| kind == ATTESTATION)
}

/// Names an image that was pulled beside one that the name leads to already.
pub(super) fn stand_beside(
    store: &Store,
    key: &str,
    image: &Image,
    index: (Descriptor, &[u8]),
) -> hako_store::Result<()> {
    let images = store.images();
    let (index, bytes) = index;
    let platform = image.config.platform();
    let Ok(known) = images.by_reference(key) else { return images.tag(key, &image.id).map(drop) };
    let has = |bundle: &Bundle| bundle.index.digest == index.digest && bundle.images.contains(&image.id);
    if known.bundle.as_ref().is_some_and(has) || known.id == image.id && known.bundle.is_none() {
        return Ok(());
    }
    if known.config.platform() == platform || !media::is_index(&index.media_type) {
        return images.tag(key, &image.id).map(drop);
    }
    let mut all = known.bundle.map(|bundle| bundle.images).unwrap_or_else(|| vec![known.id.clone()]);
    all.retain(|id| images.get(id).is_ok_and(|other| other.config.platform() != platform));
    all.push(image.id.clone());
    store.blobs().put(bytes)?;
    let first = if Platform::host().accepts(&platform) { image.id.clone() } else { known.id };
    images.tag_bundle(key, &first, Some(Bundle { index, images: all, blobs: Vec::new() })).map(drop)
}

/// A document as a blob.
fn put(store: &Store, media_type: &str, document: &impl serde::Serialize) -> Result<Descriptor> {
    let bytes = serde_json::to_vec_pretty(document).map_err(|error| Error::io("write manifest", error))?;
    let digest = store.blobs().put(&bytes).map_err(|error| failure::of_store(&error))?;
    Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
}

/// The manifest of an image, with its layers packed as registries want them.
fn packed(store: &Store, id: &Digest, member: &Member, annotations: &Annotations) -> Result<Descriptor> {
    let failed = |error: hako_store::Error| failure::of_store(&error);
    let image = store.images().get(id).map_err(failed)?;
    let mut layers = Vec::new();
    for chain_id in &image.layers {
        let (blob, _) = store.layers().compressed(chain_id, Compression::Gzip).map_err(failed)?;
        let packing = match blob.media_type.as_str() {
            zstd if zstd.ends_with("zstd") => Compression::Zstd,
            gzip if gzip.ends_with("gzip") => Compression::Gzip,
            _ => Compression::None,
        };
        layers.push(Descriptor::new(packing.oci_layer(), blob.digest, blob.size));
    }
    let config = Descriptor::new(media::OCI_CONFIG, id.clone(), member.config.len() as u64);
    let platform = image.config.platform();
    let plain = Manifest::new(media::OCI_MANIFEST, config, layers);
    let own = annotations.of_manifest(Place::Manifest, &platform);
    if own.is_empty() {
        // What is annotated belongs to the names it is made for, and not to the image.
        let bytes = serde_json::to_vec_pretty(&plain).map_err(|error| Error::io("write manifest", error))?;
        let own = Some((bytes, media::OCI_MANIFEST.to_owned()));
        store.images().add(NewImage { config: member.config.clone(), manifest: own, parent: None }).map_err(failed)?;
    }
    let mut manifest = put(store, media::OCI_MANIFEST, &Manifest { annotations: own, ..plain })?;
    manifest.annotations = annotations.of_manifest(Place::ManifestDescriptor, &platform);
    manifest.platform = Some(platform);
    Ok(manifest)
}

/// The manifest that says what is attested of another one.
fn attestation(
    store: &Store,
    about: &Descriptor,
    statements: &[Predicate],
    names: &[Reference],
    blobs: &mut Vec<Digest>,
) -> Result<Descriptor> {
    let platform = about.platform.clone().unwrap_or_default();
    let subjects: Vec<_> = subjects(names, &platform)
        .into_iter()
        .map(|name| json!({"name": name, "digest": {about.digest.algorithm().name(): about.digest.hex()}}))
        .collect();
    let mut layers = Vec::new();
    for statement in statements {
        let mut layer = put(
            store,
            STATEMENT,
            &json!({
                "_type": "https://in-toto.io/Statement/v0.1",
                "predicateType": statement.kind,
                "subject": subjects,
                "predicate": statement.content,
            }),
        )?;
        layer.annotations.insert(PREDICATE.to_owned(), statement.kind.to_owned());
        layers.push(layer);
    }
    let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = put(store, media::OCI_CONFIG, &config)?;
    blobs.push(config.digest.clone());
    blobs.extend(layers.iter().map(|layer| layer.digest.clone()));
    let mut manifest = put(store, media::OCI_MANIFEST, &Manifest::new(media::OCI_MANIFEST, config, layers))?;
    blobs.push(manifest.digest.clone());
    manifest.annotations.insert(ABOUT.to_owned(), about.digest.to_string());
    manifest.annotations.insert(KIND.to_owned(), ATTESTATION.to_owned());
    let unknown = || "unknown".to_owned();
    manifest.platform = Some(Platform { architecture: unknown(), os: unknown(), ..Platform::default() });
    Ok(manifest)
}

/// What a statement is about: every name of the image as a package address, as BuildKit writes it.
fn subjects(names: &[Reference], platform: &Platform) -> Vec<String> {
    let platform = platform.to_string().replace('/', "%2F");
    let address = |name: &Reference| {
        let tag = name.tag().unwrap_or(hako_model::reference::DEFAULT_TAG);
        format!("pkg:docker/{}@{tag}?platform={platform}", name.familiar_name())
    };
    if names.is_empty() { vec!["_".to_owned()] } else { names.iter().map(address).collect() }
}
