//! What is wrong with the file a container was to execute. Every path is looked up inside the container's own files.

use std::os::fd::OwnedFd;
use std::path::Path;

use hako_model::mount::Origin;
use hako_model::program::{Format, HEAD};
use hako_model::verdict::Flaw;
use hako_sys::confined::Root;
use rustix::fs::FileType;

use crate::container::Container;
use crate::containers::{archive, mounts};
use crate::house::House;
use crate::record::Record;

/// A container's files, as far as they are there while it does not run.
struct Files {
    root: Root,
    /// Bind mounts: where they are, and the directories of the host.
    mounts: Vec<(String, Root)>,
}

impl Files {
    fn open(house: &House, container: &Container) -> Option<Self> {
        let record = container.record();
        let root: OwnedFd = archive::layers(house, container).ok()?;
        let mounted = |plan: &hako_model::mount::Plan| {
            let source = match &plan.origin {
                Origin::Bind(bind) => bind.source.clone().into(),
                Origin::Volume(volume) => house.store.volumes().get(&volume.name).ok()?.mountpoint,
                Origin::Image(files) => {
                    let found = mounts::image_files(house, files).ok()?;
                    return Some((plan.target.clone(), Root::from_fd(found)));
                }
                Origin::Tmpfs(_) => return None,
            };
            Some((plan.target.clone(), Root::open(&source).ok()?))
        };
        Some(Self { root: Root::from_fd(root), mounts: record.mounts.iter().filter_map(mounted).collect() })
    }

    /// The root a path is looked up in, and the path there.
    fn place<'a>(&'a self, path: &'a Path) -> (&'a Root, &'a Path) {
        let inside = self.mounts.iter().filter_map(|(target, root)| Some((root, path.strip_prefix(target).ok()?)));
        inside.min_by_key(|(_, rest)| rest.as_os_str().len()).unwrap_or((&self.root, path))
    }

    fn mode(&self, path: &str) -> Option<u32> {
        let (root, path) = self.place(Path::new(path));
        root.metadata(path).ok().map(|stat| stat.st_mode)
    }

    fn is_there(&self, path: &str) -> bool {
        self.mode(path).is_some()
    }

    fn head(&self, path: &str) -> Option<Vec<u8>> {
        use std::io::Read as _;
        let (root, path) = self.place(Path::new(path));
        let mut head = Vec::new();
        root.open_regular(path).ok()?.take(HEAD as u64).read_to_end(&mut head).ok()?;
        Some(head)
    }
}

/// What is wrong with the program of a container, if its file says so.
pub(super) fn flaw(house: &House, container: &Container) -> Option<Flaw> {
    let record = container.record();
    let error = container.status().error.clone();
    // Other failures have other reasons, whatever the file is like.
    let concerns = ["exec: ", "exec format error", "executable file not found", "permission denied", "no such file"];
    if !concerns.iter().any(|text| error.contains(text)) || error.contains("mount") {
        return None;
    }
    let files = Files::open(house, container)?;
    examine(&files, &record)
}

fn examine(files: &Files, record: &Record) -> Option<Flaw> {
    let program = record.command().into_iter().next()?;
    let path = search_path(record);
    let missing = |searched: &str| Flaw::Missing { program: program.clone(), searched: searched.to_owned() };
    let found = if program.contains('/') {
        let full = if program.starts_with('/') { program.clone() } else { format!("{}/{program}", directory(record)) };
        files.is_there(&full).then_some(full).ok_or_else(|| missing(""))
    } else {
        let candidates = path.split(':').map(|place| format!("{}/{program}", place.trim_end_matches('/')));
        let executable = |mode: u32| FileType::from_raw_mode(mode).is_file() && mode & 0o111 != 0;
        let all: Vec<String> = candidates.filter(|candidate| files.is_there(candidate)).collect();
        let best = all.iter().find(|candidate| files.mode(candidate).is_some_and(executable)).or(all.first());
        best.cloned().ok_or_else(|| missing(&path))
    };
    match found {
        Ok(found) => of_file(files, found, &path),
        Err(flaw) => Some(flaw),
    }
}

fn of_file(files: &Files, path: String, search: &str) -> Option<Flaw> {
    let mode = files.mode(&path)?;
    if FileType::from_raw_mode(mode).is_dir() {
        return Some(Flaw::Directory { path });
    }
    if mode & 0o111 == 0 {
        return Some(Flaw::NotExecutable { path, mode: mode & 0o7777 });
    }
    let here = machine();
    match Format::of(&files.head(&path)?) {
        Format::Elf { machine, .. } if machine != here && !(machine == "386" && here == "amd64") => {
            Some(Flaw::WrongMachine { path, machine })
        }
        Format::Elf { linker: Some(interpreter), .. } if !files.is_there(&interpreter) => {
            Some(Flaw::NoInterpreter { path, interpreter, script: false })
        }
        Format::Script { interpreter, carriage_return: true, argument } => {
            let shown = if argument.is_empty() { interpreter } else { format!("{interpreter} {argument}") };
            Some(Flaw::CarriageReturn { path, interpreter: shown })
        }
        Format::Script { interpreter, .. } if !files.is_there(&interpreter) => {
            Some(Flaw::NoInterpreter { path, interpreter, script: true })
        }
        Format::Script { interpreter, argument, .. } if interpreter.ends_with("/env") => {
            let wanted = argument.split_whitespace().find(|word| !word.starts_with('-'))?.to_owned();
            let there = search.split(':').any(|place| files.is_there(&format!("{place}/{wanted}")));
            (!there).then_some(Flaw::NoInterpreter { path, interpreter: wanted, script: true })
        }
        Format::Empty => Some(Flaw::NoFormat { path, empty: true }),
        Format::Text | Format::Unknown => Some(Flaw::NoFormat { path, empty: false }),
        Format::Elf { .. } | Format::Script { .. } => None,
    }
}

fn directory(record: &Record) -> &str {
    record.config.working_dir.trim_end_matches('/')
}

fn search_path(record: &Record) -> String {
    const DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let set = record.config.env.iter().flatten().rev().find_map(|pair| pair.strip_prefix("PATH="));
    set.unwrap_or(DEFAULT).to_owned()
}

/// Docker's word for this host's processor.
pub(super) fn machine() -> String {
    hako_model::platform::Platform::host().architecture
}
