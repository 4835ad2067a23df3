//! Kills, full disks and vanishing peers: a clear error or no effect, and nothing left over.

use crate::house::{House, await_that, run_tool, signal};

#[test]
fn a_killed_supervisor_takes_its_container_along() {
    let house = House::new();
    let id = house.ok(["run", "-d", "--name", "box", "-p", "8080:80", "busybox", "sleep", "600"]);
    let pid: i32 = house.inspect("box", "{{.State.Pid}}").parse().unwrap();
    let supervisor = parent(pid);
    signal(supervisor, "KILL");
    house.await_field("box", "{{.State.Running}}", "false");
    assert!(!crate::house::alive(pid));
    house.ok(["start", "box"]);
    assert_eq!(house.inspect("box", "{{.State.Status}} {{.Id}}"), format!("running {id}"));
    house.ok(["rm", "-f", "box"]);
}

#[test]
fn kills_at_any_moment_leave_nothing() {
    let house = House::new();
    for round in 0..12u32 {
        let client = house.spawn(["run", "--rm", "--name", &format!("r{round}"), "busybox", "true"]);
        // No descriptor tells how far the run has come; the point of the kill is meant to differ from round to round.
        std::thread::park_timeout(std::time::Duration::from_millis(u64::from(round) * 3));
        if let Some(pid) = house.daemon_pid() {
            signal(pid, "KILL");
        }
        drop(client.wait_with_output());
    }
    await_that("the sweep", || {
        let names = house.ok(["ps", "-a", "--format", "{{.Names}} {{.Status}}"]);
        names.lines().all(|line| line.contains("Created") || line.contains("Exited"))
    });
    let ids = house.ok(["ps", "-aq"]);
    for id in ids.lines() {
        house.ok(["rm", "-f", id]);
    }
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "fine"]), "fine");
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let house = House::empty();
    let disk = house.path().join("disk.img");
    let data = house.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    run_tool("truncate", ["-s", "160M", disk.to_str().unwrap()]);
    run_tool("mkfs.ext4", ["-q", "-m", "0", disk.to_str().unwrap()]);
    run_tool("mount", ["-o", "loop", disk.to_str().unwrap(), data.to_str().unwrap()]);
    let unmount = Unmount(data.clone());
    house.import_busybox();
    house.ok(["run", "-d", "--name", "box", "busybox", "sleep", "600"]);
    house.run(["run", "--name", "filler", "busybox", "dd", "if=/dev/zero", "of=/fill", "bs=1M", "count=300"]);
    let ended = house.run(["import", crate::house::busybox_tar().to_str().unwrap(), "second"]);
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains("o space left on device"), "{}", ended.stderr);
    assert_eq!(house.ok(["images", "-q", "second"]), "");
    house.ok(["stop", "-t", "0", "box"]);
    house.ok(["rm", "box", "filler"]);
    house.import_busybox();
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "fine"]), "fine");
    house.end_daemon();
    drop(unmount);
}

#[test]
fn a_damaged_record_costs_one_container() {
    let house = House::new();
    let id = house.ok(["create", "--name", "broken", "busybox"]);
    house.ok(["create", "--name", "whole", "busybox", "true"]);
    house.kill_daemon();
    std::fs::write(house.data().join("containers").join(&id).join("record.json"), "{").unwrap();
    let listed = house.ok(["ps", "-aq", "--no-trunc"]);
    assert!(listed.contains(&id) && listed.lines().count() == 2, "{listed}");
    house.ok(["start", "whole"]);
    house.ok(["rm", "-f", &id]);
    assert_eq!(house.ok(["ps", "-aq"]).lines().count(), 1);
}

