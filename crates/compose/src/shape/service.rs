//! A service's attributes.

use super::parts::{ATTACHMENTS, BUILD, DEPENDS_ON, DEPLOY, DEVICE_REQUESTS, GRANTS, HEALTH, HOOKS, STEPS};
use super::{By, Field, Kind, Shape, field};
use crate::expand;

const WEIGHTS: Shape = Shape::of(&[
    Field { name: "path", json: "Path", kind: Kind::Always(&Kind::Text) },
    Field { name: "weight", json: "Weight", kind: Kind::Always(&Kind::Natural) },
]);

const RATES: Shape = Shape::of(&[
    Field { name: "path", json: "Path", kind: Kind::Always(&Kind::Text) },
    Field { name: "rate", json: "Rate", kind: Kind::Always(&Kind::Bytes) },
]);

const BLKIO: Shape = Shape::of(&[
    field("weight", Kind::Natural),
    field("weight_device", Kind::Objects(&WEIGHTS, By::Nothing)),
    field("device_read_bps", Kind::Objects(&RATES, By::Nothing)),
    field("device_read_iops", Kind::Objects(&RATES, By::Nothing)),
    field("device_write_bps", Kind::Objects(&RATES, By::Nothing)),
    field("device_write_iops", Kind::Objects(&RATES, By::Nothing)),
]);

