//! Compose: files become a project, a project and what is found become a plan, a plan is carried out through the client.

mod canonical;
mod conform;
pub mod dotenv;
mod environment;
mod error;
mod expand;
mod load;
mod merge;
mod path;
mod project;
mod render;
mod shape;
pub mod template;
mod words;
pub mod yaml;

pub use canonical::{hashed_service, network_hash, service_hash, volume_hash};
pub use environment::{Definition, Environment, Origin};
pub use error::{Error, Fault, Place, Refusal};
pub use load::{Options, VariableUse, load};
pub use project::{Direction, Project, dependencies, order};
