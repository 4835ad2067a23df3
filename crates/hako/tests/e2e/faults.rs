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
    house.kill_daemon();
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
