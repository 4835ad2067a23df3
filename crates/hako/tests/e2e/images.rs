//! Images: registries, archives, tags, listing and what the disk holds.

use crate::house::{House, await_that, run_tool};
use crate::registry::Registry;

/// Adds a layer on top of busybox, so that there is something of one's own to ship.
fn layered(house: &House, tag: &str, text: &str) {
    house.ok(["run", "--name", "maker", "busybox", "sh", "-c", &format!("echo {text} > /layer")]);
    house.ok(["commit", "maker", tag]);
    house.ok(["rm", "maker"]);
}

#[test]
fn a_push_and_a_pull() {
    let house = House::new();
    let registry = Registry::start();
    let name = format!("{}/team/app:1", registry.address());
    layered(&house, &name, "shipped");
    let said = house.ok(["push", &name]);
    assert!(said.contains("The push refers to repository") && said.contains("digest: sha256:"), "{said}");
    let again = house.ok(["push", &name]);
    assert!(again.contains("Layer already exists"), "{again}");

    let id = house.ok(["image", "inspect", "-f", "{{.Id}}", &name]);
    house.ok(["rmi", &name]);
    let said = house.ok(["pull", &name]);
    for line in ["1: Pulling from team/app", "Pull complete", "Digest: sha256:", "Status: Downloaded newer image for"] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert_eq!(said.lines().last(), Some(name.as_str()));
    assert_eq!(house.ok(["image", "inspect", "-f", "{{.Id}}", &name]), id, "the same image came back");
    assert!(house.ok(["pull", &name]).contains("Status: Image is up to date for"));
    assert_eq!(house.ok(["pull", "-q", &name]), name);
    assert_eq!(house.ok(["run", "--rm", &name, "cat", "/layer"]), "shipped");

    let digest = house.ok(["image", "inspect", "-f", "{{index .RepoDigests 0}}", &name]);
    house.ok(["rmi", &name]);
    house.ok(["pull", &digest]);
    assert!(house.ok(["images", "--digests"]).contains("<none>"));
}

