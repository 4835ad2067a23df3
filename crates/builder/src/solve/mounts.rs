//! What a RUN has mounted: files of contexts and stages, caches, memory, secrets.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hako_store::LayerDraft;
use hako_sys::confined::Root;

use super::CacheMount;
use super::key::Inputs;
use super::layered;
use super::run::Plan;
use super::source::Origin;
use super::stage::Stage;
use crate::cache::{Occupied, mount_name};
use crate::dockerfile::mount::{Cache, Kind, Mount, Secret};
use crate::dockerfile::{Run, mount};
use crate::files::contents;
use crate::files::place::{Manners, Placer};
use crate::files::select::{Selection, Source, select};
use crate::files::tree::Tree;
use crate::progress::Event;
use crate::workshop::{Mounted, Relay, StepMount};
use crate::{Error, Result};

/// A mount with its origin found.
pub(super) struct Wanted {
    mount: Mount,
    target: String,
    origin: Option<Origin>,
    files: Option<Files>,
}

/// Files a mount shows.
struct Files {
    tree: Arc<Tree>,
    sources: Vec<Source>,
    digest: String,
}

impl Wanted {
    /// What of it matters for the result: not what is in caches, never secrets.
    pub(super) fn describe(&self, inputs: &mut Inputs) {
        let name = format!("mount {}", self.target);
        match (&self.mount.kind, &self.files) {
            (Kind::Bind { .. }, Some(files)) => inputs.add(&name, format!("{} {}", self.mount.read_only, files.digest)),
            (Kind::Bind { source, .. }, None) => inputs.add(&name, source),
            (Kind::Cache(cache), _) => inputs.add(&name, format!("cache {:?}", cache.id)),
            (Kind::Tmpfs { size }, _) => inputs.add(&name, format!("tmpfs {size:?}")),
            (Kind::Secret(secret), _) => inputs.add(&name, format!("secret {:?} {:?}", secret.id, secret.env)),
            (Kind::Ssh(ssh), _) => {
                inputs.add(&name, format!("ssh {:?}{}", ssh.id, if ssh.required { " required" } else { "" }))
            }
        }
    }
}

impl Wanted {
    /// The cache mount it is, if it is one.
    pub(super) fn cache(&self) -> Option<CacheMount> {
        match &self.mount.kind {
            Kind::Cache(cache) => Some(self.known(cache)),
            _ => None,
        }
    }

    fn known(&self, cache: &Cache) -> CacheMount {
        let id = cache.id.clone().unwrap_or_else(|| self.target.clone());
        // A cache that begins with something else is another cache.
        let origin = match &self.origin {
            Some(Origin::Layers(state)) => state.top().map_or_else(String::new, |top| top.to_string()),
            _ => String::new(),
        };
        CacheMount { name: mount_name(&id, &origin, &cache.source), id, sharing: cache.sharing }
    }
}

impl Stage<'_, '_, '_> {
    /// Finds where mounts take their files from; waits for stages.
    pub(super) fn mounts(&self, run: &Run, step: usize) -> Result<Vec<Wanted>> {
        run.mounts.iter().map(|text| self.mount(text, step)).collect()
    }

    fn mount(&self, text: &str, step: usize) -> Result<Wanted> {
        let text = self.scope.expand(&self.state, text)?;
        let mount = mount::parse(&text).map_err(Error::refused)?;
        let target = self.target(&mount);
        let (origin, files) = match &mount.kind {
            Kind::Bind { from, source } => {
                let origin = self.origin(from.as_deref(), step)?;
                let files = self.files(&origin, source)?;
                (Some(origin), Some(files))
            }
            Kind::Cache(Cache { from: Some(from), .. }) => (Some(self.origin(Some(from), step)?), None),
            _ => (None, None),
        };
        Ok(Wanted { mount, target, origin, files })
    }

    fn target(&self, mount: &Mount) -> String {
        let secret_name = |secret: &Secret| {
            let id = secret.id.clone().unwrap_or_default();
            format!("/run/secrets/{}", id.rsplit('/').next().unwrap_or_default())
        };
        let target = match (&mount.target, &mount.kind) {
            (Some(target), _) => target.clone(),
            (None, Kind::Secret(secret)) => secret_name(secret),
            (None, _) => "/run/buildkit/ssh_agent.0".to_owned(),
        };
        self.state.path(&target).trim_end_matches('/').to_owned()
    }

    fn files(&self, origin: &Origin, source: &str) -> Result<Files> {
        let tree = self.tree(origin, &[source.to_owned()])?;
        // Layers have a digest already, as long as all of them is meant.
        let whole = source.trim_matches('/').is_empty();
        if let (Origin::Layers(state), true) = (origin, whole) {
            let digest = state.top().map_or_else(String::new, |top| top.to_string());
            return Ok(Files { tree, sources: Vec::new(), digest });
        }
        let sources = select(&tree, &[source.to_owned()], &Selection::default())?;
        let digest = contents::digest(&tree, &sources, &self.build.tools.cache.memory)?.to_string();
        Ok(Files { tree, sources, digest })
    }
}

