//! Pull: from a reference to an image in the store, layers in parallel, nothing visible before everything is right.

use std::sync::PoisonError;

use hako_model::image::{Descriptor, ImageConfig};
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_registry::{Access, Document, Repository};
use hako_store::{Image, NewImage, chain_ids};
use tokio::task::JoinSet;

use super::answer::PullRequest;
use super::job::Reporter;
use super::layer::{Fetch, Fetched, Wanted, blocking};
use super::manifest::{self, Chosen};
use super::{Images, bundle, failure, hello, remote, resolve};
use crate::{Error, Result};

/// One image being pulled.
struct Pull {
    images: Images,
    repository: Repository,
    reference: Reference,
    platform: Platform,
    beside: bool,
    reporter: Reporter,
}

impl Images {
    pub(super) async fn run_pull(self, request: PullRequest, reporter: Reporter) -> Result<()> {
        let reference = resolve::join(&request.image, &request.tag)?;
        let platform = match request.platform.as_str() {
            "" => Platform::host(),
            text => Platform::parse(text)?,
        };
        if hello::is_meant(&reference.familiar(), &request.platform) && !reference.is_name_only() {
            return self.pull_hello(&reference, &reporter).await;
        }
        let refused = |error: hako_registry::Error| failure::of_pull(&error, &reference);
        let credential = request.credential.as_ref();
        let repository = self.room.client.repository(&reference, credential, &Access::Pull).map_err(refused)?;
        let references = if reference.is_name_only() {
            let tags = repository.tags().await.map_err(refused)?;
            tags.iter().map(|tag| Ok(reference.clone().with_tag(tag)?)).collect::<Result<Vec<_>>>()?
        } else {
            vec![reference.clone()]
        };
        if references.is_empty() {
            return Err(Error::not_found(format!(
                "repository {} not found: it has no tags",
                reference.familiar_name()
            )));
        }
        for reference in references {
            let pull = Pull {
                images: self.clone(),
                repository: repository.clone(),
                reference,
                platform: platform.clone(),
                beside: request.beside,
                reporter: reporter.clone(),
            };
            pull.run().await?;
        }
        Ok(())
    }

    /// `hello` comes out of the binary.
    async fn pull_hello(&self, reference: &Reference, reporter: &Reporter) -> Result<()> {
        let name = reference.familiar();
        reporter.status(reference.tag(), format!("Pulling from {}", reference.path()));
        let (had, _) = self
            .blocking(|images| {
                let had = images.resolve("hello", "").is_ok();
                Ok((had, if had { None } else { Some(hello::make(&images.room.store)?) }))
            })
            .await?;
        reporter.status(None, outcome(had, &name));
        Ok(())
    }
}

fn outcome(had: bool, name: &str) -> String {
    if had {
        format!("Status: Image is up to date for {name}")
    } else {
        format!("Status: Downloaded newer image for {name}")
    }
}

impl Pull {
    async fn run(&self) -> Result<()> {
        let document = remote::fetch(&self.repository, &self.reference).await.map_err(|e| self.refused(&e))?;
        let label = self.reference.tag().map_or_else(|| document.digest.to_string(), str::to_owned);
        let label = self.reference.digest().map_or(label, ToString::to_string);
        self.reporter.status(Some(&label), format!("Pulling from {}", self.reference.path()));
        let (digest, size) = (document.digest.clone(), document.bytes.len() as u64);
        let index = (Descriptor::new(&document.media_type, digest.clone(), size), document.bytes.to_vec());
        let before = self.known(&resolve::key(&self.reference));
        // Kept until the image has its names: nobody collects what it is made of meanwhile.
        let _hold = self.images.room.store.hold();
        let image = match self.same(&document) {
            Some(image) => image,
            None => self.fetch(document).await?,
        };
        self.name(&image, self.reference.repository().with_digest(digest.clone()), &index).await?;
        if self.reference.digest().is_none() {
            self.name(&image, self.reference.clone(), &index).await?;
        }
        self.reporter.status(None, format!("Digest: {digest}"));
        let name = self.reference.familiar();
        self.reporter.status(None, outcome(before.is_some_and(|before| before.id == image.id), &name));
        self.images.room.tell("pull", &name, &self.reference.familiar_name(), Some(&image));
        Ok(())
    }

    fn refused(&self, error: &hako_registry::Error) -> Error {
        failure::of_pull(error, &self.reference)
    }

    fn known(&self, stored: &str) -> Option<Image> {
        self.images.room.store.images().by_reference(stored).ok().filter(|image| image.damage.is_none())
    }

    /// The image this very document brought before, when it serves the platform.
    fn same(&self, document: &Document) -> Option<Image> {
        let known = self.known(&self.reference.repository().with_digest(document.digest.clone()).to_string())?;
        if self.platform.accepts(&known.config.platform()) {
            return Some(known);
        }
        self.images.member_for(&known, &self.platform)
    }

