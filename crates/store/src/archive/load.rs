//! Reading archives. Members may come in any order, so layers are unpacked as they pass and find their place at the end,
//! when the documents have told what belongs together. Nothing is visible before everything was verified.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};

use hako_model::image::ImageConfig;
use hako_model::image::media::Compression;

use super::describe::{self, Described};
use super::file::{Section, Window};
use super::member::{Held, Members, Met, verified};
use super::{Load, Loaded, Progress, named};
use crate::layers::Inflater;
use crate::tar::Reader;
use crate::{ChainId, Error, NewImage, Result, Store};

/// How many layers of a file are unpacked at a time; each keeps two processors busy for much of its time.
const WORKERS: usize = 4;

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
        if let Some(met) = members.take(store, &mut reader, &entry)? {
            let content = Cursor::new(&met.start).chain(&mut reader);
            let held = met.unpack(store, content, options, progress)?;
            members.layers.insert(met.name, held);
        }
    }
    reader.finish()?;
    add_all(store, members, options)
}

/// The same for a file: only what lies between the layers is read at first, then the layers, several at a time.
pub(super) fn run_file(
    store: &Store,
    file: &File,
    options: &Load,
    progress: &mut (dyn Progress + Send),
) -> Result<Vec<Loaded>> {
    if Compression::detect(&Window::start(file)?) != Compression::None {
        let mut file = file;
        file.rewind().map_err(Error::io("read", "archive"))?;
        return run(store, file, options, progress);
    }
    let mut reader = Reader::new(Window::new(file));
    let mut members = Members::default();
    // Of two members with one name the later one counts.
    let mut waiting = HashMap::new();
    while let Some(entry) = reader.next_entry()? {
        if let Some(met) = members.take(store, &mut reader, &entry)? {
            let at = reader.position() - met.start.len() as u64;
            reader.pass_over(Window::advance);
            waiting.insert(met.name.clone(), (met, at));
        }
    }
    for (name, held) in unpack_all(store, file, waiting.into_values().collect(), options, progress)? {
        members.layers.insert(name, held);
    }
    add_all(store, members, options)
}

/// Unpacks layers that begin at the given places of the file, the largest first, so that none is left alone at the end.
fn unpack_all(
    store: &Store,
    file: &File,
    mut waiting: Vec<(Met, u64)>,
    options: &Load,
    progress: &mut (dyn Progress + Send),
) -> Result<Vec<(String, Held)>> {
    waiting.sort_by_key(|(met, _)| met.size);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS).min(waiting.len());
    let (waiting, progress) = (Mutex::new(waiting), Mutex::new(progress));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        let mut done = Vec::new();
        while let Some((met, at)) = next() {
            let content = Section::new(file, at, met.size);
            match met.unpack(store, content, options, &mut Shared(&progress)) {
                Ok(held) => done.push((met.name, held)),
                Err(error) => {
                    // The others need not begin with what is left.
                    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let outcomes: Vec<Result<Vec<_>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    outcomes.into_iter().collect::<Result<Vec<_>>>().map(|done| done.into_iter().flatten().collect())
}

/// A progress report several threads add to.
struct Shared<'a, 'b>(&'a Mutex<&'b mut (dyn Progress + Send)>);

impl Progress for Shared<'_, '_> {
    fn layer(&mut self, id: &str, done: u64, total: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).layer(id, done, total);
    }

    fn is_wanted(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_wanted()
    }
}

fn add_all(store: &Store, mut members: Members, options: &Load) -> Result<Vec<Loaded>> {
    let images = describe::images(&members, options)?;
    let loaded = images.iter().map(|image| add(store, &mut members, image, options)).collect::<Result<Vec<_>>>();
    let mut loaded = loaded?;
    let named = named::named(store, &mut members, options)?;
    for image in &mut loaded {
        let own = named.iter().filter(|named| named.bundle.images.contains(&image.id));
        image.named = own.cloned().collect();
    }
    Ok(loaded)
}

pub(super) fn add(store: &Store, members: &mut Members, image: &Described, options: &Load) -> Result<Loaded> {
    let name = &image.config;
    let missing = || Error::malformed(format!("archive member {name}"), "the configuration is missing");
    let bytes = verified(name, members.document(name).ok_or_else(missing)?)?.to_vec();
    let config = ImageConfig::parse(&bytes)
        .map_err(|error| Error::malformed(format!("archive member {name}"), error.to_string()))?;
    check_platform(&config, options)?;
    place(store, members, image, &config, options)?;
    let added = store.images().add(NewImage { config: bytes, manifest: image.manifest.clone(), parent: None })?;
    Ok(Loaded { id: added.id, references: image.repo_tags.clone().unwrap_or_default(), named: Vec::new() })
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
