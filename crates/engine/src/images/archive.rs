//! Save and load: images as archives.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Weak;

use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_store::Image;
use hako_store::archive::{self, Load, Loaded, Named, Saved};

use super::answer::SaveRequest;
use super::job::Reporter;
use super::progress::Progress;
use super::resolve::{self, familiar, is_id_of, key};
use super::{Images, bundle, failure};
use crate::stream::{self, ByteSource, ByteStream};
use crate::{Error, Result};

impl Images {
    pub(super) fn run_save(&self, request: &SaveRequest) -> Result<ByteStream> {
        let hold = self.room.store.hold();
        let saved = self.meant_by(request)?;
        let store = self.room.store.clone();
        Ok(stream::written_by(move |out| {
            let outcome = archive::save(&store, &saved, out).map_err(|error| failure::of_store(&error));
            drop(hold);
            outcome
        }))
    }

    /// Writes to a file of the caller's, as long as `wanted` is held.
    pub(super) fn run_save_to(&self, request: &SaveRequest, file: File, wanted: Weak<()>) -> Result<()> {
        let _hold = self.room.store.hold();
        let saved = self.meant_by(request)?;
        archive::save(&self.room.store, &saved, WhileWanted { file, wanted }).map_err(|error| failure::of_store(&error))
    }

    /// The images to save, each once with its names.
    fn meant_by(&self, request: &SaveRequest) -> Result<Vec<Saved>> {
        let mut saved: Vec<Saved> = Vec::new();
        for name in &request.names {
            for one in self.meant(name, &request.platform)? {
                match saved.iter_mut().find(|other| other.id == one.id && other.bundle == one.bundle) {
                    Some(other) => other.references.extend(one.references),
                    None => saved.push(one),
                }
            }
        }
        for one in &mut saved {
            one.references.sort();
            one.references.dedup();
            self.tell_of("save", &one.id, one.id.as_str());
        }
        Ok(saved)
    }

    /// The images a name to save means: one, or all tags of a bare repository.
    fn meant(&self, name: &str, platform: &str) -> Result<Vec<Saved>> {
        let bare = Reference::parse(name).ok().filter(Reference::is_name_only);
        if let Some(repository) = bare {
            let all = self.tags_in(&repository, platform)?;
            if !all.is_empty() {
                return Ok(all);
            }
        }
        let image = self.resolve(name, platform).map_err(|error| match error {
            // Docker's text has the name as it was typed.
            Error::NotFound { message } if message.starts_with("No such image") => resolve::no_such(name),
            error => error,
        })?;
        let by_id = is_id_of(&image.id, name);
        let tagged = || Reference::parse_tagged(name).ok().filter(|reference| reference.digest().is_none());
        let references = if by_id { None } else { tagged() };
        Ok(vec![self.saved(image, references.iter().map(Reference::familiar).collect(), platform)])
    }

    /// An image as it is saved: with a manifest of its own, or with all of its index, unless one platform is wanted.
    fn saved(&self, image: Image, references: Vec<String>, platform: &str) -> Saved {
        let own = image.bundle.clone().filter(|bundle| bundle.manifest().is_some());
        let whole = || bundle::whole(&self.room.store, &image).filter(|_| platform.is_empty());
        let bundle = own.or_else(|| whole().map(|(bundle, _)| bundle));
        Saved { id: image.id, references, bundle }
    }

    fn tags_in(&self, repository: &Reference, platform: &str) -> Result<Vec<Saved>> {
        let stored = self.room.store.images().references();
        let own = stored.iter().filter(|(text, _)| {
            Reference::parse(text).is_ok_and(|other| other.digest().is_none() && other.repository() == *repository)
        });
        own.map(|(text, _)| Ok(self.saved(self.resolve(text, platform)?, vec![familiar(text)], platform))).collect()
    }

    pub(super) async fn run_load(
        self,
        source: Source,
        quiet: bool,
        platform: String,
        reporter: Reporter,
    ) -> Result<()> {
        let platform = if platform.is_empty() { None } else { Some(Platform::parse(&platform)?) };
        let source = match source {
            Source::Sent(bytes) => Ok(stream::reader(bytes)),
            Source::Lent(file) => Err(file),
        };
        self.blocking(move |images| {
            let _hold = images.room.store.hold();
            let options = Load { platform, ..Load::default() };
            let mut told = Told { reporter: reporter.clone(), quiet, next: std::time::Instant::now() };
            let store = &images.room.store;
            let loaded = match source {
                Ok(reader) => archive::load(store, reader, &options, &mut told),
                Err(file) => archive::load_file(store, &file, &options, &mut told),
            };
            let loaded = loaded.map_err(|error| failure::of_store(&error))?;
            if loaded.is_empty() {
                return Err(Error::invalid("load images: the archive holds no image for the platform"));
            }
            loaded.iter().try_for_each(|image| images.name_loaded(image, &reporter))
        })
        .await
    }

    /// Gives a loaded image the names the archive has for it.
    fn name_loaded(&self, loaded: &Loaded, reporter: &Reporter) -> Result<()> {
        let say = |text: String| reporter.tell(Progress::Stream { text });
        for text in &loaded.references {
            let reference = Reference::parse_tagged(text)?;
            let images = self.room.store.images();
            let same = |named: &&Named| {
                let name = named.reference.as_deref().and_then(|name| Reference::parse_tagged(name).ok());
                name.is_some_and(|name| name == reference)
            };
            let bundle = loaded.named.iter().find(same).map(|named| named.bundle.clone());
            let before = images.tag_bundle(&key(&reference), &loaded.id, bundle);
            let before = before.map_err(|error| failure::of_store(&error))?;
            let name = reference.familiar();
            if let Some(before) = before.filter(|before| *before != loaded.id) {
                say(format!(
                    "The image {name} already exists, renaming the old one with ID {before} to empty string\n"
                ));
            }
            say(format!("Loaded image: {name}\n"));
        }
        if loaded.references.is_empty() {
            if let Some(named) = loaded.named.iter().find(|named| named.reference.is_none()) {
                let kept = self.room.store.images().keep_bundle(&loaded.id, named.bundle.clone());
                kept.map_err(|error| failure::of_store(&error))?;
            }
            say(format!("Loaded image ID: {}\n", loaded.id));
        }
        self.tell_of("load", &loaded.id, loaded.id.as_str());
        Ok(())
    }
}

/// Where an archive comes from.
pub(super) enum Source {
    /// The client sends it.
    Sent(ByteSource),
    /// It is a file of the client's.
    Lent(File),
}

/// A file that is written as long as somebody wants it.
struct WhileWanted {
    file: File,
    wanted: Weak<()>,
}

impl Write for WhileWanted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.wanted.strong_count() == 0 {
            return Err(io::Error::other("the work was given up"));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Tells how far layers are, not more often than somebody can see.
struct Told {
    reporter: Reporter,
    quiet: bool,
    next: std::time::Instant,
}

impl archive::Progress for Told {
    fn layer(&mut self, id: &str, done: u64, total: u64) {
        let now = std::time::Instant::now();
        if self.quiet || (now < self.next && done < total) {
            return;
        }
        self.next = now + std::time::Duration::from_millis(100);
        self.reporter.amount(id, "Loading layer", done, total);
    }

    fn is_wanted(&self) -> bool {
        self.reporter.is_wanted()
    }
}
