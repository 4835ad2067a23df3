//! Files on their way into layers, on the real file system.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use hako_store::{ChainId, Store};

use super::*;
use crate::files::ignore::Ignore;
use crate::files::select::{Selection, select};
use crate::files::tree::TreeKind;

struct Bench {
    dir: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("context")).unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    fn context(&self) -> PathBuf {
        self.dir.path().join("context")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.context().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A layer of what `fill` puts into a directory.
    fn layer(&self, parent: Option<&ChainId>, fill: impl FnOnce(&Path)) -> ChainId {
        let draft = self.store.layers().draft(parent).unwrap();
        fill(&draft.upper());
        draft.freeze(None).unwrap().place(parent, None).unwrap().chain_id
    }

    fn copy(&self, parent: Option<&ChainId>, sources: &[&str], to: &str, manners: &Manners) -> Result<PathBuf> {
        let root = std::fs::File::open(self.context()).unwrap().into();
        let tree = Tree::new(root, Ignore::default(), TreeKind::Context);
        let sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
        let found = select(&tree, &sources, &Selection::default())?;
        let draft = self.store.layers().draft(parent)?;
        let view = parent.map(|_| self.store.rootfs(draft.lowers())).transpose()?;
        let mut placer = Placer::new(&draft, view.as_ref().map(AsFd::as_fd), manners)?;
        placer.copy(&tree, &found, to)?;
        let layer = draft.freeze(None)?.place(parent, None)?;
        Ok(self.store.layers().diff_dir(&layer.chain_id))
    }
}