const WATCH: Shape = Shape::of(&[
    field("path", Kind::Path),
    field("action", Kind::Choice(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
    field("target", Kind::Text),
    field("exec", Kind::Part(&super::parts::HOOK)),
    field("include", Kind::Patterns),
    field("ignore", Kind::Patterns),
    field("initial_sync", Kind::Flag),
])
.requiring(&["path", "action"]);

const DEVELOP: Shape = Shape::of(&[field("watch", Kind::Objects(&WATCH, By::Nothing))]);

const CREDENTIALS: Shape =
    Shape::of(&[field("config", Kind::Text), field("file", Kind::Text), field("registry", Kind::Text)]);

const DEVICE: Shape =
    Shape::of(&[field("source", Kind::Text), field("target", Kind::Text), field("permissions", Kind::Text)])
        .requiring(&["source", "target"]);

const PROVIDER: Shape = Shape::of(&[field("type", Kind::Text), field("options", Kind::Choices)]).requiring(&["type"]);

const ENV_FILE: Shape =
    Shape::of(&[field("path", Kind::Path), field("required", Kind::OptOut), field("format", Kind::Text)])
        .requiring(&["path"]);

const LOGGING: Shape =
    Shape { same: "driver", ..Shape::of(&[field("driver", Kind::Text), field("options", Kind::Settings)]) };

const MODEL_USE: Shape = Shape::of(&[field("endpoint_var", Kind::Text), field("model_var", Kind::Text)]);

const PORT: Shape = Shape::of(&[
    field("name", Kind::Text),
    field("mode", Kind::Text),
    field("host_ip", Kind::Text),
    field("target", Kind::Within(0, u32::MAX as i64)),
    field("published", Kind::Loose),
    field("protocol", Kind::Text),
    field("app_protocol", Kind::Text),
]);

const MOUNT: Shape = Shape::of(&[
    field("type", Kind::Choice(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
    field("source", Kind::Text),
    field("target", Kind::Text),
    field("read_only", Kind::Switch),
    field("consistency", Kind::Text),
    field(
        "bind",
        Kind::Object(&Shape::of(&[
            field("selinux", Kind::Choice(&["z", "Z"])),
            field("propagation", Kind::Text),
            field("create_host_path", Kind::Switch),
            field("recursive", Kind::Choice(&["enabled", "disabled", "writable", "readonly"])),
        ])),
    ),
    field(
        "volume",
        Kind::Object(&Shape::of(&[
            field("labels", Kind::Labels),
            field("nocopy", Kind::Switch),
            field("subpath", Kind::Text),
        ])),
    ),
    field("tmpfs", Kind::Object(&Shape::of(&[field("size", Kind::Bytes), field("mode", Kind::Natural)]))),
    field("image", Kind::Object(&Shape::of(&[field("subpath", Kind::Text)]))),
])
.requiring(&["type"]);

/// A service.
pub(crate) const SERVICE: Shape = Shape::of(&[
    field("profiles", Kind::Members),
    field("annotations", Kind::Labels),
    field("attach", Kind::Choosable),
    field("build", Kind::Short(expand::build, &Kind::Object(&BUILD))),
    field("develop", Kind::Object(&DEVELOP)),
    field("blkio_config", Kind::Object(&BLKIO)),
    field("cap_add", Kind::Members),
    field("cap_drop", Kind::Members),
    field("cgroup_parent", Kind::Text),
    field("cgroup", Kind::Choice(&["host", "private"])),
    field("cpu_count", Kind::Within(0, i64::MAX)),
    field("cpu_percent", Kind::Within(0, 100)),
    field("cpu_period", Kind::Rounded),
    field("cpu_quota", Kind::Rounded),
    field("cpu_rt_period", Kind::Rounded),
    field("cpu_rt_runtime", Kind::Rounded),
    field("cpus", Kind::Fraction),
    field("cpuset", Kind::Text),
    field("cpu_shares", Kind::Rounded),
    field("command", Kind::Command),
    field("configs", Kind::Short(expand::grants, &Kind::Objects(&GRANTS, By::First(&["target", "source"])))),
    field("container_name", Kind::Text),
    field("credential_spec", Kind::Object(&CREDENTIALS)),
    field("depends_on", DEPENDS_ON),
    field("deploy", Kind::Object(&DEPLOY)),
    field("device_cgroup_rules", Kind::Distinct),
    field("devices", Kind::Short(expand::devices, &Kind::Objects(&DEVICE, By::Keys(&["target"])))),
    field("dns", Kind::Set),
    field("dns_opt", Kind::Members),
    field("dns_search", Kind::Set),
    field("domainname", Kind::Text),
    field("entrypoint", Kind::Command),
    field("provider", Kind::Object(&PROVIDER)),
    field("environment", Kind::Variables),
    field("env_file", Kind::Short(expand::env_files, &Kind::Objects(&ENV_FILE, By::Keys(&["path"])))),
    field("expose", Kind::Numbers),
    field("extends", Kind::Short(expand::extends, &Kind::Object(&super::EXTENDS))),
    field("external_links", Kind::Distinct),
    field("extra_hosts", Kind::Hosts),
    field("group_add", Kind::Groups),
    field("gpus", Kind::Short(expand::gpus, &DEVICE_REQUESTS)),
    field("hostname", Kind::Text),
    field("healthcheck", Kind::Object(&HEALTH)),
    field("image", Kind::Text),
    field("init", Kind::Choosable),
    field("ipc", Kind::Text),
    field("isolation", Kind::Text),
    field("labels", Kind::Labels),
    field("label_file", Kind::Paths),
    field("links", Kind::Members),
    field("logging", Kind::Object(&LOGGING)),
    field("mem_limit", Kind::Amount),
    field("mem_reservation", Kind::Bytes),
    field("memswap_limit", Kind::Amount),
    field("mem_swappiness", Kind::Bytes),
    field("mac_address", Kind::Text),
    field("models", Kind::Short(expand::names, &Kind::Named(&MODEL_USE))),
    field("network_mode", Kind::Text),
    field("networks", ATTACHMENTS),
    field("oom_kill_disable", Kind::Switch),
    field("oom_score_adj", Kind::Within(-1000, 1000)),
    field("pid", Kind::Text),
    field("pids_limit", Kind::Rounded),
    field("platform", Kind::Text),
    field(
        "ports",
        Kind::Short(
            expand::ports,
            &Kind::Objects(&PORT, By::Keys(&["host_ip", "published", "target", "protocol", "mode"])),
        ),
    ),
    field("privileged", Kind::Switch),
    field("pull_policy", Kind::Policy),
    field("pull_refresh_after", Kind::Unshown),
    field("read_only", Kind::Switch),
    field("restart", Kind::Text),
    field("runtime", Kind::Text),
    field("scale", Kind::Count),
    field("secrets", Kind::Short(expand::secret_grants, &Kind::Objects(&GRANTS, By::First(&["target", "source"])))),
    field("security_opt", Kind::Distinct),
    field("shm_size", Kind::Amount),
    field("stdin_open", Kind::Switch),
    field("stop_grace_period", Kind::Moment),
    field("stop_signal", Kind::Text),
    field("storage_opt", Kind::Settings),
    field("sysctls", Kind::Labels),
    field("tmpfs", Kind::Set),
    field("tty", Kind::Switch),
    field("ulimits", Kind::Ulimits),
    field("use_api_socket", Kind::Flag),
    field("user", Kind::Text),
    field("userns_mode", Kind::Text),
    field("uts", Kind::Text),
    field("volumes", Kind::Short(expand::mounts, &Kind::Objects(&MOUNT, By::Keys(&["target"])))),
    field("volumes_from", Kind::Texts),
    field("working_dir", Kind::Text),
    field("pre_start", STEPS),
    field("post_start", HOOKS),
    field("pre_stop", HOOKS),
]);
