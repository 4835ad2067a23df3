//! Ways out of containers that take more than one command: exchanges under way, hostile first processes, libraries and
//! account files. `docs/security.md` says which class each test is about.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::house::{HAKO, House, await_that, run_tool};

/// Exchanges two names as fast as it can until it is dropped.
struct Exchange {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Exchange {
    fn of(one: PathBuf, other: PathBuf) -> Exchange {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut count = 0;
            while !seen.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).expect("an exchange");
                count += 1;
            }
            count
        });
        Exchange { over, thread: Some(thread) }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let count = self.thread.take().map(|thread| thread.join().unwrap_or(0));
        assert!(std::thread::panicking() || count > Some(100), "nothing was exchanged");
    }
}

/// A directory of the host nobody in a container may see, and a volume in which `place` is now a directory, now a link
/// to it.
fn shifting(house: &House) -> (PathBuf, Exchange) {
    let canary = house.path().join("canary");
    std::fs::create_dir_all(canary.join("below")).unwrap();
    std::fs::write(canary.join("secret"), "secret").unwrap();
    house.ok(["volume", "create", "shared"]);
    let data = house.data().join("volumes/shared/_data");
    std::fs::create_dir_all(data.join("place/below")).unwrap();
    std::fs::write(data.join("place/plain"), "plain").unwrap();
    symlink(&canary, data.join("link")).unwrap();
    let exchange = Exchange::of(data.join("place"), data.join("link"));
    (canary, exchange)
}

fn untouched(canary: &Path) {
    let mut names: Vec<_> = std::fs::read_dir(canary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["below", "secret"]);
    assert_eq!(std::fs::read_dir(canary.join("below")).unwrap().count(), 0, "something was made on the host");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(canary.to_str().unwrap()), "{mounts}");
}

#[test]
fn destinations_exchanged_while_a_third_container_mounts() {
    let house = House::new();
    let (canary, exchange) = shifting(&house);
    for round in 0..25 {
        let flags = ["run", "--rm", "--network", "none", "-v", "shared:/v", "--tmpfs", "/v/place/below"];
        let more = ["-v", "own:/v/place/new", "busybox", "sh", "-c", "cat /v/place/secret /v/*/secret 2>/dev/null; :"];
        // Whether it starts depends on what it finds.
        let ended = house.run(flags.iter().chain(&more));
        assert!(!ended.stdout.contains("secret"), "round {round}: {}", ended.stdout);
        let _ = std::fs::remove_dir(house.data().join("volumes/shared/_data/place/new"));
    }
    drop(exchange);
    untouched(&canary);
}

#[test]
fn a_part_of_a_volume_that_becomes_a_link() {
    let house = House::new();
    let (canary, exchange) = shifting(&house);
    let part = "type=volume,src=shared,dst=/part,volume-subpath=place";
    let mut plain = 0;
    for round in 0..40 {
        let arguments = ["run", "--rm", "--network", "none", "--mount", part, "busybox", "ls", "/part"];
        let ended = house.run(arguments);
        assert!(!ended.stdout.contains("secret"), "round {round}: {}", ended.stdout);
        plain += u32::from(ended.stdout.contains("plain"));
    }
    assert!(plain > 0, "never was it what it should be");
    drop(exchange);
    // And one that stays a link, asked for through a stopped container.
    let data = house.data().join("volumes/shared/_data");
    let link = if data.join("link").is_symlink() { "link" } else { "place" };
    let whole = if link == "link" { "place" } else { "link" };
    let part = format!("type=volume,src=shared,dst=/part,volume-subpath={whole}");
    house.ok(["create", "--name", "box", "--mount", &part, "busybox"]);
    renameat_with(CWD, data.join(whole), CWD, data.join(link), RenameFlags::EXCHANGE).unwrap();
    let ended = house.run(["cp", "box:/part/secret", "-"]);
    assert!(ended.code != 0 && !ended.stdout.contains("secret"), "{}", ended.stdout);
    untouched(&canary);
}

