//! Small files read before the packer needs them, by threads of their own: opening many files takes longer than anything
//! else that packing does.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::{Error, Result};

/// Contents up to this size are read whole.
const SMALL: u64 = 32 << 10;

/// How many files are ordered at once.
const BATCH: usize = 16;

/// How many files of a directory are not ordered: read while the first order is on its way.
const OWN: usize = 8;

/// How many orders may be on their way: what bounds memory and descriptors.
const ORDERS: usize = 8;

/// The most threads.
const THREADS: usize = 4;

/// A file as it was found.
pub(super) struct Loaded {
    pub(super) stat: Stat,
    /// All of them, whoever they belong to.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) content: Content,
}

/// What a file holds.
pub(super) enum Content {
    Whole(Vec<u8>),
    Open(OwnedFd),
}

/// A file that vanished, or became something else, since it was listed is none.
type Outcome = Result<Option<Loaded>>;

struct Order {
    directory: OwnedFd,
    names: Vec<OsString>,
    answer: SyncSender<Vec<Outcome>>,
}

/// The threads. They end when this is dropped.
#[derive(Default)]
pub(super) struct Readers {
    orders: Option<Sender<Order>>,
    threads: Vec<JoinHandle<()>>,
    on_way: usize,
}

impl Readers {
    fn order(&mut self, directory: &OwnedFd, names: Vec<OsString>) -> Result<Receiver<Vec<Outcome>>> {
        let directory = directory.try_clone().map_err(Error::io("open", "directory"))?;
        let (answer, coming) = sync_channel(1);
        if self.orders.is_none() {
            self.begin();
        }
        let orders = self.orders.as_ref().and_then(|orders| orders.send(Order { directory, names, answer }).ok());
        orders.ok_or_else(|| Error::Abandoned { what: "files to be packed".to_owned() })?;
        self.on_way += 1;
        Ok(coming)
    }

    fn begin(&mut self) {
        let (orders, incoming) = channel::<Order>();
        let incoming = Arc::new(Mutex::new(incoming));
        let count = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(1, THREADS);
        self.threads = (0..count)
            .map(|_| {
                let incoming = Arc::clone(&incoming);
                std::thread::spawn(move || work(&incoming))
            })
            .collect();
        self.orders = Some(orders);
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.orders = None;
        for thread in self.threads.drain(..) {
            // One that panicked has left its order unanswered, which was an error already.
            let _ = thread.join();
        }
    }
}

fn work(incoming: &Mutex<Receiver<Order>>) {
    loop {
        let next = incoming.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(order) = next else { return };
        let loaded = order.names.iter().map(|name| load(&order.directory, name)).collect();
        // Whoever ordered it may have given up.
        let _ = order.answer.send(loaded);
    }
}

/// The files of one directory, in the order in which they will be asked for.
#[derive(Default)]
pub(super) struct Shelf {
    /// Those nobody else reads.
    own: VecDeque<OsString>,
    names: VecDeque<OsString>,
    coming: VecDeque<Receiver<Vec<Outcome>>>,
    here: VecDeque<Outcome>,
}

impl Shelf {
    pub(super) fn new(names: impl Iterator<Item = OsString>) -> Self {
        Self { names: names.collect(), ..Self::default() }
    }

    /// The next file of `directory`.
    pub(super) fn next(&mut self, directory: &OwnedFd, readers: Option<&mut Readers>) -> Outcome {
        if self.here.is_empty()
            && self.own.is_empty()
            && let Some(readers) = readers
        {
            self.restock(directory, readers)?;
        }
        match self.here.pop_front() {
            Some(outcome) => outcome,
            None => {
                self.own.pop_front().or_else(|| self.names.pop_front()).map_or(Ok(None), |name| load(directory, &name))
            }
        }
    }

    fn restock(&mut self, directory: &OwnedFd, readers: &mut Readers) -> Result<()> {
        // A handful is not worth the threads.
        let is_new = self.coming.is_empty();
        let few = is_new && self.names.len() < BATCH;
        if is_new && !few {
            self.own = self.names.drain(..OWN).collect();
        }
        while !few && readers.on_way < ORDERS && !self.names.is_empty() {
            let count = self.names.len().min(BATCH);
            let coming = readers.order(directory, self.names.drain(..count).collect())?;
            self.coming.push_back(coming);
        }
        if !self.own.is_empty() {
            return Ok(());
        }
        let Some(coming) = self.coming.pop_front() else { return Ok(()) };
        readers.on_way -= 1;
        let loaded = coming.recv().map_err(|_| Error::Abandoned { what: "files to be packed".to_owned() })?;
        self.here = loaded.into();
        Ok(())
    }
}

/// Opens a file, and reads it if it is small.
pub(super) fn load(directory: &OwnedFd, name: &OsStr) -> Outcome {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        opened => opened.map_err(Error::io("open", name.to_string_lossy()))?,
    };
    let stat = rustix::fs::fstat(&fd).map_err(Error::io("stat", name.to_string_lossy()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let xattrs = attributes(&fd)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let content = match size <= SMALL {
        true => Content::Whole(read(&fd, size).map_err(Error::io("read", name.to_string_lossy()))?),
        false => Content::Open(fd),
    };
    Ok(Some(Loaded { stat, xattrs, content }))
}

/// Up to `size` bytes: less when the file shrank.
fn read(fd: &OwnedFd, size: u64) -> std::result::Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let mut have = 0;
    while have < bytes.len() {
        match rustix::io::read(fd, &mut bytes[have..]) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    bytes.truncate(have);
    Ok(bytes)
}

/// All extended attributes of an open file.
pub(super) fn attributes(fd: &OwnedFd) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    // Nearly nothing has any, and this is the quick way to know; a mere path cannot be asked so.
    if rustix::fs::flistxattr(fd, &mut [0_u8; 256]) == Ok(0) {
        return Ok(Vec::new());
    }
    Ok(hako_sys::file::xattrs(fd.as_fd())?)
}
