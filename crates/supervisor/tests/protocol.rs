//! Version 1 of the protocol, word by word. Supervisors outlive upgrades: what stands here is never changed, only added
//! to.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use hako_supervisor::protocol::{Answer, Ask, Event, Failure, Framing, Kind, Message, Request};

const ID: &str = "abababababababababababababababababababababababababababababababab";

fn request(ask: &str) -> Ask {
    let request: Request = serde_json::from_str(&format!(r#"{{"v":1,"id":5,"ask":{ask}}}"#)).unwrap();
    assert_eq!((request.v, request.id), (1, 5));
    request.ask
}

/// What an engine of version 1 says is understood, and said in the same words.
#[test]
fn requests() {
    for ask in [
        r#"{"hello":{"since":7}}"#,
        r#"{"hello":{"since":null}}"#,
        r#"{"attach":{"stdin":true,"stdout":true,"stderr":false,"logs":false,"stream":true,"framing":"multiplexed","detach_keys":[16,17],"leftover":[104,105]}}"#,
        r#"{"exec_inspect":{"exec":"ID"}}"#,
        r#"{"exec_start":{"exec":"ID","client":{"framing":"raw","leftover":[]},"size":[24,80]}}"#,
        r#"{"exec_resize":{"exec":"ID","rows":24,"columns":80}}"#,
        r#"{"kill":{"signal":9}}"#,
        r#"{"stop":{"signal":null,"timeout":-1}}"#,
        r#""pause""#,
        r#""resume""#,
        r#"{"resize":{"rows":1,"columns":2}}"#,
        r#"{"update":{"resources":{"memory":{"limit":1}},"restart":{"on-failure":{"max":3}}}}"#,
        r#"{"rename":{"name":"new"}}"#,
        r#""status""#,
        r#""processes""#,
        r#"{"acknowledge":{"seq":12}}"#,
    ] {
        let ask = ask.replace("ID", ID);
        assert_eq!(serde_json::to_string(&request(&ask)).unwrap(), ask);
    }
}

#[test]
fn what_may_be_left_out() {
    let Ask::Attach(attach) = request(r#"{"attach":{"framing":"raw"}}"#) else { panic!() };
    assert!(attach.stream && !attach.stdin && !attach.logs && attach.leftover.is_empty());
    assert_eq!(attach.framing, Framing::Raw);
}

#[test]
fn exec_create() {
    let ask = r#"{"exec_create":{"exec":"ID","process":{"user":{"uid":0,"gid":0},"args":["ls"],"env":[],"cwd":"/"},"stdin":false,"stdout":true,"stderr":true,"detach_keys":[]}}"#;
    let Ask::ExecCreate(create) = request(&ask.replace("ID", ID)) else { panic!() };
    assert_eq!((create.process.args, create.stdout), (vec!["ls".to_owned()], true));
}

#[test]
fn start() {
    let ask = r#"{"start":{"id":"ID","name":"web","instance":"","spec":{"ociVersion":"1.2.0"},
        "rootfs":{"overlay":{"lowers":["/l/2","/l/1"],"upper":"/c/diff","work":"/c/scratch","volatile":true}},
        "network":{"endpoints":[{"host_name":"hkab","name":"eth0","bridge":"hako0","address":"10.0.0.2/24",
            "gateway":"10.0.0.1","address6":null,"gateway6":null,"mac":[2,66,10,0,0,2],"mtu":null,"isolated":false}],"ports":[]},
        "log":{"driver":"json-file","path":"/c/c-json.log","max_size":20971520,"max_file":5,"compress":true,
            "attributes":{"tag":"t"}},
        "restart":"unless-stopped",
        "probe":{"argv":["true"],"interval":{"secs":30,"nanos":0},"timeout":{"secs":30,"nanos":0},
            "start_period":{"secs":0,"nanos":0},"start_interval":{"secs":5,"nanos":0},"retries":3},
        "stop_signal":15,"stop_timeout":10,"open_stdin":false,"stdin_once":false,"init":false,
        "directory":"/c","socket":"/run/hako/supervisors/x.sock"}}"#;
    let Ask::Start(description) = request(&ask.replace("ID", ID)) else { panic!() };
    assert_eq!((description.name.as_str(), description.log.max_file), ("web", 5));
    let words = serde_json::to_value(&*description).unwrap();
    let want: serde_json::Value = serde_json::from_str(&ask.replace("ID", ID)).unwrap();
    for (key, value) in want["start"].as_object().unwrap() {
        if key != "spec" {
            assert!(holds(&words[key], value), "{key}: {} for {value}", words[key]);
        }
    }
}

/// Whether everything an older engine said is there; newer words beside it have their defaults.
fn holds(words: &serde_json::Value, said: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object};
    match (words, said) {
        (Object(words), Object(said)) => {
            said.iter().all(|(key, value)| words.get(key).is_some_and(|word| holds(word, value)))
        }
        (Array(words), Array(said)) => {
            words.len() == said.len() && words.iter().zip(said).all(|(word, value)| holds(word, value))
        }
        _ => words == said,
    }
}

