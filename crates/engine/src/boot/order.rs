//! In which order containers come up after a boot: those of a described system after what they depend on, health gates
//! included. Compose notes it in a label: `db:service_healthy:true,cache:service_started:false`.

use std::sync::Arc;
use std::time::Duration;

use hako_model::health::HealthStatus;
use hako_model::state::State;

use crate::container::{Container, Phase};

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// How long what depends on others waits for them. Then it starts all the same: half a system is better than none.
const PATIENCE: Duration = Duration::from_secs(120);

/// One that must be up first, and how well.
struct Need {
    container: Arc<Container>,
    healthy: bool,
}

/// What a container needs of those that are started, too.
fn needs(container: &Container, starting: &[Arc<Container>]) -> Vec<Need> {
    let labels = container.record().labels();
    let told = labels.get(DEPENDS_ON).map(String::as_str).unwrap_or_default();
    let mut needs = Vec::new();
    for dependency in told.split(',').filter(|text| !text.is_empty()) {
        let mut words = dependency.split(':');
        let (service, condition) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is_it = |other: &&Arc<Container>| {
            let theirs = other.record().labels();
            other.id != container.id
                && theirs.get(PROJECT) == labels.get(PROJECT)
                && theirs.get(SERVICE).is_some_and(|theirs| theirs == service)
        };
        let others = starting.iter().filter(is_it).map(Arc::clone);
        needs.extend(others.map(|container| Need { container, healthy: condition == "service_healthy" }));
    }
    needs
}

/// Waits until what a container depends on is up.
pub(super) async fn await_turn(container: &Container, starting: &[Arc<Container>]) {
    for need in needs(container, starting) {
        let mut phase = need.container.phase.subscribe();
        let waited = tokio::time::timeout(PATIENCE, phase.wait_for(|phase| is_met(phase, need.healthy))).await;
        if waited.is_err() {
            tracing::warn!(id = container.id.short(), on = need.container.id.short(), "waited for in vain at boot");
        }
    }
}

fn is_met(phase: &Phase, healthy: bool) -> bool {
    let runs = matches!(phase.status.state, State::Running(_));
    let health = phase.status.health.as_ref().map(|health| health.status);
    phase.removed || (runs && (!healthy || health.is_none_or(|health| health == HealthStatus::Healthy)))
}
