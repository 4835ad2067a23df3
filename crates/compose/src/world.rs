//! The daemon as Compose sees it: what there is of a project, and a way to tell how things go.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use futures_util::future::{join_all, try_join_all};
use hako_api::container::Summary;
use hako_api::query;
use hako_client::Client;
use hako_model::filter::Filters;
use tokio::sync::Semaphore;

use crate::label;
use crate::plan::Found;
use crate::project::{Project, step_images};

/// How something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It is being done.
    Working,
    /// It is done.
    Done,
    /// It is odd.
    Warning,
    /// It failed.
    Failed,
}

/// Told as things go on: `Container p-db-1` is `Creating`.
pub trait Report {
    /// Something happened to something.
    fn tell(&self, subject: &str, status: &str, mood: Mood);

    /// Whether nothing new is to be begun: the person has had enough.
    fn is_halted(&self) -> bool {
        false
    }
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The daemon refused, or was lost.
    #[error("{}{source}", context.as_ref().map(|context| format!("{context}: ")).unwrap_or_default())]
    Daemon {
        /// What was being done, where the refusal does not say it.
        context: Option<String>,
        /// What the client says.
        source: hako_client::Error,
    },
    /// It cannot be done.
    #[error("{0}")]
    Impossible(String),
    /// A container of a service ended or fell ill.
    #[error("{reason}{}", if told.is_empty() { String::new() } else { format!("\n{told}") })]
    Ill {
        /// Which and how.
        reason: String,
        /// What its probe and its log say.
        told: String,
    },
}

impl From<hako_client::Error> for Trouble {
    fn from(source: hako_client::Error) -> Self {
        Self::Daemon { context: None, source }
    }
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self::Impossible(reason)
    }
}

/// An outcome.
pub type Outcome<T = ()> = Result<T, Trouble>;

/// The daemon, and how to deal with it.
pub struct World<'w> {
    /// The daemon.
    pub client: &'w Client,
    /// Who is told.
    pub report: &'w dyn Report,
    /// The credentials for an image's registry, as the header wants them.
    pub credentials: &'w dyn Fn(&str) -> Option<String>,
    /// Nothing is done in earnest.
    pub dry: bool,
    /// How many deeds may go on at once; no limit without.
    pub limit: Option<Semaphore>,
}

impl World<'_> {
    /// What there is of a project.
    ///
    /// # Errors
    /// [`Trouble::Daemon`].
    pub async fn find(&self, project: &Project) -> Outcome<Found> {
        let none = Filters::default();
        let networks = self.client.networks();
        let volumes = self.client.volumes();
        let (containers, networks, volumes, images) = tokio::try_join!(
            self.containers(&project.name, true),
            networks.list(&none).map(|found| found.map_err(Trouble::from)),
            volumes.list(&none).map(|found| found.map_err(Trouble::from)),
            self.images(project),
        )?;
        Ok(Found { containers, networks, volumes: volumes.volumes, images })
    }

    /// A project's containers; those that do not run, too, if `all`.
    ///
    /// # Errors
    /// [`Trouble::Daemon`].
    pub async fn containers(&self, project: &str, all: bool) -> Outcome<Vec<Summary>> {
        let mut filters = Filters::default();
        filters.add("label", format!("{}={project}", label::PROJECT));
        let options = query::ListContainers { all, filters, ..query::ListContainers::default() };
        Ok(self.client.containers().list(&options).await?)
    }

    /// The ids of the images the services name, those that are there.
    async fn images(&self, project: &Project) -> Outcome<BTreeMap<String, String>> {
        let mut names: BTreeSet<String> =
            project.services.iter().map(|(name, service)| project.image(name, service)).collect();
        names.extend(project.services.values().flat_map(step_images).map(str::to_owned));
        let look = async |name: String| -> Outcome<Option<(String, String)>> {
            match self.client.images().inspect(&name, &query::InspectImage::default()).await {
                Ok(image) => Ok(Some((name, image.id))),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        Ok(try_join_all(names.into_iter().map(look)).await?.into_iter().flatten().collect())
    }

    /// Does something to something, told before and after.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn act<T: Default>(
        &self,
        subject: &str,
        [doing, done]: [&str; 2],
        deed: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        // A limit is never closed, so there is always a turn to be had.
        let _turn = match &self.limit {
            Some(limit) => limit.acquire().await.ok(),
            None => None,
        };
        if self.report.is_halted() {
            // Whoever halts it takes it away as soon as what was begun is done.
            return std::future::pending().await;
        }
        self.report.tell(subject, doing, Mood::Working);
        let outcome = if self.dry { Ok(T::default()) } else { deed.await };
        match &outcome {
            Ok(_) => self.report.tell(subject, done, Mood::Done),
            Err(trouble) => self.report.tell(subject, &trouble.to_string(), Mood::Failed),
        }
        outcome
    }
}

/// The first trouble of several deeds that were all brought to an end.
pub(crate) async fn all<T>(deeds: impl IntoIterator<Item = impl Future<Output = Outcome<T>>>) -> Outcome<Vec<T>> {
    join_all(deeds).await.into_iter().collect()
}