/// What a supervisor of version 1 says is understood.
#[test]
fn messages() {
    let parse = |text: &str| serde_json::from_str::<Message>(&text.replace("ID", ID)).unwrap();
    let status = r#"{"state":{"running":{"pid":42,"ending":false}},"exit_code":0,"error":"","oom_killed":false,
        "started_at":"2026-11-21T11:00:00Z","finished_at":"0001-01-01T00:00:00Z","restart_count":0,
        "restart_delay":{"secs":0,"nanos":0},"health":null,"manually_stopped":false}"#;
    let started = format!(
        r#"{{"reply":{{"id":1,"result":{{"Ok":{{"started":{{"status":{status},"ports":[],"cgroup":"/hako/x"}}}}}}}}}}"#
    );
    let Message::Reply { id: 1, result: Ok(Answer::Started { status, .. }) } = parse(&started) else { panic!() };
    assert_eq!(status.pid(), 42);
    for (text, want) in [
        (r#"{"refused":"already"}"#, "container is already in that state"),
        (r#"{"launch":{"exit_code":127,"error":"exec: x"}}"#, "exec: x"),
        (r#"{"no_such_exec":{"exec":"ID"}}"#, "no such exec instance: "),
        (r#"{"exec_ran":{"exec":"ID"}}"#, "exec ID has already run"),
        (r#"{"port":{"error":"taken"}}"#, "taken"),
        (r#"{"invalid":{"error":"what"}}"#, "what"),
        (r#"{"system":{"error":"disk"}}"#, "disk"),
    ] {
        let reply = format!(r#"{{"reply":{{"id":2,"result":{{"Err":{text}}}}}}}"#);
        let Message::Reply { result: Err(failure), .. } = parse(&reply) else { panic!() };
        assert!(failure.to_string().starts_with(&want.replace("ID", ID)), "{failure}");
        let _: Failure = failure;
    }
}

#[test]
fn events() {
    for (kind, name) in [
        (r#"{"life":"start"}"#, "start"),
        (r#"{"life":{"die":{"exit_code":3,"ran":{"secs":1,"nanos":5}}}}"#, "die"),
        (r#"{"life":"oom"}"#, "oom"),
        (r#"{"life":{"kill":{"signal":15}}}"#, "kill"),
        (r#"{"life":"stop"}"#, "stop"),
        (r#"{"life":"pause"}"#, "pause"),
        (r#"{"life":"unpause"}"#, "unpause"),
        (r#"{"life":{"health_status":{"status":"healthy"}}}"#, "health_status"),
        (r#""attach""#, "attach"),
        (r#""detach""#, "detach"),
        (r#"{"resize":{"rows":1,"columns":2}}"#, "resize"),
        (r#"{"exec_create":{"exec":"ID","command":"ls -l"}}"#, "exec_create"),
        (r#"{"exec_start":{"exec":"ID","command":"ls -l"}}"#, "exec_start"),
        (r#"{"exec_detach":{"exec":"ID","command":"ls -l"}}"#, "exec_detach"),
        (r#"{"exec_die":{"exec":"ID","exit_code":0}}"#, "exec_die"),
        (r#""left""#, "left"),
    ] {
        let kind = kind.replace("ID", ID);
        let text = format!(r#"{{"seq":9,"time":"2026-11-21T11:00:00.5Z","kind":{kind}}}"#);
        let event: Event = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), text, "{name}");
        assert!(event.seq == 9 && event.status.is_none());
        let _: Kind = event.kind;
    }
}
