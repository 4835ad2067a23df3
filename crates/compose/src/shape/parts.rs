//! The project's own attributes and the objects inside of services.

use super::{By, Kind, SERVICE, Shape, field};
use crate::expand;

/// Services by name.
pub(crate) const SERVICES: Kind = Kind::Named(&SERVICE);

/// `include`.
const INCLUDE: Shape =
    Shape::of(&[field("path", Kind::Files), field("project_directory", Kind::Path), field("env_file", Kind::Paths)]);

/// `include:`, short or long.
pub(crate) const INCLUDES: Kind = Kind::Short(expand::includes, &Kind::Objects(&INCLUDE, By::Nothing));

/// `extends`.
pub(crate) const EXTENDS: Shape =
    Shape::of(&[field("file", Kind::Text), field("service", Kind::Text)]).requiring(&["service"]);

const ULIMITS: Kind = Kind::Ulimits;

pub(super) const BUILD: Shape = Shape::of(&[
    field("context", Kind::Location),
    field("dockerfile", Kind::Text),
    field("dockerfile_inline", Kind::Text),
    field("entitlements", Kind::Texts),
    field("args", Kind::Variables),
    field("provenance", Kind::Stance),
    field("sbom", Kind::Stance),
    field("ssh", Kind::Agents),
    field("labels", Kind::Labels),
    field("cache_from", Kind::Texts),
    field("cache_to", Kind::Texts),
    field("no_cache", Kind::Switch),
    field("additional_contexts", Kind::Contexts),
    field("pull", Kind::Switch),
    field("extra_hosts", Kind::Hosts),
    field("isolation", Kind::Text),
    field("network", Kind::Text),
    field("target", Kind::Text),
    field("secrets", Kind::Short(expand::grants, &Kind::Objects(&GRANTS, By::First(&["target", "source"])))),
    field("shm_size", Kind::Bytes),
    field("tags", Kind::Members),
    field("ulimits", ULIMITS),
    field("platforms", Kind::Texts),
    field("privileged", Kind::Switch),
]);

pub(super) const GRANTS: Shape = Shape::of(&[
    field("source", Kind::Text),
    field("target", Kind::Text),
    field("uid", Kind::Text),
    field("gid", Kind::Text),
    field("mode", Kind::Mode),
]);

/// A command run in a container at a turn of its life.
pub(crate) const HOOK: Shape = Shape::of(&[
    field("command", Kind::Command),
    field("user", Kind::Text),
    field("privileged", Kind::Switch),
    field("working_dir", Kind::Text),
    field("environment", Kind::Variables),
])
.requiring(&["command"]);

pub(super) const HOOKS: Kind = Kind::Objects(&HOOK, By::Nothing);

/// A container that runs to its end before the service's start.
const STEP: Shape = Shape::of(&[
    field("command", Kind::Command),
    field("user", Kind::Text),
    field("privileged", Kind::Switch),
    field("working_dir", Kind::Text),
    field("environment", Kind::Variables),
    field("image", Kind::Text),
    field("per_replica", Kind::Switch),
]);

pub(super) const STEPS: Kind = Kind::Objects(&STEP, By::Nothing);

const DEPENDENCY: Shape = Shape::of(&[
    field("condition", Kind::Choice(&["service_started", "service_healthy", "service_completed_successfully"])),
    field("restart", Kind::Switch),
    field("required", Kind::Choosable),
])
.requiring(&["condition"]);

pub(super) const DEPENDS_ON: Kind = Kind::Short(expand::depends_on, &Kind::Named(&DEPENDENCY));

const ATTACHMENT: Shape = Shape::of(&[
    field("aliases", Kind::Members),
    field("driver_opts", Kind::Options),
    field("gw_priority", Kind::Number),
    field("interface_name", Kind::Text),
    field("ipv4_address", Kind::Text),
    field("ipv6_address", Kind::Text),
    field("link_local_ips", Kind::Members),
    field("mac_address", Kind::Text),
    field("priority", Kind::Number),
]);

pub(super) const ATTACHMENTS: Kind = Kind::Short(expand::names, &Kind::Named(&ATTACHMENT));

pub(super) const HEALTH: Shape = Shape::of(&[
    field("test", Kind::Probe),
    field("timeout", Kind::Moment),
    field("interval", Kind::Moment),
    field("retries", Kind::Tries),
    field("start_period", Kind::Moment),
    field("start_interval", Kind::Moment),
    field("disable", Kind::Switch),
]);

const DEVICE_REQUEST: Shape = Shape::of(&[
    field("capabilities", Kind::Distinct),
    field("driver", Kind::Text),
    field("count", Kind::Devices),
    field("device_ids", Kind::Distinct),
    field("options", Kind::Labels),
]);

pub(super) const DEVICE_REQUESTS: Kind = Kind::Objects(&DEVICE_REQUEST, By::Nothing);

