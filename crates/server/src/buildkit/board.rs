//! A build's events as the steps, parts and lines that BuildKit's clients show.

use std::collections::{HashMap, HashSet};

use hako_buildkit::wire::control::{StatusResponse, VertexLog};
use hako_engine::builds::progress::{Event, Step};

use super::job::{Job, Shown, now};

/// What the builder says of a step that had to stop.
const CANCELLED: &str = "the build was cancelled";

/// Which steps are on their way.
pub(super) struct Board<'a> {
    job: &'a Job,
    /// Images that were told of: several stages may begin with the same one.
    images: HashSet<String>,
    steps: HashMap<usize, Going>,
}

/// A step on its way.
struct Going {
    step: Step,
    /// What is shown of it; nothing before it is known what to call it.
    shown: Option<Shown>,
    /// The image that it looks for.
    image: Option<(String, Shown)>,
    cached: bool,
}

impl<'a> Board<'a> {
    pub(super) fn new(job: &'a Job) -> Self {
        Self { job, images: HashSet::new(), steps: HashMap::new() }
    }

    pub(super) async fn tell(&mut self, event: Event) {
        match event {
            Event::Begun(step) => self.begin(step).await,
            Event::Base { step, image } => {
                if !self.images.insert(image.clone()) {
                    self.steps.remove(&step);
                } else if let Some(going) = self.steps.get_mut(&step) {
                    let shown = self.job.begin(format!("[internal] load metadata for {image}")).await;
                    going.image = Some((image, shown));
                }
            }
            Event::Cached { step } => {
                if let Some(going) = self.steps.get_mut(&step) {
                    going.cached = true;
                }
            }
            Event::Output { step, error, bytes } => self.output(step, error, bytes).await,
            Event::Note { step, text } => self.note(step, &text).await,
            Event::Why { .. } => {}
            Event::Done { step, .. } => self.end(step, None).await,
            Event::Failed { step, message } => self.end(step, Some(&message)).await,
        }
    }

    async fn begin(&mut self, step: Step) {
        if step.number == 0 {
            return;
        }
        let is_base = step.text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("FROM "));
        let shown = if is_base { None } else { Some(self.job.begin(step.title()).await) };
        self.steps.insert(step.step, Going { step, shown, image: None, cached: false });
    }

    async fn output(&self, step: usize, error: bool, message: Vec<u8>) {
        let Some(shown) = self.steps.get(&step).and_then(|going| going.shown.as_ref()) else { return };
        let stream = if error { 2 } else { 1 };
        let log = VertexLog { vertex: shown.digest(), timestamp: Some(now()), stream, message };
        self.job.tell(StatusResponse { logs: vec![log], ..StatusResponse::default() }).await;
    }

    /// Mostly about an image on its way.
    async fn note(&self, step: usize, text: &str) {
        let Some(going) = self.steps.get(&step) else { return };
        let shown = going.image.as_ref().map(|(_, shown)| shown).or(going.shown.as_ref());
        if let Some(shown) = shown {
            self.job.part(shown, text, text, 0, true).await;
        }
    }

    async fn end(&mut self, step: usize, error: Option<&str>) {
        let Some(going) = self.steps.remove(&step) else { return };
        // The words that clients know a step by that ended because another one failed.
        let error = error.map(|message| if message == CANCELLED { "context canceled" } else { message });
        let mut title = going.step.title();
        if let Some((image, shown)) = going.image {
            self.job.end(shown, false, error).await;
            // The name as it was found, and not as it was written.
            title = Step { text: format!("FROM {image}"), ..going.step }.title();
        }
        let shown = match going.shown {
            Some(shown) => shown,
            None if error.is_some() => return,
            None => self.job.begin(title).await,
        };
        self.job.end(shown, going.cached, error).await;
    }
}
