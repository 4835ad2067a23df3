//! What a container sees mounted, and that nothing of an image can lead a mount elsewhere.

use std::os::unix::fs::symlink;

use hako_runtime::launch::RootfsPlan;
use hako_runtime::stdio::Stdio;
use hako_sys::process::Exit;

use crate::vessel::{Vessel, bind, mount};

pub(crate) const CASES: &[crate::Case] = &[
    ("mounts_are_those_described", described),
    ("mounts_bind_directories_and_files", binds),
    ("mounts_read_only_recursively", recursive),
    ("mounts_follow_links_inside_the_root_only", links),
    ("mounts_refuse_procfs_on_a_link", proc_link),
    ("mounts_refuse_to_cover_procfs", inside_proc),
    ("mounts_stay_off_the_host", host),
    ("mounts_keep_the_root_read_only", read_only_root),
    ("mounts_do_not_propagate_unless_asked", propagation),
    ("mounts_take_many_layers", layers),
    ("mounts_write_to_the_upper_layer", upper),
    ("mounts_device_links_of_an_image_are_replaced", device_links),
];

fn described() {
    let vessel = Vessel::new();
    let mut spec = vessel.spec(&["sh", "-c", "mount | grep -v overlay"]);
    spec.mounts.push(mount("/scratch", "tmpfs", "tmpfs", "nosuid,nodev,noexec,size=1m,mode=1777"));
    let output = vessel.run(&spec).output;
    for line in [
        "proc on /proc type proc (rw,nosuid,nodev,noexec,relatime)",
        "tmpfs on /dev type tmpfs (rw,nosuid,size=65536k,mode=755",
        "devpts on /dev/pts type devpts (rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666)",
        "sysfs on /sys type sysfs (ro,nosuid,nodev,noexec,relatime)",
        "mqueue on /dev/mqueue type mqueue (rw,nosuid,nodev,noexec,relatime)",
        "on /dev/shm type tmpfs (rw,nosuid,nodev,noexec,relatime,size=65536k",
        "on /scratch type tmpfs (rw,nosuid,nodev,noexec,relatime,size=1024k",
        "proc on /proc/sys type proc (ro,nosuid,nodev,noexec,relatime)",
    ] {
        assert!(output.contains(line), "{line}\n{output}");
    }
    let cgroups: Vec<&str> = output.lines().filter(|line| line.contains("type cgroup")).collect();
    assert!(!cgroups.is_empty() && cgroups.iter().all(|line| line.contains("(ro,")), "{cgroups:?}");
}

fn binds() {
    let vessel = Vessel::new();
    std::fs::write(vessel.path("plain/file"), "content\n").unwrap();
    let mut spec = vessel.spec(&["sh", "-c", "cat /a/deep/file /etc/single; echo x >/a/deep/new; echo x >/ro/new"]);
    spec.mounts.push(bind(&vessel.path("plain"), "/a/deep", "rbind,rw"));
    spec.mounts.push(bind(&vessel.path("plain/file"), "/etc/single", "bind"));
    spec.mounts.push(bind(&vessel.path("plain"), "/ro", "rbind,ro"));
    let done = vessel.run(&spec);
    assert_eq!(done.output, "content\ncontent\n");
    assert!(done.error.contains("/ro/new: Read-only file system"), "{}", done.error);
    assert!(vessel.path("plain/new").exists());
}

/// Mounts are made in a mount namespace of the test's own process, which nobody shares.
fn own_mounts() {
    hako_sys::own::unshare(hako_sys::process::Namespaces::MOUNT).unwrap();
    let root = std::fs::File::open("/").unwrap();
    use std::os::fd::AsFd;
    hako_sys::mount::set_propagation(root.as_fd(), hako_sys::mount::Propagation::Private, true).unwrap();
}

fn tmpfs_on(path: &std::path::Path) {
    use std::os::fd::AsFd;
    std::fs::create_dir_all(path).unwrap();
    let mounted = hako_sys::mount::FileSystem::open("tmpfs").unwrap().mount(hako_sys::mount::Attributes::NONE).unwrap();
    hako_sys::mount::attach(mounted.as_fd(), std::fs::File::open(path).unwrap().as_fd()).unwrap();
}

fn recursive() {
    let vessel = Vessel::new();
    own_mounts();
    tmpfs_on(&vessel.path("plain/below"));
    let run = |options: &str| {
        let mut spec = vessel.spec(&["sh", "-c", "echo x >/m/new; echo x >/m/below/new"]);
        spec.mounts.push(bind(&vessel.path("plain"), "/m", options));
        vessel.run(&spec).error.matches("Read-only").count()
    };
    assert_eq!((run("rbind,ro"), run("rbind,rro"), run("rbind")), (1, 2, 0));
    hako_sys::mount::detach(&vessel.path("plain/below")).unwrap();
}

