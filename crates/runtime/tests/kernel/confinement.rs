//! What a container cannot do.

use hako_runtime::spec::Seccomp;
use hako_runtime::stdio::Stdio;

use crate::vessel::{Vessel, bind};

pub(crate) const CASES: &[crate::Case] = &[
    ("confinement_hides_and_protects_paths", paths),
    ("confinement_has_namespaces_of_its_own", namespaces),
    ("confinement_filters_system_calls", calls),
    ("confinement_hides_the_engine_binary", binary),
    ("confinement_leaks_no_environment_or_sockets", leaks),
    ("confinement_refuses_unknown_capabilities", capabilities),
    ("confinement_no_new_privileges_is_set", privileges),
    ("confinement_ends_with_its_supervisor", orphaned),
];

fn paths() {
    let vessel = Vessel::new();
    let script = "cat /proc/keys; ls -A /sys/firmware; echo 1 >/proc/sys/kernel/hostname; \
                  echo 1 >/proc/irq/0/smp_affinity; echo 1 >/proc/fs/x; mkdir /sys/fs/cgroup/memory/x; stat -c %t:%T /proc/keys";
    let done = vessel.sh(script);
    assert_eq!(done.output, "1:3\n");
    assert_eq!(done.error.matches("Read-only file system").count(), 2, "{}", done.error);
    assert_eq!(done.error.lines().count(), 4, "{}", done.error);
}

fn namespaces() {
    let vessel = Vessel::new();
    let script = "for n in mnt pid net ipc uts cgroup; do stat -L -c %i /proc/self/ns/$n; done";
    for (name, theirs) in
        ["mnt", "pid", "net", "ipc", "uts", "cgroup"].into_iter().zip(vessel.sh(script).output.lines())
    {
        let ours = rustix::fs::stat(format!("/proc/self/ns/{name}")).unwrap().st_ino.to_string();
        assert_ne!(ours, theirs, "{name}");
    }
}

fn calls() {
    let vessel = Vessel::new();
    let script =
        "mount -t tmpfs tmpfs /tmp; unshare -U true; unshare -m true; busybox chroot / true && echo chroot works";
    for applet in ["unshare", "chroot"] {
        std::os::unix::fs::symlink("busybox", vessel.path("lower/bin").join(applet)).unwrap();
    }
    let done = vessel.sh(script);
    assert_eq!(done.output, "chroot works\n");
    assert_eq!(done.error.matches("ermi").count(), 3, "{}", done.error);
    let mut spec = vessel.spec(&["sh", "-c", "unshare -m true && grep Seccomp: /proc/self/status"]);
    spec.linux.as_mut().unwrap().seccomp = None;
    let process = spec.process.as_mut().unwrap();
    let all = process.capabilities.as_mut().unwrap();
    for set in [&mut all.bounding, &mut all.effective, &mut all.permitted] {
        set.push("CAP_SYS_ADMIN".into());
    }
    assert_eq!(vessel.run(&spec).output, "Seccomp:\t0\n");
}

fn binary() {
    let vessel = Vessel::new();
    let mut options = vessel.options(Stdio::Pipes { stdin: false });
    options.init = true;
    let script = "ls -l /proc/1/exe 2>&1; cat /proc/1/exe 2>&1 | head -c 20; readlink /proc/1/fd/0 /proc/1/cwd /proc/1/root; echo $?";
    std::os::unix::fs::symlink("busybox", vessel.path("lower/bin/head")).unwrap();
    std::os::unix::fs::symlink("busybox", vessel.path("lower/bin/readlink")).unwrap();
    let running = vessel.launch_with(None, &vessel.spec(&["sh", "-c", script]), options).unwrap();
    let done = vessel.finish(running);
    assert!(!done.output.contains("ELF") && done.output.ends_with("1\n"), "{}", done.output);
    // An entry point that is a link to the executing process's own file finds nothing of the engine.
    std::os::unix::fs::symlink("/proc/self/exe", vessel.path("lower/bin/self")).unwrap();
    let error = vessel.launch(&vessel.spec(&["/bin/self"])).err().map(|error| error.to_string());
    assert!(error.as_ref().is_some_and(|error| error.contains("/bin/self")), "{error:?}");
}

fn leaks() {
    let vessel = Vessel::new();
    let done = vessel.run(&vessel.spec(&["cat", "/proc/self/environ", "/proc/net/unix"]));
    let environment = "PATH=/usr/sbin:/usr/bin:/sbin:/bin\0HOME=/root\0";
    assert!(done.output.starts_with(environment) && !done.output.contains('@'), "{:?}", done.output);
    assert_eq!(done.output.lines().count(), 1, "{:?}", done.output);
}

fn capabilities() {
    let vessel = Vessel::new();
    let mut spec = vessel.spec(&["true"]);
    spec.process.as_mut().unwrap().capabilities.as_mut().unwrap().bounding.push("CAP_FLY".into());
    assert!(vessel.launch(&spec).unwrap_err().to_string().contains("CAP_FLY"));
}

fn privileges() {
    let vessel = Vessel::new();
    let mut spec = vessel.spec(&["grep", "-E", "NoNewPrivs|Seccomp:", "/proc/self/status"]);
    spec.process.as_mut().unwrap().no_new_privileges = true;
    assert_eq!(vessel.run(&spec).output, "NoNewPrivs:\t1\nSeccomp:\t2\n");
    let mut spec = vessel.spec(&["true"]);
    spec.linux.as_mut().unwrap().seccomp =
        Some(Seccomp { default_action: "SCMP_ACT_NONSENSE".into(), ..Seccomp::default() });
    assert!(vessel.launch(&spec).unwrap_err().to_string().contains("SCMP_ACT_NONSENSE"));
}

fn orphaned() {
    let vessel = Vessel::new();
    let (ours, theirs) = hako_sys::fdpass::Channel::pair().unwrap();
    let options = hako_sys::process::ForkOptions::default();
    let mut spec = vessel.spec(&["sleep", "100"]);
    spec.mounts.push(bind(&vessel.path("plain"), "/plain", "rbind"));
    let supervisor = hako_sys::process::fork(vessel.witness, &options, || {
        let running = vessel.launch(&spec).unwrap();
        theirs.send(b"pid", &[running.process.pidfd()]).unwrap();
        loop {
            rustix::event::pause();
        }
    })
    .unwrap();
    let container = ours.recv().unwrap().unwrap().fds.pop().unwrap();
    supervisor.kill(9).unwrap();
    supervisor.wait().unwrap();
    let ended =
        hako_sys::poll::wait_one(&container, hako_sys::poll::Interest::Read, Some(crate::vessel::ENOUGH)).unwrap();
    assert!(ended, "the container outlived its supervisor");
}
