//! COPY, ADD and WORKDIR: layers made of files at hand.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hako_model::digest::{Algorithm, Digest};
use hako_store::tree::UnpackOptions;
use hako_store::{Hasher, LayerDraft};
use hako_sys::confined::Root;

use super::key::Inputs;
use super::material::Material;
use super::stage::{Made, Stage};
use crate::dockerfile::{Copying, Instruction};
use crate::files::contents;
use crate::files::ignore::Ignore;
use crate::files::place::mode::Chmod;
use crate::files::place::model::Model;
use crate::files::place::{Manners, Placer};
use crate::files::select::{Selection, Source, select};
use crate::files::tree::{Tree, TreeKind};
use crate::{Error, Result};

/// Files found for one instruction.
struct Found {
    tree: Arc<Tree>,
    sources: Vec<Source>,
    /// Archives among them are unpacked.
    unpack: bool,
}

/// A directory of the build's own that goes with the value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Swept at the next start otherwise.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Stage<'_, '_, '_> {
    pub(super) fn copy(&mut self, written: &Copying, add: bool, instruction: &Instruction, step: usize) -> Result<()> {
        let copying = self.expanded(written)?;
        let destination = self.state.path(&copying.destination);
        let scratch = Scratch(self.build.tools.store.scratch()?);
        let found = self.sources(&copying, add, step, &scratch.0)?;
        let manners = self.manners(&copying)?;
        let mut inputs = Inputs::default();
        inputs.add("the instruction", if add { "ADD" } else { "COPY" });
        self.below(&mut inputs);
        inputs.add("the destination", &destination);
        inputs.add("its owner", format!("{:?}", manners.owner));
        inputs.add("its mode", format!("{:?}", copying.chmod));
        inputs.add("its flags", copying.parents.to_string());
        for part in &found {
            let digest = contents::digest(&part.tree, &part.sources, &self.build.tools.cache.memory)?;
            inputs.add(if part.unpack { "the archives" } else { "the files" }, digest.to_string());
        }
        let word = if add { "ADD" } else { "COPY" };
        let shown: Vec<&str> = copying.sources.iter().map(String::as_str).collect();
        let names: Vec<String> = copying.inline.iter().map(|inline| format!("<<{}", inline.name)).collect();
        let shown = shown.into_iter().chain(names.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        let flag = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("--{name}={value} ")).unwrap_or_default()
        };
        let flags = flag("chown", &copying.chown) + &flag("chmod", &copying.chmod);
        let text = format!("{word} {flags}{shown} {} # buildkit", copying.destination);
        self.layer(step, &inputs, instruction, text, |stage| {
            // Archives are unpacked over what is there, which must not be another layer's then.
            let plain = !stage.is_fresh() && found.iter().all(|part| !part.unpack);
            let model = plain.then(|| stage.build.tools.cache.model_at(&stage.place(instruction))).flatten();
            stage.place_files(&found, &destination, &manners, model.as_ref())
        })
    }

    fn expanded(&self, written: &Copying) -> Result<Copying> {
        let state = &self.state;
        let expand = |text: &String| self.scope.expand(state, text);
        let option = |text: &Option<String>| text.as_ref().map(expand).transpose();
        let mut copying = written.clone();
        copying.sources = written.sources.iter().map(expand).collect::<Result<_>>()?;
        copying.destination = expand(&written.destination)?;
        copying.chown = option(&written.chown)?;
        copying.chmod = option(&written.chmod)?;
        copying.checksum = option(&written.checksum)?;
        copying.exclude = written.exclude.iter().map(expand).collect::<Result<_>>()?;
        let plain = hako_model::word::Lexer { plain_quotes: true, ..self.scope.lexer };
        for inline in copying.inline.iter_mut().filter(|inline| inline.expand) {
            let content = plain.expand(&inline.content, &|name| state.value(name));
            inline.content = content.map_err(|error| Error::refused(error.to_string()))?;
        }
        Ok(copying)
    }

    fn manners(&self, copying: &Copying) -> Result<Manners> {
        let mode = copying.chmod.as_deref().map(Chmod::parse).transpose().map_err(Error::refused)?;
        let owner = copying.chown.as_ref().map(|user| self.owner(user)).transpose()?;
        Ok(Manners { owner, mode, made: self.build.request.epoch })
    }

    /// `user[:group]`: numbers need no account files; a number alone is the group, too.
    fn owner(&self, user: &str) -> Result<(u32, u32)> {
        let (name, group) = user.split_once(':').unwrap_or((user, ""));
        if let (Ok(uid), Ok(gid)) = (name.parse(), if group.is_empty() { name } else { group }.parse()) {
            return Ok((uid, gid));
        }
        let store = self.build.tools.store;
        let found = self.build.tools.workshop.account(&self.state.lowers(store)?, user);
        found.map_err(|error| Error::refused(format!("invalid user {user}: {error}")))
    }

    fn sources(&self, copying: &Copying, add: bool, step: usize, scratch: &Path) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        let remote = |source: &&String| add && is_remote(source);
        check_checksum(copying, add)?;
        let local: Vec<String> = copying.sources.iter().filter(|source| !remote(source)).cloned().collect();
        if !local.is_empty() {
            let tree = self.tree(&self.origin(copying.from.as_deref(), step)?, &local)?;
            let selection = Selection { exclude: copying.exclude.clone(), parents: copying.parents };
            let sources = select(&tree, &local, &selection)?;
            let unpacks = add && copying.unpack != Some(false);
            let (archives, plain) = sources.into_iter().partition(|source| unpacks && is_archive(&tree, source));
            found.push(Found { tree: Arc::clone(&tree), sources: plain, unpack: false });
            found.push(Found { tree, sources: archives, unpack: true });
        }
        for (number, source) in copying.sources.iter().filter(remote).enumerate() {
            let place = scratch.join(format!("remote-{number}"));
            std::fs::create_dir(&place).map_err(|cause| Error::io("make scratch directory", cause))?;
            found.push(self.remote(source, copying, &place)?);
        }
        if !copying.inline.is_empty() {
            found.push(inline(copying, &scratch.join("inline"))?);
        }
        found.retain(|part| !part.sources.is_empty());
        Ok(found)
    }

    /// A file or a repository from somewhere else.
    fn remote(&self, source: &str, copying: &Copying, place: &Path) -> Result<Found> {
        let tools = &self.build.tools;
        if is_repository(source) {
            let address = with_checksum(source, copying.checksum.as_deref());
            let commit = tools.workshop.checkout(&address, copying.keep_git, place, tools.cancel)?;
            self.build.took(Material { uri: source.to_owned(), algorithm: "sha1".to_owned(), hash: commit });
            return whole(place, false);
        }
        let fetched = tools.workshop.fetch(source, tools.cancel)?;
        let name = fetched.name.clone().unwrap_or_else(|| file_name(source));
        let target = place.join(&name);
        check_sum(&fetched.content, copying.checksum.as_deref(), source)?;
        let hash = content_hash(&fetched.content, Algorithm::Sha256)?.hex().to_owned();
        self.build.took(Material { uri: source.to_owned(), algorithm: "sha256".to_owned(), hash });
        keep(fetched.content, &target, fetched.modified)?;
        let mut found = whole(place, copying.unpack == Some(true))?;
        found.sources = select(&found.tree, &[name], &Selection::default())?;
        Ok(found)
    }

    fn place_files(
        &self,
        found: &[Found],
        destination: &str,
        manners: &Manners,
        model: Option<&Model>,
    ) -> Result<Made> {
        let store = self.build.tools.store;
        let top = self.state.top();
        let draft = store.layers().draft(top.as_ref())?;
        let view = top.is_some().then(|| store.rootfs(draft.lowers())).transpose()?;
        let mut placed = Vec::new();
        for part in found {
            self.build.tools.cancel.check()?;
            if part.unpack {
                unpack(part, &draft, destination, manners)?;
                continue;
            }
            let mut placer = Placer::new(&draft, view.as_ref().map(AsFd::as_fd), manners)?.after(model);
            placer.copy(&part.tree, &part.sources, destination)?;
            placed.extend(placer.into_placed());
        }
        drop(view);
        // Of several sources one may have replaced what another one brought.
        let alone = found.len() == 1 && found[0].sources.len() == 1 && !found[0].unpack;
        Ok(Made { placed: if alone { placed } else { Vec::new() }, ..self.freeze(draft)? })
    }

    /// Ends the making of a layer.
    pub(super) fn freeze(&self, draft: LayerDraft) -> Result<Made> {
        let top = self.state.top();
        let staged = draft.freeze(self.build.request.epoch)?;
        let layer = staged.place(top.as_ref(), None)?;
        Ok(Made { layer: layer.chain_id, size: layer.size, placed: Vec::new() })
    }

    pub(super) fn workdir(&mut self, path: &str, instruction: &Instruction, step: usize) -> Result<()> {
        let path = self.scope.expand(&self.state, path)?;
        let directory = if path.starts_with('/') { path.clone() } else { self.state.path(&path) };
        self.state.config.working_dir.clone_from(&directory);
        let store = self.build.tools.store;
        let view = store.rootfs(&self.state.lowers(store)?)?;
        let there = hako_store::tree::stat(view.as_fd(), &Path::new(&directory).join("."));
        drop(view);
        if there.is_ok() {
            self.state.note(format!("WORKDIR {directory}"));
            return Ok(());
        }
        let mut inputs = Inputs::default();
        inputs.add("the instruction", "WORKDIR");
        self.below(&mut inputs);
        inputs.add("the directory", &directory);
        self.layer(step, &inputs, instruction, format!("WORKDIR {directory}"), |stage| stage.make_directory(&directory))
    }

    fn make_directory(&self, directory: &str) -> Result<Made> {
        let store = self.build.tools.store;
        let top = self.state.top();
        let draft = store.layers().draft(top.as_ref())?;
        let view = top.is_some().then(|| store.rootfs(draft.lowers())).transpose()?;
        let manners = Manners { made: self.build.request.epoch, ..Manners::default() };
        Placer::new(&draft, view.as_ref().map(AsFd::as_fd), &manners)?.make_folder(directory)?;
        drop(view);
        self.freeze(draft)
    }
}

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|scheme| source.starts_with(scheme))
}

