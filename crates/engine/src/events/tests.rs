use super::*;

fn hub() -> (tempfile::TempDir, Hub) {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::open(&dir.path().join("events")).unwrap();
    (dir, hub)
}

fn tell(hub: &Hub, action: &str, id: &str) {
    let attributes = BTreeMap::from([("image".to_owned(), "busybox:latest".to_owned())]);
    hub.tell(Kind::Container, action, id, attributes);
}

async fn actions(mut subscription: Subscription) -> Vec<String> {
    let mut actions = Vec::new();
    while let Some(event) = subscription.next().await {
        actions.push(event.action);
    }
    actions
}

#[tokio::test]
async fn the_past_is_told_again_after_a_restart() {
    let (dir, hub) = hub();
    tell(&hub, "create", "a");
    tell(&hub, "start", "a");
    drop(hub);
    let hub = Hub::open(&dir.path().join("events")).unwrap();
    tell(&hub, "die", "a");
    let events = Events::new(hub);
    let past = events.subscribe(Some(Timestamp::from_secs(1)), Some(now()), Filters::default()).await.unwrap();
    assert_eq!(actions(past).await, ["create", "start", "die"]);
}

#[tokio::test]
async fn filters_choose() {
    let (_dir, hub) = hub();
    tell(&hub, "create", "ab");
    tell(&hub, "create", "cd");
    tell(&hub, "exec_create: sh", "cd");
    let events = Events::new(hub);
    for (name, value, expect) in [
        ("container", "cd", 2),
        ("event", "create", 2),
        ("event", "exec_create", 1),
        ("image", "busybox", 3),
        ("type", "image", 0),
        ("label", "image=busybox:latest", 3),
    ] {
        let mut filters = Filters::default();
        filters.add(name, value);
        let past = events.subscribe(Some(Timestamp::from_secs(1)), Some(now()), filters).await.unwrap();
        assert_eq!(actions(past).await.len(), expect, "{name}={value}");
    }
    let mut filters = Filters::default();
    filters.add("colour", "red");
    assert!(events.subscribe(None, None, filters).await.is_err());
}

#[tokio::test]
async fn a_listener_that_lags_misses_nothing() {
    let (_dir, hub) = hub();
    let mut subscription = Events::new(hub.clone()).subscribe(None, None, Filters::default()).await.unwrap();
    for number in 0..RECENT + 10 {
        tell(&hub, &format!("n{number}"), "a");
    }
    for number in 0..RECENT + 10 {
        assert_eq!(subscription.next().await.unwrap().action, format!("n{number}"));
    }
}

#[tokio::test]
async fn what_was_told_is_known_however_long_ago() {
    let (dir, hub) = hub();
    let moment = now();
    let event = |id: &str| Event::new(Kind::Container, "die", id, BTreeMap::new(), moment);
    hub.tell_event(event("first"));
    (0..2 * RECENT).for_each(|_| tell(&hub, "start", "other"));
    for hub in [hub, Hub::open(&dir.path().join("events")).unwrap()] {
        assert!(hub.knows("first", moment, "die"));
        assert!(!hub.knows("first", moment, "start"));
        assert!(!hub.knows("second", moment, "die"));
        assert!(hub.past().recent.len() <= RECENT);
    }
    let reopened = Hub::open(&dir.path().join("events")).unwrap();
    tell(&reopened, "stop", "other");
    assert_eq!(reopened.past().last, 2 * RECENT as u64 + 2);
}
