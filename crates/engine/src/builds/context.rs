//! Build contexts: a directory of the client's read in place, an archive that was sent, a repository, an address.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hako_builder::files::ignore::Ignore;
pub use hako_builder::files::tree::Tree;
use hako_builder::files::tree::TreeKind;
use hako_builder::workshop::Cancel;
use hako_store::tree::UnpackOptions;
use hako_sys::confined::Root;
use rustix::fs::FlockOperation;

use super::Builds;
use crate::stream::{self, ByteSource};
use crate::{Error, Result};

/// The most bytes of a Dockerfile or .dockerignore.
const TEXT: u64 = 4 << 20;

/// A place for files that came with a request; it goes with the value.
pub struct Origin {
    path: PathBuf,
    /// Held while somebody uses a directory that stays for later builds.
    lock: Option<File>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        if self.lock.is_none() {
            // Swept at the next start otherwise.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Origin {
    /// The directory.
    pub fn open(&self) -> Result<OwnedFd> {
        File::open(&self.path).map(OwnedFd::from).map_err(|e| Error::io("open context", e))
    }

    /// A directory in it.
    pub fn folder(&self, name: &str) -> Result<OwnedFd> {
        let root = Root::open(&self.path).map_err(|e| Error::io("open context", e))?;
        root.open_dir(Path::new(name)).map(OwnedFd::from).map_err(|e| Error::invalid(format!("context {name}: {e}")))
    }
}

impl Builds {
    /// Unpacks an archive that was sent.
    pub async fn receive(&self, archive: ByteSource) -> Result<Origin> {
        let origin = self.place()?;
        let reader = stream::reader(archive);
        let path = origin.path.clone();
        let unpacked = tokio::task::spawn_blocking(move || {
            let root = Root::open(&path).map_err(|e| Error::io("open context", e))?;
            let options = UnpackOptions { copy_uid_gid: true, inflate: true, ..UnpackOptions::default() };
            let fd = std::os::fd::AsFd::as_fd(&root);
            hako_store::tree::unpack(fd, Path::new("/"), reader, options)
                .map_err(|e| Error::invalid(format!("failed to read the build context: {e}")))
        });
        unpacked.await.map_err(|e| Error::io("read context", e))??;
        Ok(origin)
    }

    /// Fetches a repository, an archive, or a single Dockerfile from an address; `keep_git` is an argument's text that says
    /// whether a repository's `.git` stays.
    pub async fn fetch(&self, address: &str, keep_git: Option<&str>) -> Result<Origin> {
        let path = address.split(['#', '?']).next().unwrap_or(address);
        let web = address.starts_with("http://") || address.starts_with("https://");
        if web && !path.ends_with(".git") {
            return self.fetch_file(address).await;
        }
        let origin = self.place()?;
        let address =
            if address.starts_with("github.com/") { format!("https://{address}") } else { address.to_owned() };
        super::checkout::checkout(&address, keep_git.is_some_and(is_true), &origin.path, &Cancel::default()).await?;
        Ok(origin)
    }

    /// An archive is unpacked; anything else is the Dockerfile.
    async fn fetch_file(&self, url: &str) -> Result<Origin> {
        // The address is the client's.
        let refused = |error: Error| Error::invalid(format!("failed to fetch the build context: {error}"));
        let mut file = self.images.file(url).await.map_err(refused)?;
        let mut begun = Vec::new();
        while begun.len() < 512 {
            match file.next().await.map_err(|e| Error::invalid(format!("download {url}: {e}")))? {
                Some(piece) => begun.extend_from_slice(&piece),
                None => break,
            }
        }
        let first = bytes::Bytes::from(begun);
        let is_text = !first.contains(&0) && std::str::from_utf8(&first[..first.len().min(256)]).is_ok();
        let rest = futures_util::stream::unfold(file, |mut file| async move {
            let piece = file.next().await.map_err(std::io::Error::other).transpose()?;
            Some((piece, file))
        });
        let first = futures_util::stream::iter([Ok(first)]);
        let source: ByteSource = Box::pin(futures_util::StreamExt::chain(first, rest));
        if !is_text {
            return self.receive(source).await;
        }
        let origin = self.place()?;
        let target = origin.path.join("Dockerfile");
        let reader = stream::reader(source);
        let written = tokio::task::spawn_blocking(move || {
            let mut out = File::create_new(target)?;
            std::io::copy(&mut std::io::Read::take(reader, TEXT), &mut out)
        });
        written.await.map_err(|e| Error::io("write Dockerfile", e))?.map_err(|e| Error::io("write Dockerfile", e))?;
        Ok(origin)
    }

    /// An empty directory.
    pub fn place(&self) -> Result<Origin> {
        let path = self.house.store.scratch().map_err(|e| Error::io("make place for context", e))?;
        Ok(Origin { path, lock: None })
    }

    /// The directory that a client's context of this name had in an earlier build, so that only differences need be sent; an
    /// empty one if another build uses it.
    pub fn standing(&self, name: &str) -> Result<Origin> {
        let contexts = self.house.layout.builds().join("contexts");
        let failed = |e: std::io::Error| Error::io("make place for context", e);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&contexts).map_err(failed)?;
        let hex = hako_store::Hasher::digest(name.as_bytes());
        let path = contexts.join(hex.hex());
        let lock = File::options().create(true).append(true).open(path.with_extension("lock")).map_err(failed)?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return self.place();
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
        // Says when it was last used, for who clears away.
        let _ = lock.set_modified(std::time::SystemTime::now());
        Ok(Origin { path, lock: Some(lock) })
    }
}

/// The argument that says whether the `.git` of a context stays.
pub const KEEP_GIT: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "True" | "TRUE")
}

/// A text file of a context; none when it is not there.
pub fn text(context: &OwnedFd, path: &str) -> Result<Option<Vec<u8>>> {
    let fd = context.try_clone().map_err(|e| Error::io("open context", e))?;
    match Root::from_fd(fd).read_limited(Path::new(path), TEXT) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(Error::invalid(format!("read {path}: {error}"))),
    }
}

/// A context's files, less those its ignore file names.
pub fn tree(context: OwnedFd, ignore: Option<&[u8]>) -> Result<Arc<Tree>> {
    let text = String::from_utf8_lossy(ignore.unwrap_or_default());
    let ignore = Ignore::parse(&text).map_err(|e| Error::invalid(format!("error reading .dockerignore: {e}")))?;
    // A directory that is open as a mere path cannot be listed.
    let root = Root::from_fd(context).open_dir(Path::new(".")).map_err(|e| Error::io("open context", e))?;
    Ok(Arc::new(Tree::new(root.into(), ignore, TreeKind::Context)))
}
