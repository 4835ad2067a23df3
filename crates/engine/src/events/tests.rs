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
        ("colour", "red", 3),
    ] {
        let mut filters = Filters::default();
        filters.add(name, value);
        let past = events.subscribe(Some(Timestamp::from_secs(1)), Some(now()), filters).await.unwrap();
        assert_eq!(actions(past).await.len(), expect, "{name}={value}");
    }
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

#[test]
fn what_was_told_long_ago_is_not_told_again() {
    let (_dir, hub) = hub();
    let long_ago = now();
    tell(&hub, "start", "old");
    for number in 0..RECENT {
        tell(&hub, &format!("n{number}"), "a");
    }
    assert!(hub.knows("old", long_ago, "start"));
    let later = now();
    assert!(!hub.knows("old", later, "die") && !hub.has_told("old", later, "die"));
    tell(&hub, "die", "old");
    assert!(hub.has_told("old", later, "die") && !hub.knows("old", later, "die"));
}

#[test]
fn a_torn_or_damaged_line_costs_itself_only() {
    use std::io::Write as _;
    let (dir, hub) = hub();
    let path = dir.path().join("events");
    tell(&hub, "create", "a");
    drop(hub);
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"2 \xff\xfe\n3 {\"Type\":").unwrap();
    let hub = Hub::open(&path).unwrap();
    tell(&hub, "start", "a");
    drop(hub);
    let told = history::read(&path, 0);
    assert_eq!(told.iter().map(|(_, event)| event.action.as_str()).collect::<Vec<_>>(), ["create", "start"]);
}
