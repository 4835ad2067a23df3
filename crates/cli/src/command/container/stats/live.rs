//! The live screen: one reader per container, containers come and go by the daemon's events.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hako_api::query;
use hako_client::Client;
use tokio::time::{MissedTickBehavior, interval};

use super::figures::{Figures, ROWS};
use super::targets;
use crate::failure::Failure;
use crate::flags::Matches;
use crate::output;
use crate::session::Session;
use crate::tree::Outcome;

type Readers<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>>;

/// The figures by id, in the order the containers came.
#[derive(Default)]
struct Screen {
    order: Vec<String>,
    figures: BTreeMap<String, Figures>,
}

impl Screen {
    fn add(&mut self, id: &str) -> bool {
        if self.figures.contains_key(id) {
            return false;
        }
        self.order.push(id.to_owned());
        self.figures.insert(id.to_owned(), Figures::unknown(id));
        true
    }

    fn remove(&mut self, id: &str) {
        self.order.retain(|known| known != id);
        self.figures.remove(id);
    }

    fn rows(&self) -> Vec<Figures> {
        self.order.iter().filter_map(|id| self.figures.get(id).cloned()).collect()
    }
}

/// Draws until it is interrupted, or until the last of the named containers is gone.
pub(super) async fn show(session: &Session, found: &Matches, format: &str) -> Outcome {
    let (client, short) = (session.client()?, !found.on("no-trunc"));
    let screen = RefCell::new(Screen::default());
    let mut readers: Readers<'_> = FuturesUnordered::new();
    let follows_all = found.words().is_empty();
    let filters = [("type", "container"), ("event", "start"), ("event", "die"), ("event", "destroy")];
    let options = query::Events { filters: filters.into_iter().collect(), ..query::Events::default() };
    let mut events = client.system().events(&options).await?;
    for id in targets(session, found).await? {
        screen.borrow_mut().add(&id);
        readers.push(Box::pin(read(client, id, &screen, short)));
    }
    let mut tick = interval(Duration::from_millis(500));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = tick.tick() => draw(format, &screen.borrow().rows())?,
            Some(ended) = readers.next(), if !readers.is_empty() => {
                ended?;
                if !follows_all && readers.is_empty() {
                    return draw(format, &screen.borrow().rows());
                }
            }
            event = events.next(), if follows_all => {
                let Some(event) = event? else { return Ok(()) };
                let id = &event.actor.id;
                match event.verb() {
                    "start" if screen.borrow_mut().add(id) => {
                        readers.push(Box::pin(read(client, id.clone(), &screen, short)));
                    }
                    "die" if !found.on("all") => screen.borrow_mut().remove(id),
                    "destroy" => screen.borrow_mut().remove(id),
                    _ => {}
                }
            }
        }
    }
}

/// Keeps one container's figures up to date.
async fn read(client: &Client, id: String, screen: &RefCell<Screen>, short: bool) -> Result<(), Failure> {
    let options = query::Stats { stream: Some(true), one_shot: false };
    let mut samples = match client.containers().stats(&id, &options).await {
        Ok(samples) => samples,
        Err(error) => {
            screen.borrow_mut().remove(&id);
            return Err(error.into());
        }
    };
    while let Some(sample) = samples.next().await? {
        if let Some(row) = screen.borrow_mut().figures.get_mut(&id) {
            *row = Figures::of(&sample, &id, short);
        }
    }
    Ok(())
}

fn draw(format: &str, rows: &[Figures]) -> Outcome {
    let text = ROWS.render(format, rows)?;
    if format.is_empty() || format.starts_with("table") {
        // Home, then clear to the right of each line and below the last: no flicker.
        let lines: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
        return output::print(format!("\x1b[H{lines}\x1b[J"));
    }
    output::print(text)
}
