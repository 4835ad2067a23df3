//! The looks at the host: kernel, control groups, firewall, id ranges, limits, disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::render::units::human_size;

/// The oldest kernel with all that is needed (mount_setattr is the youngest).
const KERNEL: (u32, u32) = (5, 12);
/// Free space below which it becomes tight.
const TIGHT: u64 = 2 << 30;

/// All looks, in the order of what rests on what.
pub(super) fn look(data_root: PathBuf) -> Vec<Finding> {
    vec![
        privileges(),
        kernel(),
        namespaces(),
        control_groups(),
        overlay(),
        seccomp(),
        packet_filter(),
        forwarding(),
        host_firewall(),
        id_ranges(),
        open_files(),
        inotify(),
        keys(),
        clock(),
        disk(&data_root),
        others(),
    ]
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn number(path: &str) -> Option<u64> {
    read(path).parse().ok()
}

fn privileges() -> Finding {
    let status = read("/proc/self/status");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let effective = u64::from_str_radix(effective.trim(), 16).unwrap_or(0);
    let wanted: [(&str, u32); 4] = [("CAP_SYS_ADMIN", 21), ("CAP_NET_ADMIN", 12), ("CAP_CHOWN", 0), ("CAP_SETUID", 7)];
    let missing: Vec<&str> =
        wanted.iter().filter(|(_, bit)| effective >> bit & 1 == 0).map(|(name, _)| *name).collect();
    match missing.as_slice() {
        [] => Finding::good("privileges", "this user may do what the daemon does"),
        missing => Finding::doubtful(
            "privileges",
            format!("{} missing", missing.join(", ")),
            "the daemon needs root; its clients need only be members of the group that owns its socket",
        ),
    }
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease");
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version >= KERNEL {
        Finding::good("kernel", release)
    } else {
        let (major, minor) = KERNEL;
        Finding::bad("kernel", format!("{release} is too old"), format!("use Linux {major}.{minor} or newer"))
    }
}

fn namespaces() -> Finding {
    let missing: Vec<&str> = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"]
        .into_iter()
        .filter(|kind| !Path::new("/proc/self/ns").join(kind).exists())
        .collect();
    match missing.as_slice() {
        [] => Finding::good("namespaces", "all kinds"),
        ["user"] => {
            Finding::doubtful("namespaces", "no user namespaces", "--userns needs a kernel with CONFIG_USER_NS")
        }
        missing => Finding::bad(
            "namespaces",
            format!("missing: {}", missing.join(", ")),
            "use a kernel built with CONFIG_NAMESPACES",
        ),
    }
}

fn control_groups() -> Finding {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let present: Vec<String> = if unified {
        read("/sys/fs/cgroup/cgroup.controllers").split_whitespace().map(str::to_owned).collect()
    } else {
        let listed = |name: &str| {
            fs::read_dir(name).into_iter().flatten().flatten().map(|e| e.file_name().to_string_lossy().into_owned())
        };
        listed("/sys/fs/cgroup").flat_map(|name| name.split(',').map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    let version = if unified { "version 2" } else { "version 1" };
    let missing: Vec<&str> = ["cpu", "cpuset", "memory", "pids"]
        .into_iter()
        .filter(|name| !present.iter().any(|known| known == name))
        .collect();
    match (present.is_empty(), missing.as_slice()) {
        (true, _) => Finding::bad("cgroups", "not mounted", "mount -t cgroup2 none /sys/fs/cgroup"),
        (_, []) => Finding::good("cgroups", format!("{version}, with cpu, cpuset, memory and pids")),
        (_, missing) => Finding::doubtful(
            "cgroups",
            format!("{version}, without {}", missing.join(", ")),
            "limits of these are refused; boot with cgroup_enable=memory swapaccount=1, or enable them in the parent group",
        ),
    }
}

fn overlay() -> Finding {
    if read("/proc/filesystems").lines().any(|line| line.trim().ends_with("overlay")) {
        Finding::good("overlay", "the kernel has it")
    } else {
        Finding::bad(
            "overlay",
            "the kernel does not know overlay",
            "modprobe overlay, and add it to /etc/modules-load.d",
        )
    }
}

fn seccomp() -> Finding {
    if read("/proc/sys/kernel/seccomp/actions_avail").contains("errno") {
        Finding::good("seccomp", "filters are possible")
    } else {
        Finding::doubtful(
            "seccomp",
            "the kernel has no filters",
            "containers only start with --security-opt seccomp=unconfined",
        )
    }
}

fn packet_filter() -> Finding {
    let built_in = || {
        let config = read(&format!("/boot/config-{}", read("/proc/sys/kernel/osrelease")));
        config.contains("CONFIG_NF_TABLES=y")
    };
    if read("/proc/modules").lines().any(|line| line.starts_with("nf_tables "))
        || built_in()
        || Path::new("/proc/sys/net/netfilter").exists()
    {
        Finding::good("firewall", "the kernel has nf_tables")
    } else {
        Finding::doubtful(
            "firewall",
            "nf_tables is not loaded",
            "modprobe nf_tables nf_nat; or run the daemon with --iptables=false and do without published ports",
        )
    }
}

fn forwarding() -> Finding {
    match number("/proc/sys/net/ipv4/ip_forward") {
        Some(1) => Finding::good("forwarding", "IPv4 packets are forwarded"),
        _ => Finding::good("forwarding", "off; the daemon turns it on when a network needs it"),
    }
}

/// A host firewall that drops what it does not know drops what containers send, unless it knows of them.
fn host_firewall() -> Finding {
    let running = |unit: &str| Path::new("/run").join(unit).exists();
    if running("firewalld") || Path::new("/run/firewalld.pid").exists() {
        return Finding::good(
            "host firewall",
            "firewalld runs; hako marks its own rules beside it and mends them after a reload",
        );
    }
    if read("/etc/ufw/ufw.conf").contains("ENABLED=yes") {
        return Finding::doubtful(
            "host firewall",
            "ufw is enabled",
            "published ports are open whatever ufw says; --publish-by-input lets ufw's input rules decide",
        );
    }
    Finding::good("host firewall", "none that is known")
}

fn id_ranges() -> Finding {
    let size = |file: &str| -> u64 {
        read(file).lines().filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok()).max().unwrap_or(0)
    };
    let most = number("/proc/sys/user/max_user_namespaces").unwrap_or(0);
    if most == 0 {
        return Finding::doubtful(
            "id ranges",
            "user namespaces are turned off",
            "sysctl user.max_user_namespaces=15000, for --userns",
        );
    }
    match size("/etc/subuid").min(size("/etc/subgid")) {
        0 => Finding::doubtful(
            "id ranges",
            "none in /etc/subuid and /etc/subgid",
            "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, for containers whose root is nobody",
        ),
        count if count < 65_536 => Finding::doubtful(
            "id ranges",
            format!("the largest has {count} ids"),
            "give 65536 in /etc/subuid and /etc/subgid: images use ids up to 65534",
        ),
        count => Finding::good("id ranges", format!("up to {count} ids")),
    }
}

/// The daemon lifts its soft limit to the hard one, and has some four files open for each container.
fn open_files() -> Finding {
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum {
        Some(most) if most < 4096 => Finding::doubtful(
            "open files",
            format!("{most} at most, enough for some {} containers", most / 4),
            "a higher hard limit: nofile in /etc/security/limits.conf, LimitNOFILE= in a unit",
        ),
        Some(most) => Finding::good("open files", format!("{most} at most")),
        None => Finding::good("open files", "unlimited"),
    }
}

fn inotify() -> Finding {
    match number("/proc/sys/fs/inotify/max_user_instances") {
        Some(count) if count < 256 => Finding::doubtful(
            "inotify",
            format!("{count} instances per user"),
            "sysctl fs.inotify.max_user_instances=1024: many containers that watch files share root's",
        ),
        Some(count) => Finding::good("inotify", format!("{count} instances per user")),
        None => Finding::doubtful("inotify", "the kernel has none", "following logs needs CONFIG_INOTIFY_USER"),
    }
}

fn keys() -> Finding {
    match number("/proc/sys/kernel/keys/root_maxkeys") {
        Some(count) if count < 10_000 => Finding::doubtful(
            "kernel keys",
            format!("{count} for root"),
            "sysctl kernel.keys.root_maxkeys=1000000: every container has one",
        ),
        Some(count) => Finding::good("kernel keys", format!("{count} for root")),
        None => Finding::good("kernel keys", "the kernel has none"),
    }
}

/// TLS and pulls fail in ways nobody understands on a machine that thinks it is 1970.
fn clock() -> Finding {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    if now > 1_700_000_000 {
        Finding::good("clock", "plausible")
    } else {
        Finding::bad("clock", "it is before 2023 here", "set the clock: certificates of registries are not valid yet")
    }
}

fn disk(data_root: &Path) -> Finding {
    let there = data_root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let shown = data_root.display();
    let Ok(found) = rustix::fs::statvfs(there) else {
        return Finding::doubtful("disk", format!("{shown} cannot be looked at"), "does its file system answer?");
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let text = format!("{} free for {shown}", human_size(free as f64));
    if found.f_files > 0 && found.f_favail.saturating_mul(50) < found.f_files {
        return Finding::doubtful(
            "disk",
            format!("{text}, but hardly an inode"),
            "hako system prune, or a file system with more inodes",
        );
    }
    if free < TIGHT {
        Finding::doubtful(
            "disk",
            text,
            "hako system df shows what lies there, hako system prune removes what nobody uses",
        )
    } else {
        Finding::good("disk", text)
    }
}

fn others() -> Finding {
    if std::os::unix::net::UnixStream::connect("/var/run/docker.sock").is_ok() {
        return Finding::good("docker's socket", "somebody answers at /var/run/docker.sock");
    }
    Finding::doubtful(
        "docker's socket",
        "nobody answers at /var/run/docker.sock",
        "clients that look there find hako after `hako system install`, or with DOCKER_HOST set",
    )
}