/// What `deploy` reserves: unlike in `gpus`, it must be said what the devices are able to do.
const RESERVED: Shape = DEVICE_REQUEST.requiring(&["capabilities"]);

const GENERIC: Shape = Shape::of(&[field(
    "discrete_resource_spec",
    Kind::Object(&Shape::of(&[field("kind", Kind::Always(&Kind::Text)), field("value", Kind::Always(&Kind::Rounded))])),
)]);

const RESOURCE: Shape = Shape::of(&[
    field("cpus", Kind::Fraction),
    field("memory", Kind::Size),
    field("pids", Kind::Whole),
    field("devices", Kind::Objects(&RESERVED, By::Nothing)),
    field("generic_resources", Kind::Objects(&GENERIC, By::Nothing)),
]);

const RESOURCES: Shape =
    Shape::of(&[field("limits", Kind::Object(&RESOURCE)), field("reservations", Kind::Object(&RESOURCE))]);

const UPDATE: Shape = Shape::of(&[
    field("parallelism", Kind::Unsigned),
    field("delay", Kind::Span),
    field("failure_action", Kind::Text),
    field("monitor", Kind::Span),
    field("max_failure_ratio", Kind::Fraction),
    field("order", Kind::Choice(&["start-first", "stop-first"])),
]);

const RESTART: Shape = Shape::of(&[
    field("condition", Kind::Text),
    field("delay", Kind::Moment),
    field("max_attempts", Kind::Unsigned),
    field("window", Kind::Moment),
]);

const PLACEMENT: Shape = Shape::of(&[
    field("constraints", Kind::Texts),
    field("preferences", Kind::Objects(&Shape::of(&[field("spread", Kind::Text)]), By::Nothing)),
    field("max_replicas_per_node", Kind::Within(0, i64::MAX)),
]);

pub(super) const DEPLOY: Shape = Shape::of(&[
    field("mode", Kind::Text),
    field("replicas", Kind::Count),
    field("labels", Kind::Labels),
    field("update_config", Kind::Object(&UPDATE)),
    field("rollback_config", Kind::Object(&UPDATE)),
    field("resources", Kind::Part(&RESOURCES)),
    field("restart_policy", Kind::Object(&RESTART)),
    field("placement", Kind::Part(&PLACEMENT)),
    field("endpoint_mode", Kind::Text),
]);

const POOL: Shape = Shape::of(&[
    field("subnet", Kind::Text),
    field("gateway", Kind::Text),
    field("ip_range", Kind::Text),
    field("aux_addresses", Kind::Strings),
]);

const IPAM: Shape = Shape::of(&[
    field("driver", Kind::Text),
    field("config", Kind::Objects(&POOL, By::Keys(&["subnet"]))),
    field("options", Kind::Strings),
]);

const NETWORK: Shape = Shape::of(&[
    field("name", Kind::Text),
    field("driver", Kind::Text),
    field("driver_opts", Kind::Options),
    field("ipam", Kind::Part(&IPAM)),
    field("external", Kind::External),
    field("internal", Kind::Switch),
    field("attachable", Kind::Switch),
    field("labels", Kind::Labels),
    field("enable_ipv4", Kind::Choosable),
    field("enable_ipv6", Kind::Choosable),
]);

const VOLUME: Shape = Shape::of(&[
    field("name", Kind::Text),
    field("driver", Kind::Text),
    field("driver_opts", Kind::Options),
    field("external", Kind::External),
    field("labels", Kind::Labels),
]);

const SECRET: Shape = Shape::of(&[
    field("name", Kind::Text),
    field("file", Kind::Path),
    field("environment", Kind::Text),
    field("external", Kind::External),
    field("labels", Kind::Labels),
    field("driver", Kind::Text),
    field("driver_opts", Kind::Options),
    field("template_driver", Kind::Text),
]);

const CONFIG: Shape = Shape::of(&[
    field("name", Kind::Text),
    field("file", Kind::Path),
    field("environment", Kind::Text),
    field("content", Kind::Text),
    field("external", Kind::External),
    field("labels", Kind::Labels),
    field("driver", Kind::Text),
    field("driver_opts", Kind::Options),
    field("template_driver", Kind::Text),
]);

const MODEL: Shape = Shape::of(&[
    field("name", Kind::Text),
    field("model", Kind::Text),
    field("context_size", Kind::Number),
    field("runtime_flags", Kind::Texts),
])
.requiring(&["model"]);

/// The project.
pub(crate) const PROJECT: Shape = Shape::of(&[
    field("version", Kind::Text),
    field("name", Kind::Text),
    field("include", INCLUDES),
    field("services", SERVICES),
    field("networks", Kind::Named(&NETWORK)),
    field("volumes", Kind::Named(&VOLUME)),
    field("secrets", Kind::Named(&SECRET)),
    field("configs", Kind::Named(&CONFIG)),
    field("models", Kind::Named(&MODEL)),
]);