/// Everything mounted for one RUN; what was made for that goes with it.
pub(super) struct Furniture<'a> {
    pub(super) mounts: Vec<StepMount>,
    /// Secrets that are variables.
    pub(super) env: Vec<String>,
    scratch: PathBuf,
    /// The step all this is for.
    step: usize,
    /// Parts with a life of their own.
    drafts: Vec<LayerDraft>,
    caches: Vec<Occupied<'a>>,
    /// What answers on sockets, as long as it lives.
    agents: Vec<Box<dyn Relay>>,
}

impl Drop for Furniture<'_> {
    fn drop(&mut self) {
        // Swept at the next start otherwise.
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// Where every container has something mounted.
const USUAL: [&str; 6] = ["dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf"];

impl<'a> Furniture<'a> {
    /// Makes everything ready.
    pub(super) fn gather(
        stage: &Stage<'_, 'a, '_>,
        plan: &Plan,
        wanted: &[Wanted],
        draft: &LayerDraft,
        step: usize,
    ) -> Result<Self> {
        let scratch = stage.build.tools.store.scratch()?;
        let mut furniture = Self {
            mounts: Vec::new(),
            env: Vec::new(),
            scratch,
            step,
            drafts: Vec::new(),
            caches: Vec::new(),
            agents: Vec::new(),
        };
        if let Some((name, text)) = &plan.script {
            furniture.script(name, text)?;
        }
        for wanted in wanted {
            furniture.add(stage, wanted)?;
        }
        furniture.lay_stubs(stage, wanted, plan, draft)?;
        Ok(furniture)
    }

    /// The layer of places for mounts.
    pub(super) fn stubs(&self) -> Option<PathBuf> {
        Some(self.scratch.join("stubs"))
    }

    /// Makes the places in a layer below all others, where they show only if nothing else is there.
    fn lay_stubs(&self, stage: &Stage<'_, '_, '_>, wanted: &[Wanted], plan: &Plan, draft: &LayerDraft) -> Result<()> {
        let stubs = self.scratch.join("stubs");
        std::fs::create_dir(&stubs).map_err(|cause| Error::io("make scratch directory", cause))?;
        let root = Root::open(&stubs)?;
        let view = match draft.lowers() {
            [] => None,
            lowers => Some(stage.build.tools.store.rootfs(lowers)?),
        };
        let files = |wanted: &&Wanted| match (&wanted.mount.kind, &wanted.files) {
            (Kind::Secret(_) | Kind::Ssh(_), _) => true,
            (_, Some(files)) => files.sources.iter().any(|source| !source.top.is_directory()),
            _ => false,
        };
        let mut places: Vec<(String, bool)> =
            USUAL.iter().map(|path| ((*path).to_owned(), path.starts_with("etc"))).collect();
        // A secret that nobody has leaves no trace.
        let mounted = |wanted: &&Wanted| self.mounts.iter().any(|mount| mount.target == wanted.target);
        places.extend(wanted.iter().filter(mounted).map(|wanted| (wanted.target.clone(), files(&wanted))));
        if plan.script.is_some() {
            places.push(("dev/pipes".to_owned(), false));
        }
        for (path, is_file) in places {
            let path = Path::new("/").join(path);
            let real = view.as_ref().map(|view| hako_store::tree::resolve(view.as_fd(), &path)).transpose()?;
            stub(&root, real.as_deref().unwrap_or(&path), is_file)?;
        }
        Ok(())
    }

    fn script(&mut self, name: &str, text: &str) -> Result<()> {
        use std::io::Write;
        let folder = self.scratch.join("pipes");
        let failed = |cause| Error::io("write script", cause);
        std::fs::create_dir(&folder).map_err(failed)?;
        let root = Root::open(&folder)?;
        root.create(Path::new(name), 0o755)?.write_all(text.as_bytes()).map_err(failed)?;
        root.chmod(Path::new(name), 0o755)?;
        let what = Mounted::Path(folder);
        self.mounts.push(StepMount { target: "/dev/pipes".to_owned(), read_only: true, what });
        Ok(())
    }

    fn add(&mut self, stage: &Stage<'_, 'a, '_>, wanted: &Wanted) -> Result<()> {
        let what = match &wanted.mount.kind {
            Kind::Bind { source, .. } => self.bind(stage, wanted, source)?,
            Kind::Cache(cache) => self.cache(stage, wanted, cache)?,
            Kind::Tmpfs { size } => Mounted::Memory(*size),
            Kind::Secret(secret) => match self.secret(stage, wanted, secret)? {
                Some(what) => what,
                None => return Ok(()),
            },
            Kind::Ssh(ssh) => match self.agent(stage, wanted, ssh)? {
                Some(what) => what,
                None => return Ok(()),
            },
        };
        let read_only = wanted.mount.read_only;
        self.mounts.push(StepMount { target: wanted.target.clone(), read_only, what });
        Ok(())
    }

    fn bind(&mut self, stage: &Stage<'_, 'a, '_>, wanted: &Wanted, source: &str) -> Result<Mounted> {
        match (&wanted.origin, &wanted.files) {
            (Some(Origin::Layers(state)), _) => {
                let store = stage.build.tools.store;
                let lowers = state.lowers(store)?;
                match layered::find(store, &lowers, source)? {
                    layered::Found::File(path) => Ok(Mounted::Path(path)),
                    layered::Found::Folder(lowers) => self.folder(stage, lowers, wanted.mount.read_only),
                }
            }
            (_, Some(files)) => self.snapshot(stage, files),
            _ => Err(Error::refused("a bind mount has no source")),
        }
    }

    fn folder(&mut self, stage: &Stage<'_, '_, '_>, lowers: Vec<PathBuf>, read_only: bool) -> Result<Mounted> {
        match (&lowers[..], read_only) {
            ([only], true) => Ok(Mounted::Path(only.clone())),
            (_, true) => Ok(Mounted::Layers { lowers, changes: None }),
            (_, false) => {
                // Changes are thrown away with the draft.
                let draft = stage.build.tools.store.layers().draft(None)?;
                let changes = Some((draft.upper(), draft.work()));
                self.drafts.push(draft);
                Ok(Mounted::Layers { lowers, changes })
            }
        }
    }

    /// The caller's files are copied: a step must not see them change, nor what is left out, nor change them.
    fn snapshot(&mut self, stage: &Stage<'_, '_, '_>, files: &Files) -> Result<Mounted> {
        let draft = stage.build.tools.store.layers().draft(None)?;
        let manners = Manners::default();
        let mut placer = Placer::new(&draft, None, &manners)?;
        let folder = files.sources.iter().any(|source| source.top.is_directory());
        placer.copy(&files.tree, &files.sources, if folder { "/" } else { "/file" })?;
        let upper = draft.upper();
        let path = if folder { upper } else { upper.join("file") };
        self.drafts.push(draft);
        Ok(Mounted::Path(path))
    }

    fn cache(&mut self, stage: &Stage<'_, 'a, '_>, wanted: &Wanted, cache: &Cache) -> Result<Mounted> {
        let tools = &stage.build.tools;
        let known = wanted.known(cache);
        let tell = |text: &str| stage.build.tell(Event::Note { step: self.step, text: text.to_owned() });
        let begin = |scratch: &Path, fresh: bool| {
            let refilled = tools.workshop.refill(&known.name, scratch, tools.cancel, &tell)?;
            if refilled.is_some() || !fresh {
                return Ok(refilled);
            }
            let path = scratch.join("new");
            std::fs::create_dir(&path).map_err(|cause| Error::io("make cache directory", cause))?;
            Self::begin_cache(stage, wanted, cache, &path)?;
            Ok(Some(path))
        };
        let occupied = tools.cache.occupy(&known.name, cache.sharing, tools.cancel, &begin)?;
        let path = occupied.path().to_owned();
        self.caches.push(occupied);
        Ok(Mounted::Path(path))
    }

    fn begin_cache(stage: &Stage<'_, '_, '_>, wanted: &Wanted, cache: &Cache, path: &Path) -> Result<()> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let failed = |cause| Error::io("make cache directory", cause);
        let mode = cache.owner.mode.unwrap_or(0o755);
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(failed)?;
        chown(path, Some(cache.owner.uid), Some(cache.owner.gid)).map_err(failed)?;
        let Some(origin) = &wanted.origin else { return Ok(()) };
        let tree = stage.tree(origin, std::slice::from_ref(&cache.source))?;
        let sources = select(&tree, std::slice::from_ref(&cache.source), &Selection::default())?;
        let manners = Manners::default();
        Placer::into(path, &manners)?.copy(&tree, &sources, "/")
    }

    /// A socket that leads to an agent of the caller's.
    fn agent(&mut self, stage: &Stage<'_, '_, '_>, wanted: &Wanted, ssh: &Secret) -> Result<Option<Mounted>> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let id = ssh.id.clone().unwrap_or_else(|| "default".to_owned());
        let socket = self.scratch.join(format!("agent-{}", self.agents.len()));
        let Some(relay) = stage.build.tools.workshop.agent(&id, &socket)? else {
            return if ssh.required { Err(Error::refused(format!("unset ssh forward key {id}"))) } else { Ok(None) };
        };
        let failed = |cause| Error::io("open the way to the ssh agent", cause);
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(ssh.owner.mode.unwrap_or(0o600)))
            .map_err(failed)?;
        chown(&socket, Some(ssh.owner.uid), Some(ssh.owner.gid)).map_err(failed)?;
        if self.agents.is_empty() {
            self.env.push(format!("SSH_AUTH_SOCK={}", wanted.target));
        }
        self.agents.push(relay);
        Ok(Some(Mounted::Path(socket)))
    }

    fn secret(&mut self, stage: &Stage<'_, '_, '_>, wanted: &Wanted, secret: &Secret) -> Result<Option<Mounted>> {
        let id = secret.id.clone().unwrap_or_else(|| wanted.target.rsplit('/').next().unwrap_or_default().to_owned());
        let given = stage.build.request.secrets.get(&id).cloned();
        let Some(found) = given.map_or_else(|| stage.build.tools.workshop.secret(&id), |given| Ok(Some(given)))? else {
            return if secret.required { Err(Error::refused(format!("secret {id}: not found"))) } else { Ok(None) };
        };
        if let Some(name) = &secret.env {
            let value = String::from_utf8(found.0.clone())
                .map_err(|_| Error::refused(format!("secret {id} is no text and cannot be a variable")))?;
            self.env.push(format!("{name}={value}"));
            if wanted.mount.target.is_none() {
                return Ok(None);
            }
        }
        let owner = secret.owner;
        let mode = owner.mode.unwrap_or(0o400);
        Ok(Some(Mounted::Secret { content: found, mode, uid: owner.uid, gid: owner.gid }))
    }
}

/// Makes a place for a mount, and the folders it is in.
fn stub(root: &Root, path: &Path, is_file: bool) -> Result<()> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    if relative.as_os_str().is_empty() {
        return Ok(());
    }
    if !is_file {
        return Ok(root.mkdir_all(relative, 0o755).map(drop)?);
    }
    let parent = relative.parent().unwrap_or(Path::new(""));
    if !parent.as_os_str().is_empty() {
        root.mkdir_all(parent, 0o755)?;
    }
    match root.create(relative, 0o644) {
        Ok(_) => Ok(()),
        Err(_) if root.exists(relative) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