#[test]
fn all_tags_and_a_mirror_for_docker_io() {
    let house = House::empty();
    house.configure(r#"{"registry-mirrors": ["http://127.0.0.1:5000"]}"#);
    house.import_busybox();
    let registry = Registry::start();
    for tag in ["1", "2"] {
        let name = format!("{}/library/thing:{tag}", registry.address());
        layered(&house, &name, tag);
        house.ok(["push", "-q", &name]);
        house.ok(["rmi", &name]);
    }
    let said = house.ok(["pull", "-a", "thing"]);
    assert!(said.contains("1: Pulling from library/thing") && said.contains("2: Pulling from library/thing"), "{said}");
    assert_eq!(house.ok(["images", "-q", "thing"]).lines().count(), 2);
    let ended = house.run(["run", "--rm", "--pull", "always", "thing:2", "cat", "/layer"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "2\n"), "{}", ended.stderr);
}

#[test]
fn a_registry_with_a_password() {
    let house = House::new();
    let registry = Registry::start_with_user(5001, "ann", "secret");
    let name = format!("{}/app", registry.address());
    house.ok(["tag", "busybox", &name]);
    let said = house.fails(1, ["push", &name]);
    assert!(said.contains("no basic auth credentials") || said.contains("unauthorized"), "{said}");
    let ended = house.run_with_input(["login", "-u", "ann", "--password-stdin", &registry.address()], b"wrong");
    assert_ne!(ended.code, 0);
    assert!(!ended.stderr.contains("wrong\n") && ended.stderr.contains("unauthorized"), "{}", ended.stderr);
    let ended = house.run_with_input(["login", "-u", "ann", "--password-stdin", &registry.address()], b"secret\n");
    assert!(ended.stdout.contains("Login Succeeded"), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("WARNING! Your credentials are stored unencrypted"), "{}", ended.stderr);
    house.ok(["push", &name]);
    house.ok(["rmi", &name]);
    house.ok(["pull", &name]);
    let said = house.ok(["logout", &registry.address()]);
    assert!(said.contains("Removing login credentials for"), "{said}");
    house.fails(1, ["pull", &name]);
}

#[test]
fn save_and_load() {
    let house = House::new();
    layered(&house, "app:1", "kept");
    house.ok(["tag", "app:1", "app:2"]);
    let id = house.ok(["images", "-q", "--no-trunc", "app:1"]);
    let file = house.path().join("app.tar");
    house.ok(["save", "-o", file.to_str().unwrap(), "app:1", "app:2", "busybox"]);
    let names = run_tool("tar", ["-tf", file.to_str().unwrap()]);
    for name in ["manifest.json", "index.json", "oci-layout"] {
        assert!(names.lines().any(|line| line == name), "{name} in {names}");
    }
    house.ok(["rmi", "app:1", "app:2", "busybox"]);
    assert_eq!(house.ok(["images", "-q"]), "");
    let said = house.ok(["load", "-i", file.to_str().unwrap()]);
    for name in ["app:1", "app:2", "busybox:latest"] {
        assert!(said.contains(&format!("Loaded image: {name}")), "{said}");
    }
    assert_eq!(house.ok(["images", "-q", "--no-trunc", "app:1"]), id);
    assert_eq!(house.ok(["run", "--rm", "app:2", "cat", "/layer"]), "kept");

    let stream = house.command(["save", "app:1"]).output().unwrap().stdout;
    house.ok(["rmi", "app:1", "app:2"]);
    let ended = house.run_with_input(["load", "-q"], &stream);
    assert_eq!(ended.stdout, "Loaded image: app:1\n", "{}", ended.stderr);
}

/// Archives go by descriptors lent to the daemon; what cannot be lent is sent, and nobody else's file is touched.
#[test]
fn archives_are_lent_or_sent() {
    let house = House::new();
    house.ok(["tag", "busybox", "app:1"]);
    let socket = house.socket();
    let ask = |path: &str| {
        let plain = ["-s", "-X", "POST", "-w", " %{http_code}", "--unix-socket", socket.to_str().unwrap()];
        run_tool("curl", plain.into_iter().chain([&*format!("http://d{path}")]))
    };
    // No descriptor, none that is open, and one that is no file: the client's socket.
    for fd in ["", "?fd=-1", "?fd=4000", "?fd=99999999999", "?fd=0", "?fd=5"] {
        for verb in ["load", "save"] {
            let said = ask(&format!("/hako/{verb}{fd}"));
            assert!(said.contains("the file cannot be lent") && said.ends_with(" 403"), "{verb}{fd}: {said}");
        }
    }
    // A pipe is sent.
    let (pipe, file) = (house.path().join("pipe"), house.path().join("app.tar"));
    run_tool("mkfifo", [&pipe]);
    let mut saving = house.spawn(["save", "-o", file.to_str().unwrap(), "app:1"]);
    assert!(saving.wait().unwrap().success());
    house.ok(["rmi", "app:1"]);
    let loading = house.spawn(["load", "-i", pipe.to_str().unwrap()]);
    std::fs::copy(&file, &pipe).unwrap();
    let ended = loading.wait_with_output().unwrap();
    assert!(ended.status.success());
    assert_ne!(house.ok(["images", "-q", "app:1"]), "");
    // A failed save leaves nothing, neither the file nor a part of it.
    let other = house.path().join("other.tar");
    let said = house.fails(1, ["save", "-o", other.to_str().unwrap(), "app:1", "nobody"]);
    assert!(said.contains("No such image: nobody"), "{said}");
    let parts = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().to_string_lossy().starts_with("other.tar")
    };
    assert!(!std::fs::read_dir(house.path()).unwrap().any(parts));
}

#[test]
fn skopeo_reads_what_we_save_and_we_load_what_it_writes() {
    let house = House::new();
    layered(&house, "app:1", "kept");
    let file = house.path().join("app.tar");
    house.ok(["save", "-o", file.to_str().unwrap(), "app:1"]);
    for format in ["docker-archive", "oci-archive"] {
        let other = house.path().join(format!("{format}.tar"));
        run_tool(
            "skopeo",
            [
                "--insecure-policy",
                "copy",
                "-q",
                &format!("docker-archive:{}", file.display()),
                &format!("{format}:{}:back:{format}", other.display()),
            ],
        );
        let said = house.ok(["load", "-i", other.to_str().unwrap()]);
        assert!(said.contains("Loaded image"), "{said}");
        assert_eq!(house.ok(["run", "--rm", &format!("back:{format}"), "cat", "/layer"]), "kept");
    }
}

#[test]
fn tags_and_removal() {
    let house = House::new();
    house.ok(["tag", "busybox", "other/name:tag"]);
    let said = house.ok(["rmi", "other/name:tag"]);
    assert_eq!(said, "Untagged: other/name:tag");
    house.ok(["create", "--name", "user", "busybox"]);
    let said = house.fails(1, ["rmi", "busybox"]);
    assert!(said.contains("conflict: unable to remove repository reference \"busybox\" (must force)"), "{said}");
    house.ok(["rm", "user"]);
    let said = house.ok(["rmi", "busybox"]);
    assert!(said.contains("Untagged: busybox:latest") && said.contains("Deleted: sha256:"), "{said}");
    let said = house.fails(1, ["rmi", "busybox"]);
    assert!(said.contains("No such image: busybox"), "{said}");
    let said = house.fails(125, ["run", "UPPER", "x"]);
    assert!(said.contains("invalid reference format: repository name (library/UPPER) must be lowercase"), "{said}");
}