/// A repository, not a file: it says so by its scheme, or its address ends in `.git`.
fn is_repository(source: &str) -> bool {
    let web = source.starts_with("http://") || source.starts_with("https://");
    let path = source.split(['#', '?']).next().unwrap_or(source);
    !web || path.ends_with(".git")
}

fn file_name(url: &str) -> String {
    let path = url.split(['#', '?']).next().unwrap_or(url);
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let name = path.split_once('/').map_or("", |(_, path)| path.rsplit('/').next().unwrap_or_default());
    if name.is_empty() || name == ".." || name == "." { "download".to_owned() } else { name.to_owned() }
}

fn whole(place: &Path, unpack: bool) -> Result<Found> {
    let root = File::open(place).map_err(|cause| Error::io("open scratch directory", cause))?;
    let tree = Arc::new(Tree::new(root.into(), Ignore::default(), TreeKind::Context));
    let sources = select(&tree, &["/".to_owned()], &Selection::default())?;
    Ok(Found { tree, sources, unpack })
}

fn inline(copying: &Copying, place: &Path) -> Result<Found> {
    let failed = |cause| Error::io("write here-document", cause);
    std::fs::create_dir(place).map_err(failed)?;
    let root = Root::open(place)?;
    let mut names = Vec::new();
    for inline in &copying.inline {
        use std::io::Write;
        let mut file = root.create(Path::new(&inline.name), 0o644)?;
        file.write_all(inline.content.as_bytes()).map_err(failed)?;
        root.chmod(Path::new(&inline.name), 0o644)?;
        names.push(inline.name.clone());
    }
    let mut found = whole(place, false)?;
    found.sources = select(&found.tree, &names, &Selection::default())?;
    Ok(found)
}

