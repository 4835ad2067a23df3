//! The ways to a daemon that is not on this machine's socket: TCP with certificates on both sides, and ssh.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::house::{Ended, HAKO, House, finish, run_tool};

/// An authority, and the files it signed, laid out as docker lays them out.
struct Authority {
    dir: PathBuf,
}

impl Authority {
    fn new(dir: PathBuf) -> Authority {
        std::fs::create_dir_all(&dir).unwrap();
        let authority = Authority { dir };
        let (key, cert) = (authority.path("ca-key.pem"), authority.path("ca.pem"));
        let made =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
        run_tool("openssl", made.into_iter().chain(["-subj", "/CN=authority", "-keyout", &key, "-out", &cert]));
        authority.sign("server-cert.pem", "server-key.pem", "subjectAltName=IP:127.0.0.1");
        authority.sign("cert.pem", "key.pem", "extendedKeyUsage=clientAuth");
        authority
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn sign(&self, cert: &str, key: &str, extension: &str) {
        let (request, extensions) = (self.path("request"), self.path("extensions"));
        std::fs::write(&extensions, extension).unwrap();
        let key = self.path(key);
        let asked = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=one"];
        run_tool("openssl", asked.into_iter().chain(["-keyout", &key, "-out", &request]));
        let (ca, ca_key, out) = (self.path("ca.pem"), self.path("ca-key.pem"), self.path(cert));
        let signed = ["x509", "-req", "-days", "2", "-CAcreateserial", "-in", &request, "-extfile", &extensions];
        run_tool("openssl", signed.into_iter().chain(["-CA", &ca, "-CAkey", &ca_key, "-out", &out]));
    }
}

const FAR: &str = "tcp://127.0.0.1:2376";

fn distant_house() -> (House, Authority) {
    let house = House::new();
    house.kill_daemon();
    let authority = Authority::new(house.path().join("certificates"));
    let file = |name: &str| authority.path(name);
    house.configure(&format!(
        r#"{{"hosts": ["{FAR}"], "tlsverify": true, "tlscacert": "{}", "tlscert": "{}", "tlskey": "{}"}}"#,
        file("ca.pem"),
        file("server-cert.pem"),
        file("server-key.pem")
    ));
    house.ok(["version"]);
    (house, authority)
}

fn with_certificates(house: &House, program: &str, dir: &Path, args: &[&str]) -> Ended {
    let mut command = Command::new(program);
    house.at_home(&mut command);
    command.env_remove("HAKO_ROOT").env("DOCKER_HOST", FAR).env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", dir);
    finish(command.args(args).output().unwrap())
}

#[test]
fn certificates_on_both_sides_open_the_tcp_door() {
    let (house, authority) = distant_house();
    for program in [HAKO, "docker"] {
        let said = with_certificates(&house, program, &authority.dir, &["run", "--rm", "busybox", "echo", "far"]);
        assert_eq!((said.code, said.stdout.as_str()), (0, "far\n"), "{program}: {}", said.stderr);
    }
    // Input and its end go through as well.
    let mut command = house.command(["-H", FAR, "--tlsverify", "--tlscacert", &authority.path("ca.pem")]);
    command.args(["--tlscert", &authority.path("cert.pem"), "--tlskey", &authority.path("key.pem")]);
    let script = "printf 'a\\nb\\n' | \"$@\"";
    let program = command.get_program().to_owned();
    let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut shell = house_shell(&house, script);
    shell.arg(program).args(words).args(["run", "-i", "--rm", "busybox", "wc", "-l"]);
    assert_eq!(finish(shell.output().unwrap()).stdout.trim(), "2");
}

fn house_shell(house: &House, script: &str) -> Command {
    let mut shell = Command::new("sh");
    house.at_home(&mut shell);
    shell.args(["-c", script, "sh"]);
    shell
}

#[test]
fn strangers_stay_outside() {
    let (house, authority) = distant_house();
    let stranger = Authority::new(house.path().join("stranger"));
    // A certificate of another authority.
    std::fs::copy(authority.dir.join("ca.pem"), stranger.dir.join("ca.pem")).unwrap();
    assert_ne!(with_certificates(&house, HAKO, &stranger.dir, &["ps"]).code, 0);
    // None at all.
    let nobody = house.path().join("nobody");
    std::fs::create_dir(&nobody).unwrap();
    std::fs::copy(authority.dir.join("ca.pem"), nobody.join("ca.pem")).unwrap();
    assert_ne!(with_certificates(&house, HAKO, &nobody, &["ps"]).code, 0);
    // A daemon that is not who it says, and plain HTTP.
    std::fs::remove_file(authority.dir.join("ca.pem")).unwrap();
    assert_ne!(with_certificates(&house, HAKO, &authority.dir, &["ps"]).code, 0);
    assert_ne!(house.run(["-H", FAR, "ps"]).code, 0);
    let plain = Command::new("curl").args(["-s", "-m", "5", "http://127.0.0.1:2376/_ping"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&plain.stdout).contains("OK"));
    assert!(house.ok(["ps", "-q"]).is_empty());
}

#[test]
fn plain_tcp_is_refused_unless_it_is_local_and_asked_for() {
    let house = House::empty();
    for (arguments, hint) in [
        (&["-H", "tcp://0.0.0.0:2375"][..], "--tlsverify"),
        (&["-H", "tcp://0.0.0.0:2375", "--tls=false"], "--tlsverify"),
        (&["-H", "tcp://127.0.0.1:2375"], "--tls=false"),
        (&["-H", "tcp://127.0.0.1:2375", "--tls"], "--tlsverify"),
    ] {
        let said = house.fails(1, ["daemon"].iter().chain(arguments));
        assert!(said.contains(hint), "{arguments:?}: {said}");
    }
    house.configure(r#"{"hosts": ["tcp://127.0.0.1:2375"], "tls": false}"#);
    house.ok(["version"]);
    assert!(house.ok(["-H", "tcp://127.0.0.1:2375", "info"]).contains("Server:"));
}

#[test]
fn contexts_keep_certificates() {
    let (house, authority) = distant_house();
    let file = |name: &str| authority.path(name);
    let endpoint = format!("host={FAR},ca={},cert={},key={}", file("ca.pem"), file("cert.pem"), file("key.pem"));
    house.ok(["context", "create", "far", "--docker", &endpoint]);
    assert_eq!(house.ok(["-c", "far", "run", "--rm", "busybox", "echo", "hi"]), "hi");
    let archive = house.path().join("far.dockercontext").display().to_string();
    house.ok(["context", "export", "far", &archive]);
    house.ok(["context", "import", "again", &archive]);
    assert_eq!(house.ok(["context", "inspect", "again", "-f", "{{.TLSMaterial.docker}}"]), "[ca.pem cert.pem key.pem]");
    assert!(house.ok(["-c", "again", "ps"]).contains("CONTAINER ID"));
    // docker reads what hako wrote.
    let ended = house.docker(["-c", "again", "ps", "-q"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn ssh_leads_to_the_daemon_there() {
    let house = House::new();
    // What ssh would do: give the last word to a shell on the other machine, which is this one.
    let bin = house.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(HAKO, bin.join("hako")).unwrap();
    let told = house.path().join("told");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>{}\nfor last; do :; done\nexport HAKO_ROOT={}\nexec sh -c \"$last\"\n",
        told.display(),
        house.path().display()
    );
    std::fs::write(bin.join("ssh"), script).unwrap();
    std::fs::set_permissions(bin.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let far = |args: &[&str], input: &str| {
        let mut shell = house_shell(&house, &format!("printf '{input}' | \"$@\""));
        shell.env("PATH", &path).env_remove("HAKO_ROOT").env("DOCKER_HOST", "ssh://me@far:2222");
        let ended = finish(shell.args(args).output().unwrap());
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.stderr);
        ended.stdout.trim().to_owned()
    };
    assert_eq!(far(&[HAKO, "run", "--rm", "busybox", "echo", "far"], ""), "far");
    assert_eq!(far(&[HAKO, "run", "-i", "--rm", "busybox", "wc", "-l"], "a\\nb\\nc\\n"), "3");
    let words = std::fs::read_to_string(told).unwrap();
    assert!(words.contains("-l me -p 2222 -- far "), "{words}");
    // What docker itself runs there when it comes by ssh.
    let dialled = finish(
        house_shell(&house, "printf 'GET /_ping HTTP/1.1\\r\\nHost: d\\r\\nConnection: close\\r\\n\\r\\n' | \"$@\"")
            .args([HAKO, "system", "dial-stdio"])
            .output()
            .unwrap(),
    );
    assert!(dialled.stdout.starts_with("HTTP/1.1 200 OK") && dialled.stdout.ends_with("OK"), "{}", dialled.stdout);
}