#[test]
fn lists_and_their_filters() {
    let house = House::new();
    layered(&house, "app:1", "ann");
    layered(&house, "app:1", "bob");
    let names = |flags: &[&str]| {
        house.ok(["images", "--format", "{{.Repository}}:{{.Tag}}"].into_iter().chain(flags.iter().copied()))
    };
    assert_eq!(names(&["-f", "dangling=true"]), "<none>:<none>");
    assert_eq!(names(&["-f", "reference=ap*"]), "app:1");
    assert_eq!(names(&["-f", "before=app:1"]).lines().count(), 2);
    assert_eq!(names(&["app"]), "app:1");
    assert!(house.ok(["image", "prune", "-f"]).contains("Total reclaimed space:"));
    assert_eq!(names(&["-f", "dangling=true"]), "");
    let said = house.fails(1, ["images", "-f", "colour=red"]);
    assert!(said.contains("invalid filter 'colour'"), "{said}");
}

#[test]
fn special_files_survive_the_journey() {
    let house = House::new();
    let registry = Registry::start();
    let name = format!("{}/special", registry.address());
    let long = "n".repeat(250);
    let make = format!(
        "mkdir -p /s/{long}; echo x > /s/{long}/f; cp /bin/busybox /s/suid; chmod 4755 /s/suid; ln /s/suid /s/hard; mkfifo /s/fifo; \
         mknod /s/null c 1 3; chown 5:6 /s/fifo; truncate -s 10M /s/sparse; ln -s nowhere /s/sym"
    );
    house.ok(["run", "--name", "box", "busybox", "sh", "-c", &make]);
    house.ok(["commit", "box", &name]);
    house.ok(["rm", "box"]);
    let look = format!(
        "cd /s; stat -c '%n %a %u:%g %F %h %s' suid hard fifo null sparse sym {long}/f; du -k sparse; readlink sym"
    );
    let before = house.ok(["run", "--rm", &name, "sh", "-c", &look]);
    house.ok(["push", "-q", &name]);
    house.ok(["rmi", &name]);
    house.ok(["pull", "-q", &name]);
    let after = house.ok(["run", "--rm", &name, "sh", "-c", &look]);
    assert_eq!(before, after);
    assert!(after.contains("suid 4755 0:0 regular file 2 ") && after.contains("fifo 644 5:6 fifo"), "{after}");
}

#[test]
fn whiteouts_hide_what_lies_below() {
    let house = House::new();
    house.ok(["run", "--name", "ann", "busybox", "sh", "-c", "mkdir -p /d/e; echo 1 > /d/one; echo 2 > /d/e/two"]);
    house.ok(["commit", "ann", "one"]);
    house.ok(["run", "--name", "bob", "one", "sh", "-c", "rm /d/one; rm -r /d/e; mkdir /d/e; echo 3 > /d/e/three"]);
    house.ok(["commit", "bob", "two"]);
    assert_eq!(house.ok(["run", "--rm", "two", "sh", "-c", "cd /d; find . | sort"]), ".\n./e\n./e/three");
    let file = house.path().join("two.tar");
    house.ok(["save", "-o", file.to_str().unwrap(), "two"]);
    house.ok(["rm", "ann", "bob"]);
    house.ok(["rmi", "one", "two"]);
    house.ok(["load", "-i", file.to_str().unwrap()]);
    assert_eq!(house.ok(["run", "--rm", "two", "sh", "-c", "cd /d; find . | sort"]), ".\n./e\n./e/three");
}

#[test]
fn the_disk_is_what_df_says() {
    let house = House::new();
    layered(&house, "app:1", "ann");
    house.ok([
        "run",
        "--name",
        "box",
        "-v",
        "data:/d",
        "busybox",
        "sh",
        "-c",
        "dd if=/dev/zero of=/d/f bs=1M count=3; dd if=/dev/zero of=/f bs=1M count=5",
    ]);
    let said = house.ok(["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Size}}"]);
    assert!(
        said.contains("Images 2 ") && said.contains("Containers 1 5.24") && said.contains("Local Volumes 1 3.15"),
        "{said}"
    );
    let du: u64 =
        run_tool("du", ["-sB1", house.data().to_str().unwrap()]).split_whitespace().next().unwrap().parse().unwrap();
    let df = house.ok(["system", "df", "-v", "--format", "{{json .}}"]);
    assert!(!df.is_empty() && du > 8 << 20);
}

