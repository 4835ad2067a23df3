//! `pre_start`: what runs to its end before a service's containers start.

use crate::compose::Described;
use crate::house::House;

const STEPS: &str = "\
services:
  app:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    environment: {WHO: me}
    volumes: ['stock:/stock', /own]
    networks: {default: {aliases: [shop]}}
    pre_start:
      - command: sh -c 'echo one-$$WHO >>/stock/steps; chmod 666 /stock/steps; echo mine >/own/file'
      - command: [sh, -c, 'echo two-$$WHO-$$MORE-$$(id -u) >>/stock/steps']
        environment: {MORE: more}
        user: '65534'
      - {command: [sh, -c, 'echo each >>/stock/steps'], per_replica: true}
volumes: {stock: }
";

#[test]
fn steps_run_once_before_the_service_and_leave_nothing() {
    let house = House::new();
    let shop = Described::new(&house, STEPS);
    assert_eq!(shop.ok(&["config"]).matches("image: busybox").count(), 4, "steps have the service's image");
    shop.ok(&["up", "-d"]);
    let said = || shop.ok(&["exec", "-T", "app", "cat", "/stock/steps"]);
    assert_eq!(said(), "one-me\ntwo-me-more-65534\neach");
    assert_eq!(shop.ok(&["exec", "-T", "app", "cat", "/own/file"]), "mine", "anonymous volumes are seen, too");
    assert_eq!(house.ok(["ps", "-a", "--format", "{{.Names}}"]), "shop-app-1");
    assert_eq!(house.ok(["volume", "ls", "-q"]).lines().count(), 2);
    shop.ok(&["up", "-d"]);
    assert_eq!(said().lines().count(), 3, "nothing to do");
    shop.ok(&["up", "-d", "--scale", "app=2"]);
    assert_eq!(said().lines().skip(3).collect::<Vec<_>>(), ["each"], "of a replica more only its own");
    shop.ok(&["up", "-d", "--force-recreate"]);
    assert_eq!(said().lines().skip(4).collect::<Vec<_>>(), ["one-me", "two-me-more-65534", "each"]);
    shop.write(&STEPS.replace("WHO: me", "WHO: you"));
    shop.ok(&["up", "-d", "--rollout"]);
    let last: Vec<String> = said().lines().skip(7).map(str::to_owned).collect();
    assert_eq!(last, ["one-you", "two-you-more-65534", "each"]);
    shop.ok(&["down", "-v"]);
    assert_eq!(house.ok(["ps", "-aq"]), "");
}

#[test]
fn a_step_that_fails_keeps_its_service_and_those_behind_it_from_starting() {
    let house = House::new();
    let text = "\
services:
  app:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    pre_start: [{command: [sh, -c, 'echo no luck today; exit 3']}, {command: touch /never}]
  behind: {image: busybox, command: sleep 600, depends_on: [app]}
";
    let shop = Described::new(&house, text);
    let ended = shop.run(&["up", "-d"]);
    assert_ne!(ended.code, 0);
    for word in ["pre_start step 1", "\"app\"", "status 3", "no luck today"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    assert_eq!(shop.states(), "shop-app-1 created\nshop-behind-1 created");
    shop.write(&text.replace("exit 3", "exit 0"));
    shop.ok(&["up", "-d"]);
    assert_eq!(shop.states(), "shop-app-1 running\nshop-behind-1 running");
    shop.ok(&["down"]);
}