/// Refuses a checksum where nothing has one, and one that is none.
fn check_checksum(copying: &Copying, add: bool) -> Result<()> {
    let Some(wanted) = copying.checksum.as_deref().filter(|_| add) else { return Ok(()) };
    if copying.sources.len() != 1 {
        return Err(Error::refused("checksum can't be specified for multiple sources"));
    }
    let source = &copying.sources[0];
    if is_remote(source) && is_repository(source) {
        let is_commit = wanted.len() >= 7 && wanted.len() <= 64 && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
        let why = || format!("invalid checksum {wanted} for Git URL, expected hex commit hash");
        return is_commit.then_some(()).ok_or_else(|| Error::refused(why()));
    }
    if !is_remote(source) {
        return Err(Error::refused("checksum requires HTTP(S) or Git sources"));
    }
    let (algorithm, hex) = wanted.split_once(':').ok_or_else(|| Error::refused("invalid checksum digest format"))?;
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(Error::refused("unsupported digest algorithm")),
    };
    if hex.len() != length {
        return Err(Error::refused("invalid checksum digest length"));
    }
    Ok(())
}

/// A repository's address that says what its commit is to begin with.
fn with_checksum(source: &str, checksum: Option<&str>) -> String {
    let Some(checksum) = checksum else { return source.to_owned() };
    let (rest, fragment) = match source.split_once('#') {
        Some((rest, fragment)) => (rest, format!("#{fragment}")),
        None => (source, String::new()),
    };
    let mark = if rest.contains('?') { '&' } else { '?' };
    format!("{rest}{mark}checksum={checksum}{fragment}")
}

