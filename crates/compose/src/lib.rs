//! Compose: files become a project, a project and what is found become a plan, a plan is carried out through the client.

mod apply;
pub mod artifact;
mod canonical;
mod conform;
mod creation;
pub mod dotenv;
mod environment;
mod error;
mod expand;
mod halves;
pub mod label;
mod load;
mod merge;
mod path;
mod plan;
mod policy;
mod project;
mod render;
pub mod repository;
mod schedule;
mod shape;
pub mod template;
pub mod verb;
pub mod watch;
mod words;
mod world;
pub mod yaml;

pub use apply::{
    Condition, Manner, Member, Patience, PullPolicy, apply, await_ready, ensure_images, illness, inject, pull,
};
pub use canonical::{hashed_service, network_hash, service_hash, shares, volume_hash};
pub use creation::{Instance, body, container_name, slug};
pub use environment::{Definition, Environment, Origin};
pub use error::{Error, Fault, Place, Refusal};
pub use load::{Options, VariableUse, load};
pub use plan::{
    Change, Choices, Existing, Found, Plan, Reason, Recreate, Resource, Step, existing, first_container, plan,
};
pub use project::{Direction, Project, dependencies, order};
pub use words::split as split_words;
pub use world::{Mood, Outcome, Report, Trouble, World};