    async fn name(&self, image: &Image, reference: Reference, index: &(Descriptor, Vec<u8>)) -> Result<()> {
        let (store, image, beside) = (self.images.room.store.clone(), image.clone(), self.beside);
        let (key, (index, bytes)) = (resolve::key(&reference), index.clone());
        let room = self.images.room.clone();
        blocking(move || {
            let _alone = room.beside.lock().unwrap_or_else(PoisonError::into_inner);
            let known = store.images().by_reference(&key).ok();
            let same = known.is_some_and(|known| {
                known.id == image.id && known.bundle.is_some_and(|it| it.index.digest == index.digest)
            });
            match (beside, same) {
                (true, _) => bundle::stand_beside(&store, &key, &image, (index, &bytes)),
                // Others stand beside it: they stay.
                (false, true) => Ok(()),
                (false, false) => store.images().tag(&key, &image.id).map(drop),
            }
        })
        .await
    }

    async fn fetch(&self, document: Document) -> Result<Image> {
        let chosen = manifest::choose(&self.repository, &self.reference, document, &self.platform).await?;
        let id = &chosen.manifest.config.digest;
        if let Ok(image) = self.images.room.store.images().get(id)
            && image.damage.is_none()
        {
            return Ok(image);
        }
        let (bytes, config) = manifest::configuration(&self.repository, &self.reference, &chosen.manifest).await?;
        self.check_platform(&chosen, &config)?;
        self.layers(wanted(&chosen, &config)).await?;
        let manifest = Some((chosen.document.bytes, chosen.document.media_type));
        let image = NewImage { config: bytes, manifest, parent: None };
        let store = self.images.room.store.clone();
        blocking(move || store.images().add(image)).await
    }

    /// An image that is not in an index says its platform only in its configuration.
    fn check_platform(&self, chosen: &Chosen, config: &ImageConfig) -> Result<()> {
        let offered = config.platform();
        let asked = self.platform != Platform::host();
        if !asked || self.platform.accepts(&offered) || offered.architecture.is_empty() {
            return Ok(());
        }
        Err(Error::not_found(format!(
            "image with reference {} was found but its platform ({offered}) does not match the specified platform ({}): {}",
            self.reference.familiar(),
            self.platform,
            chosen.document.digest
        )))
    }

    /// Fetches layers side by side, and places each as soon as it and all below it are ready.
    async fn layers(&self, layers: Vec<Wanted>) -> Result<()> {
        let fetch = Fetch {
            store: self.images.room.store.clone(),
            repository: self.repository.clone(),
            downloads: self.images.room.downloads.clone(),
            reporter: self.reporter.clone(),
        };
        self.announce(&layers);
        let mut tasks = JoinSet::new();
        for (position, layer) in layers.iter().cloned().enumerate() {
            let fetch = fetch.clone();
            tasks.spawn(async move { (position, fetch.run(layer).await) });
        }
        let mut ready: Vec<Option<Fetched>> = layers.iter().map(|_| None).collect();
        let mut placed = 0;
        while let Some(finished) = tasks.join_next().await {
            let (position, fetched) = finished.map_err(|error| Error::io("fetch layer", error))?;
            ready[position] = Some(fetched?);
            while let Some(fetched) = ready.get_mut(placed).and_then(Option::take) {
                self.place(&layers, placed, fetched).await?;
                placed += 1;
            }
        }
        Ok(())
    }

    /// Says of each layer whether it is here, and of those that are not, which must wait.
    fn announce(&self, layers: &[Wanted]) {
        let present = |layer: &&Wanted| self.images.room.store.layers().get(&layer.chain_id).is_some();
        let (here, missing): (Vec<&Wanted>, Vec<&Wanted>) = layers.iter().partition(present);
        here.iter().for_each(|layer| self.reporter.layer(layer.short(), "Already exists"));
        missing.iter().for_each(|layer| self.reporter.layer(layer.short(), "Pulling fs layer"));
        let at_once = self.images.room.downloads.available_permits();
        missing.iter().skip(at_once).for_each(|layer| self.reporter.layer(layer.short(), "Waiting"));
    }

    async fn place(&self, layers: &[Wanted], position: usize, fetched: Fetched) -> Result<()> {
        let layer = layers[position].clone();
        let parent = position.checked_sub(1).map(|below| layers[below].chain_id.clone());
        let Fetched::Staged(staged, claim) = fetched else {
            self.reporter.layer(layer.short(), "Already exists");
            return Ok(());
        };
        let blob = layer.blob.clone();
        blocking(move || {
            staged.place(parent.as_ref(), Some(blob))?;
            drop(claim);
            Ok(())
        })
        .await?;
        self.reporter.layer(layer.short(), "Pull complete");
        Ok(())
    }
}

fn wanted(chosen: &Chosen, config: &ImageConfig) -> Vec<Wanted> {
    let chain = chain_ids(&config.rootfs.diff_ids);
    let diff_ids = config.rootfs.diff_ids.iter().cloned();
    let parts = chosen.manifest.layers.iter().cloned().zip(diff_ids).zip(chain);
    parts.map(|((blob, diff_id), chain_id)| Wanted { chain_id, diff_id, blob }).collect()
}
