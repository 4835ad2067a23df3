//! What all verbs share, and how it is opened.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use hako_model::digest::Digest;
use hako_model::event::Kind;
use hako_model::id::ContainerId;
use hako_store::Store;
use hako_sys::cgroup::Group;

use crate::container::Container;
use crate::events::Hub;
use crate::images::Images;
use crate::index::Index;
use crate::layout::Layout;
use crate::life::{Link, Spares};
use crate::networks::Catalogue;
use crate::oci::user::Accounts;
use crate::support::Support;
use crate::{Error, Result, Settings};

/// What all verbs share.
pub(crate) struct House {
    pub(crate) settings: Settings,
    pub(crate) layout: Layout,
    pub(crate) store: Store,
    pub(crate) index: Index,
    pub(crate) hub: Hub,
    pub(crate) spares: Spares,
    pub(crate) networks: Catalogue,
    pub(crate) images: OnceLock<Images>,
    /// Where container cgroups are made, below each hierarchy's root.
    pub(crate) cgroup_parent: String,
    /// What the host's control groups can enforce; looked at once they show it.
    support: OnceLock<Support>,
    /// What earlier builds made.
    pub(crate) cache: hako_builder::cache::Shared,
    /// The engine's id.
    pub(crate) engine_id: String,
    /// Account files by image.
    pub(crate) accounts: Mutex<HashMap<Digest, Arc<Accounts>>>,
    /// What is left of removed containers.
    pub(crate) graves: crate::containers::Graves,
    /// Who follows which logs.
    pub(crate) news: crate::news::News,
    /// When jobs are due.
    pub(crate) due: crate::jobs::Due,
    /// Told when a container with a schedule is made.
    pub(crate) scheduled: tokio::sync::Notify,
}

impl House {
    /// Opens what lies on disk. Containers are found later ([`crate::boot`]). Blocks.
    pub(crate) fn open(settings: Settings) -> Result<Self> {
        let layout = Layout::new(&settings.data_root, &settings.exec_root);
        make_directories(&layout)?;
        let store = Store::open(&layout.data_root).map_err(|e| Error::io("open store", e))?;
        let cgroup_parent = settings.cgroup_parent.clone().unwrap_or_else(|| layout.cgroup_parent());
        let cgroup_parent = format!("/{}", cgroup_parent.trim_matches('/'));
        Ok(Self {
            hub: Hub::open(&layout.events())?,
            spares: Spares::new(settings.spares, settings.binary.clone(), cgroup_parent.clone()),
            networks: Catalogue::open(&layout, &settings)?,
            cache: Arc::new(open_cache(&layout, &store)?),
            engine_id: engine_id(&layout)?,
            index: Index::default(),
            graves: crate::containers::Graves::default(),
            images: OnceLock::new(),
            support: OnceLock::new(),
            accounts: Mutex::default(),
            due: Mutex::default(),
            news: crate::news::News::default(),
            scheduled: tokio::sync::Notify::new(),
            cgroup_parent,
            settings,
            layout,
            store,
        })
    }

    /// What the host's control groups can enforce.
    pub(crate) fn support(&self) -> Result<Support> {
        if let Some(support) = self.support.get() {
            return Ok(*support);
        }
        let (support, certain) = Support::of(&self.cgroup_parent)?;
        if certain {
            let _ = self.support.set(support);
        }
        Ok(support)
    }

    /// Tells an event about a container.
    pub(crate) fn tell(&self, container: &Container, action: &str) {
        self.hub.tell(Kind::Container, action, container.id.as_str(), container.attributes());
    }

    /// Takes the bridges, their rules and the parent of all cgroups off the host; the next start makes them again. Blocks.
    pub(crate) fn clear(&self) {
        self.networks.clear();
        // Nothing was ever started, or somebody else put a group there: both are fine.
        let cleared = Group::open(&self.cgroup_parent).and_then(|group| group.delete());
        if let Err(error) = cleared {
            tracing::debug!(%error, "cgroup parent stays");
        }
    }

    /// The supervisor of a container: the one it has, or one assigned to it now, whose story is followed from here on.
    pub(crate) fn supervisor(self: &Arc<Self>, container: &Arc<Container>) -> Result<Arc<Link>> {
        let mut inside = container.inside();
        if let Some(link) = inside.link.as_ref().filter(|link| link.is_open()) {
            return Ok(Arc::clone(link));
        }
        let link = self.spares.take()?;
        inside.link = Some(Arc::clone(&link));
        drop(inside);
        crate::life::follow(self, container, &link, 0);
        Ok(link)
    }

    /// The control group of a container, from the root of every hierarchy.
    pub(crate) fn cgroup(&self, container: &Container) -> String {
        cgroup_path(&self.cgroup_parent, &container.record().host_config.resources.cgroup_parent, &container.id)
    }

    /// The control group as it is now.
    pub(crate) fn group(&self, container: &Container) -> Result<Group> {
        let given = container.inside().run.cgroup.clone();
        let path = if given.is_empty() { self.cgroup(container) } else { given };
        Group::open(&path).map_err(|e| Error::io("open cgroup", e))
    }
}

/// `--cgroup-parent` or the instance's own, and the id.
fn cgroup_path(parent: &str, asked: &str, id: &ContainerId) -> String {
    let parent = if asked.is_empty() { parent } else { asked };
    format!("/{}/{id}", parent.trim_matches('/'))
}

fn open_cache(layout: &Layout, store: &Store) -> Result<hako_builder::cache::Cache> {
    hako_builder::cache::Cache::open(&layout.builds(), store.clone()).map_err(|e| Error::io("open build cache", e))
}

fn make_directories(layout: &Layout) -> Result<()> {
    let make = |path: &Path, mode: u32| {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
        made.map_err(|e| Error::io(format!("make {}", path.display()), e))
    };
    make(&layout.data_root, 0o710)?;
    make(&layout.containers(), 0o710)?;
    make(&layout.network(), 0o700)?;
    make(&layout.builds(), 0o700)?;
    make(&layout.steps(), 0o700)?;
    make(&layout.tmp(), 0o700)?;
    make(&layout.exec_root, 0o711)?;
    make(&layout.names(), 0o700)?;
    make(&layout.supervisors(), 0o700)
}

fn engine_id(layout: &Layout) -> Result<String> {
    let path = layout.data_root.join("engine-id");
    if let Ok(id) = std::fs::read_to_string(&path) {
        return Ok(id.trim().to_owned());
    }
    let hex = hako_sys::random::hex(16).map_err(|e| Error::io("make engine id", e))?;
    let id = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    std::fs::write(&path, format!("{id}\n")).map_err(|e| Error::io("save engine id", e))?;
    Ok(id)
}
