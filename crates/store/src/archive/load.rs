//! Reading archives. Members may come in any order, so layers are unpacked as they pass and find their place at the end,
//! when the documents have told what belongs together. Nothing is visible before everything was verified.

use std::io::{BufReader, Read};

use hako_model::image::ImageConfig;

use super::describe::{self, Described};
use super::member::{Members, verified};
use super::{Load, Loaded, Progress};
use crate::layers::Inflater;
use crate::tar::Reader;
use crate::{ChainId, Error, NewImage, Result, Store};

pub(super) fn run(
    store: &Store,
    source: impl Read + Send,
    options: &Load,
    progress: &mut (dyn Progress + Send),
) -> Result<Vec<Loaded>> {
    let inflater = Inflater::new(source, &options.limits)?;
    let mut reader = Reader::new(BufReader::with_capacity(256 << 10, inflater));
    let mut members = Members::default();
    while let Some(entry) = reader.next_entry()? {
        members.take(store, &mut reader, &entry, options, progress)?;
    }
    reader.finish()?;
    let images = describe::images(&members, options)?;
    images.iter().map(|image| add(store, &mut members, image, options)).collect()
}

fn add(store: &Store, members: &mut Members, image: &Described, options: &Load) -> Result<Loaded> {
    let name = &image.config;
    let missing = || Error::malformed(format!("archive member {name}"), "the configuration is missing");
    let bytes = verified(name, members.document(name).ok_or_else(missing)?)?.to_vec();
    let config = ImageConfig::parse(&bytes)
        .map_err(|error| Error::malformed(format!("archive member {name}"), error.to_string()))?;
    check_platform(&config, options)?;
    place(store, members, image, &config, options)?;
    let added = store.images().add(NewImage { config: bytes, manifest: image.manifest.clone(), parent: None })?;
    Ok(Loaded { id: added.id, references: image.repo_tags.clone().unwrap_or_default() })
}

fn check_platform(config: &ImageConfig, options: &Load) -> Result<()> {
    match &options.platform {
        Some(wanted) if !wanted.accepts(&config.platform()) => {
            Err(Error::malformed("archive", format!("image is for {}, not for the wanted {wanted}", config.platform())))
        }
        _ => Ok(()),
    }
}

fn place(store: &Store, members: &mut Members, image: &Described, config: &ImageConfig, options: &Load) -> Result<()> {
    let layers = image.layers.clone().unwrap_or_default();
    let diff_ids = &config.rootfs.diff_ids;
    if layers.len() != diff_ids.len() {
        let reason = format!("{} layers, but the configuration has {} diff ids", layers.len(), diff_ids.len());
        return Err(Error::malformed(format!("archive member {}", image.config), reason));
    }
    let mut parent: Option<ChainId> = None;
    for (name, diff_id) in layers.iter().zip(diff_ids) {
        parent = Some(members.place(store, name, parent.as_ref(), diff_id, options)?);
    }
    Ok(())
}
