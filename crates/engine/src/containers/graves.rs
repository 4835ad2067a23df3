//! The files of removed containers, which go after the containers have.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;

/// Deletes them one after the other: when two hundred containers are removed at once, their files do not keep the
/// processors from ending them. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Graves {
    /// What waits; `None` if nobody digs.
    waiting: Arc<Mutex<Option<VecDeque<PathBuf>>>>,
}

impl Graves {
    /// Deletes a tree when it is its turn.
    pub(crate) fn bury(&self, grave: PathBuf) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = &mut *waiting {
            queue.push_back(grave);
            return;
        }
        *waiting = Some(VecDeque::from([grave]));
        let graves = self.clone();
        tokio::task::spawn_blocking(move || {
            while let Some(grave) = graves.next() {
                delete(&grave);
            }
        });
    }

    /// Deletes a tree at once; to be awaited by whoever needs the room.
    pub(crate) fn bury_now(grave: PathBuf) -> JoinHandle<()> {
        tokio::task::spawn_blocking(move || delete(&grave))
    }

    /// What is to go next. With nothing left, whoever digs is to stop.
    fn next(&self) -> Option<PathBuf> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let next = waiting.as_mut().and_then(VecDeque::pop_front);
        if next.is_none() {
            *waiting = None;
        }
        next
    }
}

fn delete(grave: &Path) {
    if let Err(error) = std::fs::remove_dir_all(grave)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %grave.display(), "remains of a removed container");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_go_in_turn_and_the_engine_waits_for_them_when_it_leaves() {
        let place = tempfile::tempdir().unwrap();
        let trees: Vec<PathBuf> = (0..20).map(|number| place.path().join(number.to_string())).collect();
        trees.iter().for_each(|tree| std::fs::create_dir_all(tree.join("of/some/depth")).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let graves = Graves::default();
        runtime.block_on(async {
            trees[..19].iter().for_each(|tree| graves.bury(tree.clone()));
            graves.bury(place.path().join("never-was"));
            Graves::bury_now(trees[19].clone()).await.unwrap();
            assert!(!trees[19].exists());
        });
        drop(runtime);
        assert!(trees.iter().all(|tree| !tree.exists()));
        assert!(graves.waiting.lock().unwrap().is_none(), "nobody digs any more");
    }
}