fn check_sum(content: &File, wanted: Option<&str>, url: &str) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let expected =
        Digest::parse(wanted).map_err(|error| Error::refused(format!("invalid checksum {wanted}: {error}")))?;
    let actual = content_hash(content, expected.algorithm())?;
    if actual == expected {
        return Ok(());
    }
    Err(Error::refused(format!("digest mismatch for {url}: {actual} (expected: {expected})")))
}

fn content_hash(content: &File, algorithm: Algorithm) -> Result<Digest> {
    let mut copy = content.try_clone().map_err(|cause| Error::io("read download", cause))?;
    let mut hasher = Hasher::new(algorithm);
    let mut writer = HashWriter(&mut hasher);
    use std::io::Seek;
    copy.rewind()
        .and_then(|()| std::io::copy(&mut copy, &mut writer))
        .map_err(|cause| Error::io("read download", cause))?;
    Ok(hasher.finish())
}

struct HashWriter<'a>(&'a mut Hasher);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A download becomes a file only root can read, as old as the server says.
fn keep(mut content: File, target: &Path, modified: Option<i64>) -> Result<()> {
    use std::io::Seek;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |cause| Error::io("keep download", cause);
    content.rewind().map_err(failed)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(target).map_err(failed)?;
    std::io::copy(&mut content, &mut file).map_err(failed)?;
    let age = std::time::Duration::from_secs(u64::try_from(modified.unwrap_or(0)).unwrap_or(0));
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + age).map_err(failed)
}

fn is_archive(tree: &Tree, source: &Source) -> bool {
    if source.top.is_directory() {
        return false;
    }
    let opened = tree.root().open_regular(Path::new(&source.top.path));
    opened.is_ok_and(hako_store::tree::is_archive)
}

fn unpack(part: &Found, draft: &LayerDraft, destination: &str, manners: &Manners) -> Result<()> {
    for source in &part.sources {
        let path = source.top.path.clone();
        {
            let view = draft.below()?;
            // The mode is for files that are copied: what an archive holds keeps its own.
            let manners = Manners { mode: None, ..manners.clone() };
            let mut placer = Placer::new(draft, view.as_ref().map(AsFd::as_fd), &manners)?;
            placer.make_folder(destination)?;
        }
        let archive = part.tree.root().open_regular(Path::new(&path))?;
        let root = draft.rootfs()?;
        let options = UnpackOptions {
            copy_uid_gid: manners.owner.is_none(),
            owner: manners.owner.unwrap_or((0, 0)),
            inflate: true,
            ..UnpackOptions::default()
        };
        hako_store::tree::unpack(root.as_fd(), Path::new(destination), archive, options)?;
    }
    Ok(())
}

/// The digest of some texts together.
pub(super) fn together(texts: &[String]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    texts.iter().for_each(|text| contents::field(&mut hasher, text.as_bytes()));
    hasher.finish()
}