fn links() {
    let vessel = Vessel::new();
    let outside = vessel.path("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, vessel.path("lower/absolute")).unwrap();
    symlink("../../../../../..", vessel.path("lower/up")).unwrap();
    symlink("/tmp/real", vessel.path("lower/link")).unwrap();
    let mut spec = vessel.spec(&["sh", "-c", "ls /tmp/real; ls /up/made"]);
    std::fs::write(vessel.path("plain/file"), "").unwrap();
    spec.mounts.push(bind(&vessel.path("plain"), "/link", "rbind"));
    spec.mounts.push(bind(&vessel.path("plain"), "/up/made", "rbind"));
    spec.mounts.push(bind(&vessel.path("plain/file"), "/absolute/file", "bind"));
    let done = vessel.launch(&spec).map(|running| vessel.finish(running));
    // A dangling link is made good inside the root, or refused; outside nothing appears either way.
    if let Ok(done) = done {
        assert_eq!(done.output, "file\nfile\n", "{}", done.error);
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!std::path::Path::new("/made").exists() && !std::path::Path::new("/tmp/real").exists());
}

fn proc_link() {
    for (name, target) in [("proc", "/tmp"), ("sys", "/tmp")] {
        let vessel = Vessel::new();
        symlink(target, vessel.path("lower").join(name)).unwrap();
        let error = vessel.launch(&vessel.spec(&["true"])).unwrap_err().to_string();
        assert!(error.contains("ordinary directory"), "{error}");
    }
}

fn inside_proc() {
    let vessel = Vessel::new();
    symlink("/proc/self/attr", vessel.path("lower/innocent")).unwrap();
    for destination in ["/proc/self/attr", "/innocent", "/proc/sys", "/tmp/../proc/1"] {
        let mut spec = vessel.spec(&["true"]);
        spec.mounts.push(bind(&vessel.path("plain"), destination, "rbind"));
        let error = vessel.launch(&spec).unwrap_err().to_string();
        assert!(error.contains("/proc") || error.contains("No such file"), "{destination}: {error}");
    }
    let mut spec = vessel.spec(&["cat", "/proc/uptime"]);
    std::fs::write(vessel.path("plain/uptime"), "replaced\n").unwrap();
    spec.mounts.push(bind(&vessel.path("plain/uptime"), "/proc/uptime", "bind"));
    assert_eq!(vessel.run(&spec).output, "replaced\n");
}

fn host() {
    let vessel = Vessel::new();
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let running = vessel.launch(&vessel.spec(&["sleep", "100"])).unwrap();
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    let theirs = std::fs::read_to_string(format!("/proc/{}/mountinfo", running.process.pid())).unwrap();
    let source = vessel.directory.path().to_str().unwrap().to_owned();
    let leaks = theirs.lines().filter(|line| line.contains(&source) && !line.contains("overlay")).count();
    assert_eq!(leaks, 0, "{theirs}");
    running.process.kill(9).unwrap();
    vessel.finish(running);
}

fn read_only_root() {
    let vessel = Vessel::new();
    let mut spec = vessel.spec(&["sh", "-c", "echo x >/x; echo x >/dev/shm/x && echo fine"]);
    spec.root.as_mut().unwrap().readonly = true;
    let done = vessel.run(&spec);
    assert_eq!((done.output.as_str(), done.error.contains("/x: Read-only file system")), ("fine\n", true));
}

fn propagation() {
    use std::os::fd::AsFd;
    let vessel = Vessel::new();
    own_mounts();
    tmpfs_on(&vessel.path("plain"));
    let shared = std::fs::File::open(vessel.path("plain")).unwrap();
    hako_sys::mount::set_propagation(shared.as_fd(), hako_sys::mount::Propagation::Shared, false).unwrap();
    std::fs::create_dir(vessel.path("plain/sub")).unwrap();
    let seen = |options: &str| {
        let mut spec = vessel.spec(&["sh", "-c", "echo ready; cat; grep -c m/sub /proc/self/mountinfo"]);
        spec.mounts.push(bind(&vessel.path("plain"), "/m", options));
        let running = vessel.launch(&spec).unwrap();
        crate::vessel::await_text(running.streams.stdout.as_ref().unwrap(), "ready");
        tmpfs_on(&vessel.path("plain/sub"));
        let output = vessel.finish(running).output;
        hako_sys::mount::detach(&vessel.path("plain/sub")).unwrap();
        output
    };
    assert_eq!(
        (seen("rbind,rprivate"), seen("rbind"), seen("rbind,rslave")),
        ("0\n".into(), "0\n".into(), "1\n".into())
    );
    hako_sys::mount::detach(&vessel.path("plain")).unwrap();
}

fn layers() {
    let vessel = Vessel::new();
    let mut lowers = vec![vessel.path("lower")];
    for number in 0..127 {
        let layer = vessel.path(&format!("{}/{number}", "a-rather-long-name-of-a-directory-of-layers".repeat(3)));
        std::fs::create_dir_all(&layer).unwrap();
        std::fs::write(layer.join(format!("from-{number}")), "").unwrap();
        lowers.push(layer);
    }
    let mut options = vessel.options(Stdio::Pipes { stdin: false });
    options.rootfs =
        RootfsPlan::Overlay { lowers, upper: vessel.path("upper"), work: vessel.path("work"), volatile: false };
    let spec = vessel.spec(&["sh", "-c", "ls -d /from-* | grep -c ."]);
    let running = vessel.launch_with(None, &spec, options).unwrap();
    assert_eq!(vessel.finish(running).output, "127\n");
}

fn upper() {
    let vessel = Vessel::new();
    assert_eq!(vessel.sh("echo x >/etc/new; rm /etc/passwd; mv /tmp /moved; ls /").exit, Exit::Code(0));
    assert!(vessel.path("upper/etc/new").exists() && vessel.path("upper/moved").is_dir());
    assert!(vessel.path("lower/etc/passwd").exists());
}

fn device_links() {
    let vessel = Vessel::new();
    std::fs::create_dir(vessel.path("lower/dev")).unwrap();
    symlink("/etc/passwd", vessel.path("lower/dev/null")).unwrap();
    let mut spec =
        vessel.spec(&["sh", "-c", "echo x >/dev/null; stat -c %t:%T /dev/null; cat /etc/passwd | grep -c root"]);
    // Without a tmpfs on it, /dev is the image's.
    spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    assert_eq!(vessel.run(&spec).output, "1:3\n1\n");
}