fn text(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn destinations_mean_what_docker_says() {
    let bench = Bench::new();
    bench.write("a.txt", "a");
    bench.write("sub/x/y", "y");
    std::fs::set_permissions(bench.context().join("sub/x"), PermissionsExt::from_mode(0o1750)).unwrap();
    let base = bench.layer(None, |upper| {
        std::fs::create_dir_all(upper.join("real/deep")).unwrap();
        std::fs::set_permissions(upper.join("real"), PermissionsExt::from_mode(0o711)).unwrap();
        symlink("/real", upper.join("link")).unwrap();
    });
    let base = Some(&base);
    let plain = Manners::default();
    let copied = |sources: &[&str], to: &str| bench.copy(base, sources, to, &plain).unwrap();
    assert_eq!(text(copied(&["a.txt"], "/b").join("b")), "a");
    assert_eq!(text(copied(&["a.txt"], "/new/").join("new/a.txt")), "a");
    let linked = copied(&["a.txt"], "/link");
    assert_eq!(text(linked.join("real/a.txt")), "a");
    assert_eq!(std::fs::metadata(linked.join("real")).unwrap().mode() & 0o7777, 0o711);
    let folder = copied(&["sub"], "/link/deep");
    assert_eq!(text(folder.join("real/deep/x/y")), "y");
    assert_eq!(std::fs::metadata(folder.join("real/deep/x")).unwrap().mode() & 0o7777, 0o1750);
    let two = copied(&["a.txt", "sub"], "/two/");
    assert!(two.join("two/x/y").exists() && two.join("two/a.txt").exists());
}

#[test]
fn conflicts_are_told() {
    let bench = Bench::new();
    bench.write("a", "a");
    bench.write("d/f", "f");
    let base = bench.layer(None, |upper| {
        std::fs::create_dir_all(upper.join("t/f")).unwrap();
        std::fs::write(upper.join("file"), "").unwrap();
    });
    let refused =
        |sources: &[&str], to: &str| bench.copy(Some(&base), sources, to, &Manners::default()).unwrap_err().to_string();
    assert_eq!(refused(&["d"], "/t"), "cannot replace to directory /t/f with file");
    assert_eq!(refused(&["a"], "/file/x"), "cannot copy to non-directory: /file");
    assert!(refused(&["gone"], "/").contains("\"/gone\": not found"));
}

#[test]
fn links_in_a_context_lead_nowhere_else() {
    let bench = Bench::new();
    std::fs::write(bench.dir.path().join("outside"), "secret").unwrap();
    symlink("../outside", bench.context().join("up")).unwrap();
    symlink(bench.dir.path().join("outside"), bench.context().join("absolute")).unwrap();
    for source in ["up", "absolute", "../outside", "/../outside"] {
        let refused = bench.copy(None, &[source], "/x", &Manners::default()).unwrap_err();
        assert!(refused.to_string().contains("not found"), "{source}: {refused}");
    }
    bench.write("d/in", "in");
    symlink("../../outside", bench.context().join("d/link")).unwrap();
    let diff = bench.copy(None, &["d"], "/", &Manners::default()).unwrap();
    assert_eq!(std::fs::read_link(diff.join("link")).unwrap(), PathBuf::from("../../outside"));
}

#[test]
fn owners_and_modes_are_changed() {
    let bench = Bench::new();
    bench.write("d/a", "a");
    let manners = Manners { owner: Some((5, 6)), mode: Some(Chmod::Exactly(0o4711)), ..Manners::default() };
    let diff = bench.copy(None, &["d"], "/n/m", &manners).unwrap();
    let look = |path: &str| {
        let found = std::fs::metadata(diff.join(path)).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    assert_eq!(look("n"), (5, 6, 0o4711));
    assert_eq!(look("n/m"), (5, 6, 0o4711));
    assert_eq!(look("n/m/a"), (5, 6, 0o4711));
}

#[test]
fn twins_stay_twins_and_times_stay() {
    let bench = Bench::new();
    bench.write("d/one", "x");
    std::fs::hard_link(bench.context().join("d/one"), bench.context().join("d/two")).unwrap();
    let diff = bench.copy(None, &["d"], "/", &Manners::default()).unwrap();
    let look = |path: PathBuf| std::fs::metadata(path).unwrap();
    assert_eq!(look(diff.join("one")).ino(), look(diff.join("two")).ino());
    assert_eq!(look(diff.join("one")).mtime_nsec(), look(bench.context().join("d/one")).mtime_nsec());
}

#[test]
fn attributes_come_along() {
    let bench = Bench::new();
    bench.write("d/f", "x");
    bench.write("d/plain", "y");
    let file = std::fs::File::open(bench.context().join("d/f")).unwrap();
    hako_sys::file::set_xattr(file.as_fd(), b"user.mark", b"yes").unwrap();
    let diff = bench.copy(None, &["d"], "/", &Manners::default()).unwrap();
    let copied = std::fs::File::open(diff.join("f")).unwrap();
    assert_eq!(hako_sys::file::xattr(copied.as_fd(), b"user.mark").unwrap(), b"yes");
}

/// Copies the whole context as a layer of its own, after an earlier one; gives where its files lie, and what was placed.
fn after(bench: &Bench, model: Option<&Model>, manners: &Manners) -> (PathBuf, Vec<(String, Traits)>) {
    let root = std::fs::File::open(bench.context()).unwrap().into();
    let tree = Tree::new(root, Ignore::default(), TreeKind::Context);
    let found = select(&tree, &["/".to_owned()], &Selection::default()).unwrap();
    let draft = bench.store.layers().draft(None).unwrap();
    let mut placer = Placer::new(&draft, None, manners).unwrap().after(model);
    placer.copy(&tree, &found, "/to/").unwrap();
    let placed = placer.into_placed();
    let layer = draft.freeze(None).unwrap().place(None, None).unwrap();
    (bench.store.layers().diff_dir(&layer.chain_id), placed)
}

#[test]
fn files_that_did_not_change_are_shared_with_an_earlier_layer() {
    let bench = Bench::new();
    for number in 0..200 {
        bench.write(&format!("d{}/{number}", number / 50), &format!("file {number}"));
    }
    symlink("d0/0", bench.context().join("link")).unwrap();
    // What changed a moment ago may do so again unnoticed, and is not noted.
    let last = rustix::fs::stat(bench.context().join("d3/199")).unwrap();
    while Traits::of(&last, 0, (0, 0)).is_fresh() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let plain = Manners::default();
    let (first, placed) = after(&bench, None, &plain);
    assert_eq!(placed.len(), 200);
    let note = bench.dir.path().join("note");
    Model::note(&note, &placed).unwrap();
    let model = Model::open(&note, &first).unwrap();

    bench.write("d1/60", "another");
    std::fs::set_permissions(bench.context().join("d1/61"), PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::remove_file(bench.context().join("d1/62")).unwrap();
    bench.write("d1/62", "file 62");
    let (second, _) = after(&bench, Some(&model), &plain);
    let inode = |dir: &PathBuf, path: &str| std::fs::metadata(dir.join("to").join(path)).unwrap().ino();
    let shared: Vec<i32> = (0..200)
        .filter(|number| {
            let path = format!("d{}/{number}", number / 50);
            inode(&first, &path) == inode(&second, &path)
        })
        .collect();
    assert_eq!(shared.len(), 197);
    assert!([60, 61, 62].iter().all(|number| !shared.contains(number)));
    assert_eq!(text(second.join("to/d1/60")), "another");
    assert_eq!(text(first.join("to/d1/60")), "file 60");
    assert_eq!(std::fs::metadata(second.join("to/d1/61")).unwrap().mode() & 0o777, 0o600);
    assert!(std::fs::symlink_metadata(second.join("to/link")).unwrap().is_symlink());

    // Another owner is another file.
    let owned = Manners { owner: Some((7, 7)), ..Manners::default() };
    let (third, _) = after(&bench, Some(&model), &owned);
    assert_ne!(inode(&first, "d0/0"), inode(&third, "d0/0"));
}
