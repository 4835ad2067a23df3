//! `use_api_socket`: a service finds the daemon's socket where Docker's is, and the caller's credentials beside it.

use super::Project;
use crate::yaml::{Map, Node, Value};

/// Where programs look for the socket.
const SOCKET: &str = "/var/run/docker.sock";
/// Where they find the credentials.
const DIRECTORY: &str = "/run/secrets/docker";
/// The config that holds them; Compose calls it so too.
const CREDENTIALS: &str = "#apisocket";

impl Project {
    /// Whether a service wants the daemon's socket.
    #[must_use]
    pub fn wants_socket(&self) -> bool {
        self.services.values().any(|service| service.on("use_api_socket"))
    }

    /// Gives services that use the daemon's socket what they need: mount, variable and credentials, as Compose adds them.
    pub fn lend_socket(&mut self, socket: String, credentials: &str) {
        self.socket = socket;
        self.configs.insert(CREDENTIALS, object([("content", text(credentials))]));
        for service in self.services.values_mut().filter(|service| service.on("use_api_socket")) {
            let Some(map) = service.map_mut() else { continue };
            append(map, "volumes", [("type", text("bind")), ("source", text(SOCKET)), ("target", text(SOCKET))]);
            let file = format!("{DIRECTORY}/config.json");
            append(map, "configs", [("source", text(CREDENTIALS)), ("target", text(&file))]);
            if !map.contains_key("environment") {
                map.insert("environment", Node::made(Value::Map(Map::default())));
            }
            // Whoever names a place has credentials there.
            let variables = map.get_mut("environment").and_then(Node::map_mut);
            if let Some(variables) = variables.filter(|variables| !variables.contains_key("DOCKER_CONFIG")) {
                variables.insert("DOCKER_CONFIG", text(DIRECTORY));
            }
        }
    }

    /// Where a mount's source really is: hako's socket is not where programs look for Docker's.
    pub(crate) fn source<'s>(&'s self, service: &Node, volume: &'s Node) -> &'s str {
        let source = volume.text("source");
        let is_socket = source == SOCKET && volume.text("target") == SOCKET;
        if is_socket && service.on("use_api_socket") && !self.socket.is_empty() { &self.socket } else { source }
    }
}

fn text(text: &str) -> Node {
    Node::made(text.into())
}

fn object<const N: usize>(members: [(&str, Node); N]) -> Node {
    Node::made(Value::Map(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
}

fn append<const N: usize>(map: &mut Map, key: &str, members: [(&str, Node); N]) {
    if !map.contains_key(key) {
        map.insert(key, Node::made(Value::List(Vec::new())));
    }
    if let Some(Node { value: Value::List(items), .. }) = map.get_mut(key) {
        items.push(object(members));
    }
}

#[cfg(test)]
mod tests {
    use crate::load::{Options, load};
    use crate::service_hash;

    #[test]
    fn the_socket_is_lent_as_compose_lends_it() {
        let mut options = Options::new("/project".into());
        options.files = vec!["-".into()];
        let file = "services: {s: {image: 'base:1', command: [sleep, '1000'], use_api_socket: true}}";
        options.stdin = Some(file.to_owned());
        let mut project = load(&options).expect("a project");
        let before = service_hash(project.service("s").unwrap());
        assert_eq!(before, "8c2bfdbe10726fda8d273049a14d70a2ac2981c7a3ca2d77a27c3f1c4b8b46c8");
        assert!(project.wants_socket());
        project.lend_socket("/run/own.sock".to_owned(), "{}");
        // What docker compose 2.40 writes into the label, wherever the socket is.
        let after = service_hash(project.service("s").unwrap());
        assert_eq!(after, "a82fdf2d3db257c170b3706c472dabe7e6127f2cd52ce7f6a52a177fbd6a89f7");
        let body = crate::creation::body(&project, "s", &crate::creation::Instance::default()).expect("a body");
        let binds = body.host_config.and_then(|host| host.binds).unwrap_or_default();
        assert_eq!(binds, ["/run/own.sock:/var/run/docker.sock:rw"]);
        assert_eq!(body.config.env, Some(vec!["DOCKER_CONFIG=/run/secrets/docker".to_owned()]));
    }
}