/// An image of busybox and some files.
fn image(house: &House, name: &str, fill: impl FnOnce(&Path)) {
    let root = house.path().join(name);
    std::fs::create_dir_all(&root).unwrap();
    run_tool("tar", ["-C", root.to_str().unwrap(), "-xf", crate::house::busybox_tar().to_str().unwrap()]);
    fill(&root);
    let tar = house.path().join(format!("{name}.tar"));
    run_tool("tar", ["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
    house.ok(["import", tar.to_str().unwrap(), name]);
}

fn source(name: &str) -> String {
    format!("{}/tests/e2e/escapes/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn nothing_of_an_image_is_loaded_by_the_engine() {
    let house = House::empty();
    let canary = house.path().join("canary");
    let library = house.path().join("evil.so");
    let define = format!("-DCANARY=\"{}\"", canary.display());
    run_tool("cc", ["-shared", "-fPIC", &define, "-o", library.to_str().unwrap(), &source("preloaded.c")]);
    image(&house, "evil", |root| {
        for place in ["lib", "lib64", "usr/lib", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"] {
            std::fs::create_dir_all(root.join(place)).unwrap();
            for name in ["libnss_files.so.2", "libnss_compat.so.2", "libnss_dns.so.2", "libc.so.6", "libseccomp.so.2"] {
                std::fs::copy(&library, root.join(place).join(name)).unwrap();
            }
        }
        std::fs::copy(&library, root.join("evil.so")).unwrap();
        std::fs::write(root.join("etc/ld.so.preload"), "/evil.so\n").unwrap();
        std::fs::write(root.join("etc/nsswitch.conf"), "passwd: compat files dns\ngroup: compat files dns\n").unwrap();
        for tool in ["xz", "unpigz", "gzip", "tar", "ps", "newuidmap", "getent"] {
            let _ = std::fs::remove_file(root.join("bin").join(tool));
            std::fs::write(root.join("bin").join(tool), "#!/bin/sh\n: >/loaded\n").unwrap();
            run_tool("chmod", ["755", root.join("bin").join(tool).to_str().unwrap()]);
        }
    });
    let preload = ["-e", "LD_PRELOAD=/evil.so", "-e", "LD_LIBRARY_PATH=/lib", "-e", "LD_AUDIT=/evil.so"];
    house.ok(["run", "-d", "--name", "box"].iter().chain(&preload).chain(&["evil", "sleep", "600"]));
    house.ok(["exec", "-u", "www:audio", "-e", "LD_PRELOAD=/evil.so", "box", "true"]);
    house.ok(["top", "box"]);
    house.ok(["stats", "--no-stream", "box"]);
    std::fs::write(house.path().join("file"), "x").unwrap();
    house.ok(["cp", house.path().join("file").to_str().unwrap(), "box:/tmp/file"]);
    house.ok(["cp", "box:/etc/passwd", house.path().join("passwd").to_str().unwrap()]);
    house.ok(["commit", "box", "made"]);
    house.ok(["export", "-o", house.path().join("out.tar").to_str().unwrap(), "box"]);
    house.ok(["diff", "box"]);
    assert_eq!(house.run(["exec", "box", "test", "-e", "/loaded"]).code, 1, "the engine ran code of the image");
    assert!(!canary.exists(), "the engine ran code of the image on the host");
}

#[test]
fn a_hostile_first_process_gets_nothing_of_those_who_enter() {
    let house = House::empty();
    image(&house, "evil", |root| {
        let program = root.join("attack");
        run_tool("cc", ["-O1", "-static", "-o", program.to_str().unwrap(), &source("hostile-init.c")]);
    });
    let before = std::fs::metadata(HAKO).unwrap();
    let attacked = |flags: &[&str]| {
        house.ok(["run", "-d", "--name", "box", "--network", "none"].iter().chain(flags).chain(&["evil", "/attack"]));
        await_that("the attacker", || house.ok(["logs", "box"]).contains("ready"));
        for round in 0..20 {
            house.ok(["exec", "-w", ["/", "/tmp"][round % 2], "box", "/bin/true"]);
        }
        house.prod("box", "/stop");
        house.ok(["wait", "box"]);
        let told = house.ok(["logs", "box"]);
        house.ok(["rm", "box"]);
        told
    };
    assert_eq!(attacked(&[]), "ready\ndone");
    // Who was given the right to trace everybody may trace those who enter, as with every runtime; but not write to
    // the program they run.
    let told = attacked(&["--cap-add", "SYS_PTRACE"]);
    assert!(!told.contains("for writing"), "{told}");
    let after = std::fs::metadata(HAKO).unwrap();
    assert_eq!((before.ino(), before.mtime(), before.len()), (after.ino(), after.mtime(), after.len()));
}

#[test]
fn account_files_with_junk_give_nobody_more() {
    let house = House::empty();
    image(&house, "accounts", |root| {
        let users = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:/bin/sh\n4242:x:7:8::/:/bin/sh\nodd:x:zero:0::/:/bin/sh\n\
                     short:x\nminus:x:-1:-1::/:/bin/sh\nlarge:x:4294967296:4294967296::/:/bin/sh\n::0:0::/:/bin/sh\n";
        let groups = "root:x:0:\nwww:x:33:\naudio:x:29:www\nevil:x:0xyz:www\nempty:x::www\nminus:x:-1:www\n\
                      large:x:4294967296:www\nwww\n:x:0:www\nblank:x: 0 :www\nhex:x:0x0:www\ntwice:x:29:www,www\n";
        std::fs::write(root.join("etc/passwd"), users).unwrap();
        std::fs::write(root.join("etc/group"), groups).unwrap();
    });
    let look = "sed -n 's/^[UG]id:\\t\\([0-9]*\\).*/\\1/p;s/^Groups:[ \\t]*//p' /proc/self/status | tr '\\n' ' '";
    let seen = |flags: &[&str]| {
        let said =
            house.ok(["run", "--rm", "--network", "none"].iter().chain(flags).chain(&["accounts", "sh", "-c", look]));
        said.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(seen(&["-u", "www"]), ["33", "33", "29", "33"]);
    assert_eq!(seen(&["-u", "4242"]), ["7", "8", "8"], "a name of digits is a name first");
    assert_eq!(seen(&["-u", "4243"]), ["4243", "0", "0"]);
    assert_eq!(seen(&["-u", "33:29"]), ["33", "29", "29"]);
    assert_eq!(seen(&["-u", "www", "--group-add", "7"]), ["33", "33", "7", "29", "33"]);
    for user in ["odd", "short", "minus", "large", "-1", "4294967296", "www:evil", "www:hex", "www:large", "www:-1"] {
        let ended = house.run(["run", "--rm", "--network", "none", "-u", user, "accounts", "id"]);
        assert_ne!(ended.code, 0, "{user} became {}", ended.stdout);
    }
    house.ok(["run", "-d", "--name", "box", "--network", "none", "-u", "www", "accounts", "sleep", "600"]);
    let joined = house.ok(["exec", "-u", "www", "box", "sh", "-c", look]);
    assert_eq!(joined.split_whitespace().collect::<Vec<_>>(), ["33", "33", "29", "33"]);
}

#[test]
fn account_files_that_are_no_files_do_not_hang_or_lead_out() {
    let house = House::empty();
    for (name, make) in [
        ("fifo", "mkfifo etc/passwd etc/group"),
        ("zero", "mknod etc/passwd c 1 5; mknod etc/group c 1 5"),
        ("link", "ln -s ../../../../../../etc/shadow etc/passwd; ln -s /proc/self/environ etc/group"),
        ("long", "head -c 40000000 /dev/zero | tr '\\0' x >etc/passwd; cp etc/passwd etc/group"),
        ("folder", "mkdir etc/passwd etc/group"),
    ] {
        image(&house, name, |root| {
            let script = format!("cd {} && rm -f etc/passwd etc/group && {make}", root.display());
            run_tool("sh", ["-c", &script]);
        });
        let ended = house.run(["run", "--rm", "--network", "none", "-u", "root", name, "true"]);
        assert!(!ended.stderr.contains("root:$"), "{name}: {}", ended.stderr);
        // A program that looks into the files itself would hang on some of them.
        let by_number = ["run", "--rm", "--network", "none", "-u", "5:6", name, "grep", "^Uid", "/proc/self/status"];
        assert_eq!(house.ok(by_number), "Uid:\t5\t5\t5\t5", "{name}");
    }
}

#[test]
fn the_state_is_its_owners_only() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "-e", "PASSWORD=hush", "busybox", "sleep", "600"]);
    let id = house.inspect("box", "{{.Id}}");
    // The way to the house must be open, or nothing is tested.
    for open in [house.path().to_owned(), house.path().join("data"), house.path().join("run")] {
        let mode = std::fs::metadata(&open).unwrap().mode() & 0o7777;
        if open == house.path() {
            run_tool("chmod", ["755", open.to_str().unwrap()]);
        } else {
            assert_eq!(mode & 0o006, 0, "{} is {mode:o}", open.display());
        }
    }
    let as_nobody = |script: &str| {
        let words = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", script];
        let output = std::process::Command::new("setpriv").args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let root = house.path().display();
    let seen = as_nobody(&format!(
        "ls {root}/data {root}/data/containers {root}/data/containers/{id} {root}/run/supervisors; cat {root}/data/containers/{id}/*"
    ));
    assert_eq!(seen, "");
    let socket = house.socket();
    assert_eq!(std::fs::metadata(&socket).unwrap().mode() & 0o007, 0, "{}", socket.display());
    for (pid, command) in crate::house::processes() {
        assert!(!command.contains("PASSWORD=hush") || command.contains("run -d"), "{pid}: {command}");
    }
}