#[test]
fn a_daemon_starts_on_a_full_disk() {
    let house = House::empty();
    let disk = Disk::below(&house, "96M", &[]);
    house.import_busybox();
    house.ok(["run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "600"]);
    house.ok(["create", "--name", "kept", "--network", "none", "busybox", "sleep", "600"]);
    let pid = house.inspect("box", "{{.State.Pid}}");
    house.kill_daemon();
    disk.fill();
    assert_eq!(house.ok(["ps", "-aq"]).lines().count(), 2);
    assert_eq!(house.inspect("box", "{{.State.Pid}}"), pid);
    let daemon = house.daemon_pid();
    let said = house.fails(1, ["create", "--name", "more", "busybox"]);
    assert!(said.contains("o space left on device"), "{said}");
    assert_eq!(house.ok(["exec", "box", "echo", "in"]), "in");
    house.ok(["stop", "-t", "0", "box"]);
    assert_eq!(house.inspect("box", "{{.State.Status}}"), "exited");
    house.ok(["rm", "box"]);
    disk.empty();
    house.ok(["start", "kept"]);
    assert_eq!(house.inspect("kept", "{{.State.Status}}"), "running");
    assert_eq!(house.daemon_pid(), daemon, "nobody had to restart it");
    house.ok(["rm", "-f", "kept"]);
    house.end_daemon();
}

/// The cache of builds may have a tenth of the disk; steps that are an image's layers take nothing of that.
#[test]
fn what_an_image_has_stays_cached_on_a_small_disk() {
    let house = House::empty();
    let _disk = Disk::below(&house, "96M", &[]);
    house.import_busybox();
    let context = house.path().join("context");
    std::fs::create_dir(&context).unwrap();
    let steps = "RUN dd if=/dev/urandom of=/one bs=1M count=12\nRUN dd if=/dev/urandom of=/two bs=1M count=12\n";
    std::fs::write(context.join("Dockerfile"), format!("FROM busybox\n{steps}")).unwrap();
    let build = || house.run(["build", "--progress", "plain", "-t", "app", context.to_str().unwrap()]).stderr;
    let first = build();
    assert!(!first.contains("CACHED"), "{first}");
    for _ in 0..2 {
        let again = build();
        assert_eq!(again.matches("CACHED").count(), 2, "{again}");
    }
    // Nobody's layers are counted: with the image gone, the next build makes room.
    house.ok(["rmi", "app"]);
    std::fs::write(context.join("Dockerfile"), "FROM busybox\nRUN true\n").unwrap();
    build();
    std::fs::write(context.join("Dockerfile"), format!("FROM busybox\n{steps}")).unwrap();
    let after = build();
    assert!(after.matches("CACHED").count() < 2, "{after}");
    house.end_daemon();
}

#[test]
fn inodes_run_out() {
    let house = House::empty();
    let disk = Disk::below(&house, "96M", &["-N", "1200"]);
    house.import_busybox();
    house.ok(["run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "600"]);
    let used = disk.inodes();
    let mut refused = None;
    for number in 0..8 {
        let ended = house.run(["import", crate::house::busybox_tar().to_str().unwrap(), &format!("more{number}")]);
        if ended.code != 0 {
            refused = Some(ended.stderr);
            break;
        }
        house.run(["run", "--name", &format!("f{number}"), "busybox", "sh", "-c", "cd /tmp; touch $(seq 400)"]);
    }
    let refused = refused.expect("the disk to be full");
    assert!(refused.contains("o space left on device"), "{refused}");
    assert_eq!(house.ok(["exec", "box", "echo", "in"]), "in");
    house.ok(["container", "prune", "-f"]);
    await_that("the inodes to come back", || disk.inodes() <= used + 40);
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "fine"]), "fine");
    house.ok(["rm", "-f", "box"]);
    house.end_daemon();
}

#[test]
fn a_read_only_root_is_told_by_name() {
    let house = House::empty();
    let disk = Disk::below(&house, "96M", &[]);
    house.import_busybox();
    house.fails(3, ["run", "--name", "done", "--network", "none", "busybox", "sh", "-c", "echo said; exit 3"]);
    house.kill_daemon();
    disk.remount("ro");
    let said = house.fails(1, ["ps"]);
    assert!(said.contains("ead-only file system") && said.contains("/data"), "{said}");
    disk.remount("rw");
    assert_eq!(house.inspect("done", "{{.State.Status}} {{.State.ExitCode}}"), "exited 3");
    house.ok(["start", "done"]);
    house.ok(["wait", "done"]);
    house.ok(["rm", "done"]);
    house.end_daemon();
}

#[test]
fn a_disk_that_fails_under_a_running_container() {
    let house = House::empty();
    let disk = Disk::below(&house, "96M", &[]);
    house.import_busybox();
    house.fails(3, ["run", "--name", "done", "--network", "none", "busybox", "sh", "-c", "echo said; exit 3"]);
    house.ok(["run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "600"]);
    // What the kernel does when it finds a damaged file system.
    disk.remount("abort");
    let refusals = [
        house.fails(1, ["create", "--name", "more", "busybox"]),
        house.fails(1, ["start", "done"]),
        house.fails(1, ["rm", "done"]),
        house.fails(1, ["rmi", "-f", "busybox"]),
        house.fails(1, ["volume", "create", "store"]),
    ];
    for said in refusals {
        assert!(said.contains("nput/output error") || said.contains("ead-only file system"), "{said}");
    }
    assert_eq!(house.ok(["exec", "box", "echo", "in"]), "in");
    assert_eq!(house.ok(["logs", "done"]), "said");
    house.ok(["stop", "-t", "0", "box"]);
    assert_eq!(house.inspect("box", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
    house.end_daemon();
}

#[test]
fn processes_run_out() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "600"]);
    house.kill_daemon();
    let group = Processes::limited(&house);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "echo 0 >\"$0\"; exec \"$@\"", &group.file("cgroup.procs"), crate::house::HAKO, "ps", "-q"]);
    house.at_home(&mut command);
    assert!(command.output().unwrap().status.success());
    let daemon = house.daemon_pid();
    house.ok(["run", "--rm", "--network", "none", "busybox", "true"]);
    group.allow("1");
    for _ in 0..4 {
        // Spares that are ready need no new process of the daemon's.
        house.run(["run", "-d", "--network", "none", "busybox", "sleep", "600"]);
    }
    let said = house.fails(125, ["run", "--network", "none", "busybox", "true"]);
    assert!(said.contains("esource temporarily unavailable"), "{said}");
    assert_eq!(house.inspect("box", "{{.State.Status}}"), "running");
    house.ok(["stop", "-t", "0", "box"]);
    group.allow("max");
    assert_eq!(house.ok(["run", "--rm", "--network", "none", "busybox", "echo", "fine"]), "fine");
    assert_eq!(house.daemon_pid(), daemon, "nobody had to restart it");
    let all = house.ok(["ps", "-aq"]);
    house.ok(["rm", "-f"].into_iter().chain(all.lines()));
    house.kill_daemon();
    await_that("the supervisors to go", || std::fs::remove_dir(&group.0).is_ok());
}