#[test]
fn the_same_pull_twice_at_once_happens_once() {
    let house = House::new();
    let registry = Registry::start();
    let name = format!("{}/app", registry.address());
    layered(&house, &name, "ann");
    house.ok(["push", "-q", &name]);
    house.ok(["rmi", &name]);
    let pulls: Vec<_> = (0..4).map(|_| house.spawn(["pull", "-q", &name])).collect();
    for pull in pulls {
        assert!(pull.wait_with_output().unwrap().status.success());
    }
    assert_eq!(house.ok(["run", "--rm", &name, "cat", "/layer"]), "ann");
}

#[test]
fn a_killed_daemon_resumes_a_pull() {
    let house = House::new();
    let registry = Registry::start();
    let name = format!("{}/big", registry.address());
    house.ok(["run", "--name", "box", "busybox", "dd", "if=/dev/urandom", "of=/big", "bs=1M", "count=40"]);
    house.ok(["commit", "box", &name]);
    house.ok(["rm", "box"]);
    house.ok(["push", "-q", &name]);
    house.ok(["rmi", &name]);
    let ingest = house.data().join("ingest");
    let pull = house.spawn(["pull", &name]);
    await_that("the download to begin", || {
        std::fs::read_dir(&ingest)
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.metadata().is_ok_and(|m| m.len() > 0 || m.is_dir()))
    });
    house.kill_daemon();
    drop(pull.wait_with_output().unwrap());
    assert_eq!(house.ok(["images", "-q", &name]), "", "no half image");
    house.ok(["pull", "-q", &name]);
    assert_eq!(house.ok(["run", "--rm", &name, "stat", "-c", "%s", "/big"]), (40 << 20).to_string());
    assert!(registry.data().exists());
}

#[test]
fn an_image_can_be_imported_from_the_web() {
    let house = House::empty();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tar = std::fs::read(crate::house::busybox_tar()).unwrap();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let asked = std::io::Read::read(&mut client, &mut head).unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", tar.len());
        std::io::Write::write_all(&mut client, &[answer.as_bytes(), &tar].concat()).unwrap();
        String::from_utf8_lossy(&head[..asked]).into_owned()
    });
    let url = format!("http://{address}/root.tar");
    let said = house.ok(["import", "--change", "ENV A=1", "--change", "LABEL l=$A", &url, "fetched"]);
    assert!(said.starts_with(&format!("Downloading from {url}")), "{said}");
    assert!(server.join().unwrap().starts_with("GET /root.tar "));
    assert_eq!(house.ok(["run", "--rm", "--network", "none", "fetched", "echo", "in"]), "in");
    assert_eq!(house.inspect("fetched", "{{.Config.Labels.l}} {{.Comment}}"), format!("1 Imported from {url}"));
    let nobody = house.fails(1, ["import", &url]);
    assert!(nobody.contains(&format!("Get \"{url}\": dial tcp {address}: connect: connection refused")), "{nobody}");
}

#[test]
fn an_index_is_searched() {
    let house = House::empty();
    // An index as docker.io's.
    let results = r#"{"num_results": 2, "results": [
        {"name": "web", "description": "serves\npages", "star_count": 9, "is_official": true, "is_automated": false},
        {"name": "me/web", "description": "", "star_count": 1, "is_official": false, "is_automated": false}]}"#;
    let index = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let term = format!("{}/w b", index.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for _ in 0..3 {
            let (mut client, _) = index.accept().unwrap();
            let mut head = [0; 4096];
            let length = std::io::Read::read(&mut client, &mut head).unwrap();
            asked.push(String::from_utf8_lossy(&head[..length]).lines().next().unwrap_or_default().to_owned());
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{results}", results.len());
            std::io::Write::write_all(&mut client, answer.as_bytes()).unwrap();
        }
        asked
    });
    let table = house.ok(["search", &term]);
    assert!(table.contains("NAME") && table.contains("serves pages") && table.contains("[OK]"), "{table}");
    assert_eq!(house.ok(["search", "--format", "{{.Name}} {{.StarCount}}", "-f", "stars=5", &term]), "web 9");
    assert_eq!(
        house.ok(["search", "--limit", "1", "--format", "{{.Name}}", "-f", "is-official=false", &term]),
        "me/web"
    );
    assert_eq!(server.join().unwrap()[0], "GET /v1/search?q=w%20b&n=25 HTTP/1.1");
    assert!(house.fails(1, ["search", "--limit", "1000", "x"]).contains("outside the range of [1, 100]"));
}

#[test]
fn a_directory_is_no_archive_and_is_said_to_be_one() {
    let house = House::empty();
    let dir = house.path().join("folder");
    std::fs::create_dir(&dir).unwrap();
    let said = format!("read {}: is a directory\n", dir.display());
    assert_eq!(house.fails(1, ["load", "-i", dir.to_str().unwrap()]), said);
    assert_eq!(house.fails(1, ["import", dir.to_str().unwrap()]), said);
}
