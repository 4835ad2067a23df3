//! Who follows which logs: told when one of them has grown, by one inotify instance for the whole engine.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hako_supervisor::log::config::LogConfig;
use hako_supervisor::log::watch::{Heard, Place, Watch};
use tokio::sync::watch;

use crate::readiness::Readiness;
use crate::{Error, Result};

/// All that is watched; nothing is until somebody follows.
#[derive(Default)]
pub(crate) struct News(Mutex<Option<Arc<Desk>>>);

/// The instance, and whom to tell.
struct Desk {
    watch: Watch,
    readers: Mutex<HashMap<Place, watch::Sender<()>>>,
}

/// One who follows a log, until dropped.
pub(crate) struct Subscription {
    desk: Arc<Desk>,
    place: Place,
    news: watch::Receiver<()>,
}

impl News {
    /// Tells from now on when a log has grown. Must be called on the runtime.
    pub(crate) fn subscribe(&self, config: &LogConfig) -> Result<Subscription> {
        let desk = self.desk()?;
        let mut readers = desk.readers();
        let place = desk.watch.add(config).map_err(|e| Error::io("watch log", e))?;
        let news = readers.entry(place).or_insert_with(|| watch::Sender::new(())).subscribe();
        drop(readers);
        Ok(Subscription { desk, place, news })
    }

    fn desk(&self) -> Result<Arc<Desk>> {
        let mut desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(desk) = &*desk {
            return Ok(Arc::clone(desk));
        }
        let watch = Watch::new().map_err(|e| Error::io("watch logs", e))?;
        let ready = Readiness::of(watch.as_fd()).map_err(|e| Error::io("watch logs", e))?;
        let made = Arc::new(Desk { watch, readers: Mutex::default() });
        tokio::spawn(pass_on(ready, Arc::downgrade(&made)));
        *desk = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl Desk {
    fn readers(&self) -> MutexGuard<'_, HashMap<Place, watch::Sender<()>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes on what is heard as long as there is a desk.
async fn pass_on(ready: Readiness, desk: Weak<Desk>) {
    while ready.readable().await.is_ok() {
        let Some(desk) = desk.upgrade() else { return };
        let mut readers = desk.readers();
        desk.watch.hear(|heard| match heard {
            Heard::More(place) => {
                if let Some(reader) = readers.get(&place) {
                    reader.send_replace(());
                }
            }
            Heard::Gone(place) => {
                readers.remove(&place);
            }
            Heard::Anything => readers.values().for_each(|reader| {
                reader.send_replace(());
            }),
        });
    }
}

impl Subscription {
    /// Waits until the log may have grown; `false` when it is gone.
    pub(crate) async fn more(&mut self) -> bool {
        self.news.changed().await.is_ok()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut readers = self.desk.readers();
        // This one still counts.
        if readers.get(&self.place).is_some_and(|reader| reader.receiver_count() <= 1) {
            readers.remove(&self.place);
            self.desk.watch.remove(self.place);
        }
    }
}