/// A control group that limits the number of processes.
struct Processes(std::path::PathBuf);

impl Processes {
    fn limited(house: &House) -> Processes {
        let hierarchy = std::path::Path::new("/sys/fs/cgroup/pids");
        let root = if hierarchy.exists() { hierarchy } else { std::path::Path::new("/sys/fs/cgroup") };
        let group = Processes(root.join(house.path().file_name().unwrap()));
        std::fs::create_dir(&group.0).unwrap();
        group
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn allow(&self, count: &str) {
        std::fs::write(self.0.join("pids.max"), count).unwrap();
    }
}

/// A small disk of its own below a house's data directory.
struct Disk {
    place: std::path::PathBuf,
    _mounted: Unmount,
}

impl Disk {
    fn below(house: &House, size: &str, options: &[&str]) -> Disk {
        let (image, place) = (house.path().join("disk.img"), house.data());
        std::fs::create_dir_all(&place).unwrap();
        run_tool("truncate", ["-s", size, image.to_str().unwrap()]);
        run_tool("mkfs.ext4", ["-q", "-m", "0"].iter().chain(options).chain(&[image.to_str().unwrap()]));
        run_tool("mount", ["-o", "loop", image.to_str().unwrap(), place.to_str().unwrap()]);
        Disk { place: place.clone(), _mounted: Unmount(place) }
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.place.join("fill")).unwrap();
        for size in [1 << 20, 1 << 10, 1] {
            let block = vec![1; size];
            while std::io::Write::write_all(&mut file, &block).is_ok() {}
        }
        file.sync_all().unwrap();
    }

    fn empty(&self) {
        std::fs::remove_file(self.place.join("fill")).unwrap();
    }

    fn remount(&self, how: &str) {
        run_tool("mount", ["-o", &format!("remount,{how}"), self.place.to_str().unwrap()]);
    }

    fn inodes(&self) -> u64 {
        let said = run_tool("df", ["--output=iused", self.place.to_str().unwrap()]);
        said.lines().nth(1).unwrap().trim().parse().unwrap()
    }
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}
