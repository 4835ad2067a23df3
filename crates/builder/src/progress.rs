//! What a build tells while it goes on.

/// Hears of a build's progress.
pub trait Watcher: Send + Sync {
    /// Something happened.
    fn tell(&self, event: Event);
}

/// Something that happened to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step begins.
    Begun(Step),
    /// It looks for an image.
    Base {
        /// Which step.
        step: usize,
        /// The image's full name.
        image: String,
    },
    /// Nothing had to be done: an earlier build did it.
    Cached {
        /// Which step.
        step: usize,
    },
    /// It wrote something.
    Output {
        /// Which step.
        step: usize,
        /// To its standard error.
        error: bool,
        /// What.
        bytes: Vec<u8>,
    },
    /// How far it is, as text.
    Note {
        /// Which step.
        step: usize,
        /// What to say.
        text: String,
    },
    /// Why an earlier result could not be used.
    Why {
        /// Which step.
        step: usize,
        /// The reason.
        text: String,
    },
    /// It is done.
    Done {
        /// Which step.
        step: usize,
        /// The layer it stands on now.
        layer: Option<String>,
    },
    /// It failed.
    Failed {
        /// Which step.
        step: usize,
        /// Why.
        message: String,
    },
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number in this build, from 0.
    pub step: usize,
    /// The stage, if it is not the only one.
    pub stage: String,
    /// Its number among the stage's steps that can make a layer, from 1; 0 for others.
    pub number: usize,
    /// How many of these there are.
    pub total: usize,
    /// How many instructions the whole file has.
    pub whole: usize,
    /// The instruction as it is written.
    pub text: String,
}

impl Step {
    /// `[stage 2/5] RUN …`, as BuildKit names it.
    #[must_use]
    pub fn title(&self) -> String {
        let stage = if self.stage.is_empty() { String::new() } else { format!("{} ", self.stage) };
        let width = self.total.to_string().len();
        format!("[{stage}{:>width$}/{}] {}", self.number, self.total, self.text)
    }
}
