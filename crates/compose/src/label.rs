//! The labels by which Compose recognises what is its own. They are the same as Compose v2's, so that either manages
//! what the other made.

/// The project.
pub const PROJECT: &str = "com.docker.compose.project";
/// The service.
pub const SERVICE: &str = "com.docker.compose.service";
/// The container's number within the service.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// `True` for containers of `run`.
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// The hash of the configuration.
pub const HASH: &str = "com.docker.compose.config-hash";
/// The image's id.
pub const IMAGE: &str = "com.docker.compose.image";
/// What the service depends on: `name:condition:restart`, separated by commas.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// The project's files.
pub const FILES: &str = "com.docker.compose.project.config_files";
/// The project's directory.
pub const DIRECTORY: &str = "com.docker.compose.project.working_dir";
/// The version of Compose.
pub const VERSION: &str = "com.docker.compose.version";
/// The container this one takes the place of.
pub const REPLACE: &str = "com.docker.compose.replace";
/// The network's key.
pub const NETWORK: &str = "com.docker.compose.network";
/// The volume's key.
pub const VOLUME: &str = "com.docker.compose.volume";
/// A container of `run`.
pub const SLUG: &str = "com.docker.compose.slug";

/// The version of Compose whose labels these are.
pub const COMPOSE_VERSION: &str = "2.40.3";

/// hako's own: when a job runs, as JSON.
pub const SCHEDULE: &str = "io.hako.schedule";

/// hako's own: the configuration the container was made from, in JSON, so that a plan can say what changed.
pub const CONFIGURATION: &str = "io.hako.compose.config";
