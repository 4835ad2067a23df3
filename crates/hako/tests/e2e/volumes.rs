//! Bind mounts, named and anonymous volumes, tmpfs.

use crate::house::{House, await_that};

#[test]
fn what_another_machine_has_is_named_when_it_cannot_be_had() {
    let house = House::new();
    for (name, kind, device, options) in [
        ("far-nfs", "nfs", ":/x", "o=addr=no.such.host.invalid,ro"),
        ("far-cifs", "cifs", "//no.such.host.invalid/x", "o=username=a,password=hunter2"),
    ] {
        let (kind, device) = (format!("type={kind}"), format!("device={device}"));
        house.ok(["volume", "create", "-o", &kind, "-o", &device, "-o", options, name]);
        let refused = house.fails(125, ["run", "--rm", "-v", &format!("{name}:/x"), "busybox", "true"]);
        let wanted = "error resolving passed in network volume address: lookup no.such.host.invalid: ";
        assert!(refused.contains(wanted) && !refused.contains("hunter2"), "{refused}");
    }
    // What the kernel says of it is the machine's affair; the password is nobody's.
    let options = ["-o", "type=cifs", "-o", "device=//127.0.0.1/x", "-o", "o=username=a,password=hunter2"];
    house.ok([&["volume", "create"][..], &options, &["near"]].concat());
    let refused = house.fails(125, ["run", "--rm", "-v", "near:/x", "busybox", "true"]);
    assert!(refused.contains("//127.0.0.1/x") && !refused.contains("hunter2"), "{refused}");
    assert_eq!(house.ok(["ps", "-aq"]), "");
}

/// On file systems with project quotas `tests/vm/run -s quota` shows that sizes are kept.
#[test]
fn a_size_that_cannot_be_kept_is_refused() {
    use std::os::fd::AsFd as _;
    let house = House::new();
    let root = std::fs::File::open(house.path()).unwrap();
    if hako_sys::project::is_enforced(root.as_fd()) {
        return;
    }
    let refused = house.fails(1, ["volume", "create", "-o", "size=10M", "bounded"]);
    assert!(refused.contains("create bounded: quota size requested but no quota support"), "{refused}");
    let refused = house.fails(125, ["run", "--storage-opt", "size=10M", "busybox", "true"]);
    assert!(refused.contains("--storage-opt size cannot be kept: the data root's file system"), "{refused}");
    let mount = "type=volume,source=made,target=/v,volume-opt=size=10M";
    let refused = house.fails(125, ["run", "--mount", mount, "busybox", "true"]);
    assert!(refused.contains("no quota support"), "{refused}");
    for (options, text) in [
        (&["-o", "foo=1"][..], "create odd: invalid option: \"foo\""),
        (&["-o", "size=x"], "create odd: invalid size: 'x'"),
        (&["-o", "type=nfs"], "create odd: missing required option: \"device\""),
        (&["-o", "device=/x"], "create odd: missing required option: \"type\""),
    ] {
        let refused = house.fails(1, [&["volume", "create"], options, &["odd"]].concat());
        assert!(refused.contains(text), "{refused}");
    }
}

#[test]
fn bind_mounts() {
    let house = House::new();
    let dir = house.path().join("page");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("index.html"), "hello").unwrap();
    let source = dir.to_str().unwrap();
    assert_eq!(
        house.ok(["run", "--rm", "-v", &format!("{source}:/www"), "busybox", "cat", "/www/index.html"]),
        "hello"
    );
    let said = house.fails(1, ["run", "--rm", "-v", &format!("{source}:/www:ro"), "busybox", "touch", "/www/x"]);
    assert!(said.contains("Read-only file system"), "{said}");
    house.ok(["run", "--rm", "--mount", &format!("type=bind,src={source},dst=/www"), "busybox", "touch", "/www/x"]);
    assert!(dir.join("x").exists());
    let file = format!("{source}/index.html:/etc/motd:ro");
    assert_eq!(house.ok(["run", "--rm", "-v", &file, "busybox", "cat", "/etc/motd"]), "hello");
}

#[test]
fn a_missing_source_is_made_for_v_and_refused_for_mount() {
    let house = House::new();
    let missing = house.path().join("missing");
    let said = house.fails(125, ["run", "--mount", &format!("type=bind,src={},dst=/x", missing.display()), "busybox"]);
    assert!(said.contains("bind source path does not exist"), "{said}");
    assert!(!missing.exists());
    house.ok(["run", "--rm", "-v", &format!("{}:/x", missing.display()), "busybox", "true"]);
    assert!(missing.is_dir());
}

#[test]
fn named_volumes_keep_what_containers_write() {
    let house = House::new();
    assert_eq!(house.ok(["volume", "create", "data"]), "data");
    house.ok(["run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/f"]);
    assert_eq!(house.ok(["run", "--rm", "-v", "data:/d:ro", "busybox", "cat", "/d/f"]), "kept");
    assert_eq!(house.ok(["volume", "ls", "-q"]), "data");
    let point = house.ok(["volume", "inspect", "-f", "{{.Mountpoint}}", "data"]);
    assert_eq!(std::fs::read_to_string(format!("{point}/f")).unwrap(), "kept\n");
    house.ok(["create", "--name", "user", "-v", "data:/d", "busybox"]);
    let said = house.fails(1, ["volume", "rm", "data"]);
    assert!(said.contains("volume is in use"), "{said}");
    house.ok(["rm", "user"]);
    assert_eq!(house.ok(["volume", "rm", "data"]), "data");
    let said = house.fails(1, ["volume", "inspect", "data"]);
    assert!(said.contains("no such volume"), "{said}");
}

#[test]
fn a_fresh_volume_takes_the_images_content_and_ownership() {
    let house = House::new();
    house.ok([
        "run",
        "--name",
        "seed",
        "busybox",
        "sh",
        "-c",
        "mkdir /site; echo page > /site/f; chown -R 33:33 /site; chmod 750 /site",
    ]);
    house.ok(["commit", "seed", "site"]);
    let look = ["sh", "-c", "cat /site/f; stat -c '%u:%g %a' /site"];
    let said = house.ok(["run", "--rm", "-v", "fresh:/site", "site"].into_iter().chain(look));
    assert_eq!(said, "page\n33:33 750");
    let said = house.ok(["run", "--rm", "-v", "empty:/site:nocopy", "site", "ls", "/site"]);
    assert_eq!(said, "");
}

#[test]
fn anonymous_volumes_go_with_rm_v() {
    let house = House::new();
    house.ok(["run", "--name", "box", "-v", "/data", "busybox", "touch", "/data/x"]);
    assert_eq!(house.ok(["volume", "ls", "-q"]).len(), 64);
    assert_eq!(house.ok(["run", "--rm", "--volumes-from", "box:ro", "busybox", "ls", "/data"]), "x");
    house.ok(["rm", "-v", "box"]);
    assert_eq!(house.ok(["volume", "ls", "-q"]), "");
    house.ok(["run", "--rm", "-v", "/data", "busybox", "true"]);
    assert_eq!(house.ok(["volume", "ls", "-q"]), "", "--rm takes its anonymous volumes along");
}

#[test]
fn tmpfs_and_shm_have_their_sizes() {
    let house = House::new();
    let said = house.ok([
        "run",
        "--rm",
        "--tmpfs",
        "/t:size=1m,mode=700",
        "--shm-size",
        "2m",
        "busybox",
        "sh",
        "-c",
        "grep -E ' (/t|/dev/shm) ' /proc/mounts; stat -c %a /t",
    ]);
    assert!(said.contains("size=1024k") && said.contains("size=2048k") && said.ends_with("700"), "{said}");
}

#[test]
fn inspect_tells_the_mounts() {
    let house = House::new();
    house.ok(["create", "--name", "box", "-v", "data:/d", "-v", "/tmp:/t:ro", "busybox"]);
    let said = house.inspect("box", "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}};{{end}}");
    let mut mounts: Vec<&str> = said.split_terminator(';').collect();
    mounts.sort_unstable();
    assert_eq!(mounts, ["bind  /t false", "volume data /d true"]);
}

/// An image of two layers, whose upper one hides a file, and links out of it.
fn mountable(house: &House) {
    let files = house.path().join("files");
    std::fs::create_dir_all(files.join("data")).unwrap();
    std::fs::write(files.join("data/page"), "hello").unwrap();
    std::fs::write(files.join("gone"), "gone").unwrap();
    let build = "FROM scratch AS one\nCOPY data/page gone /data/\nFROM busybox AS two\nRUN mkdir /own\n\
                 COPY data /data/\nCOPY gone /\nRUN rm /gone && echo more >> /data/page \\\n\
                 && ln -s /etc /out && ln -s ../../../../../data /up\n";
    std::fs::write(files.join("Dockerfile"), build).unwrap();
    for (target, name) in [("one", "single:1"), ("two", "several:1")] {
        house.ok(["build", "-q", "--target", target, "-t", name, files.to_str().unwrap()]);
    }
}

#[test]
fn images_are_mounted_but_never_written() {
    let house = House::new();
    mountable(&house);
    for image in ["single:1", "several:1"] {
        let mount = format!("type=image,source={image},target=/image");
        assert!(house.ok(["run", "--rm", "--mount", &mount, "busybox", "cat", "/image/data/page"]).contains("hello"));
        let part = format!("{mount},image-subpath=data");
        assert!(house.ok(["run", "--rm", "--mount", &part, "busybox", "cat", "/image/page"]).contains("hello"));
        let file = format!("{mount},image-subpath=data/page");
        assert!(house.ok(["run", "--rm", "--mount", &file, "busybox", "cat", "/image"]).contains("hello"));
        for touch in ["touch /image/x", "rm /image/data/page", "mount -o remount,rw /image"] {
            let ended = house.run(["run", "--rm", "--mount", &mount, "busybox", "sh", "-c", touch]);
            assert_ne!(ended.code, 0, "{image}: {touch}");
        }
        let missing = format!("{mount},image-subpath=none");
        let said = house.fails(125, ["run", "--rm", "--mount", &missing, "busybox", "true"]);
        assert!(said.contains(&format!("cannot access path none in image {image}")), "{said}");
    }
    let several = "type=image,source=several:1,target=/image";
    assert_eq!(house.ok(["run", "--rm", "--mount", several, "busybox", "ls", "-d", "/image/own"]), "/image/own");
    house.fails(1, ["run", "--rm", "--mount", several, "busybox", "cat", "/image/gone"]);
    // Links lead nowhere but into the image.
    let up = format!("{several},image-subpath=up");
    assert_eq!(house.ok(["run", "--rm", "--mount", &up, "busybox", "cat", "/image/page"]), "hellomore");
    let out = format!("{several},image-subpath=out");
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let seen = house.run(["run", "--rm", "--mount", &out, "busybox", "cat", "/image/hostname"]);
    assert!(seen.code != 0 || seen.stdout.is_empty() || host.is_empty() || !seen.stdout.contains(host.trim()));
    for (wrong, why) in [
        ("type=image,target=/x", "field Source must not be empty"),
        ("type=image,source=single:1,target=/x,image-subpath=/data", "subpath must be a relative path"),
        ("type=image,source=single:1,target=/x,image-subpath=a/../..", "subpath must be a relative path"),
        ("type=image,source=nothing,target=/x", "No such image: nothing:latest"),
        ("type=bind,source=/tmp,target=/x,image-subpath=a", "cannot mix 'image-*' options with mount type 'bind'"),
    ] {
        let said = house.fails(125, ["run", "--rm", "--mount", wrong, "busybox", "true"]);
        assert!(said.contains(why) && !said.contains("Unable to find image"), "{wrong}: {said}");
    }
}

#[test]
fn a_mounted_image_stays() {
    let house = House::new();
    mountable(&house);
    let mount = "type=image,source=several:1,target=/image,image-subpath=data";
    house.ok(["create", "--name", "box", "--mount", mount, "busybox", "cat", "/image/page"]);
    let shown =
        house.inspect("box", "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}} {{.Propagation}}{{end}}");
    assert_eq!(shown, "image several:1 /image false rprivate");
    let asked = house.inspect("box", "{{json .HostConfig.Mounts}}");
    assert!(
        asked.contains(r#""Type":"image","Source":"several:1""#) && asked.contains(r#""Subpath":"data""#),
        "{asked}"
    );
    let id = house.ok(["inspect", "--format", "{{.Id}}", "several:1"]);
    let said = house.fails(1, ["rmi", "several:1"]);
    assert!(said.contains("(must force)") && said.contains("is using its referenced image"), "{said}");
    house.ok(["image", "prune", "-af"]);
    assert_eq!(house.ok(["inspect", "--format", "{{.Id}}", "several:1"]), id);
    // Its files are read without the container running, and not written.
    let target = house.path().join("page");
    house.ok(["cp", "box:/image/page", target.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "hellomore\n");
    assert!(house.fails(1, ["cp", target.to_str().unwrap(), "box:/image/new"]).contains("read-only"));
    // Even when its name was taken away by force, and another daemon looks after it.
    house.ok(["rmi", "-f", "several:1"]);
    house.ok(["builder", "prune", "-af"]);
    house.kill_daemon();
    house.ok(["image", "prune", "-af"]);
    assert_eq!(house.ok(["start", "-a", "box"]), "hellomore");
    let borrowed = house.ok(["run", "--rm", "--volumes-from", "box", "busybox", "cat", "/image/page"]);
    assert_eq!(borrowed, "hellomore");
    house.ok(["rm", "box"]);
    // What can only be given at the beginning is refused later; old clients never knew of it.
    house.ok(["run", "-d", "--name", "later", "busybox", "sleep", "1000"]);
    let said = house.fails(1, ["update", "--mount", "type=image,source=single:1,target=/x", "later"]);
    assert!(said.contains("can only be given at creation"), "{said}");
    house.ok(["rm", "-f", "later"]);
}

#[test]
fn events_tell_who_mounts_a_volume() {
    let house = House::new();
    house.ok(["run", "--rm", "--name", "box", "--network", "none", "-v", "vol:/v:ro", "busybox"]);
    let told = || {
        let format = "{{.Action}} {{json .Actor.Attributes}}";
        house.ok(["events", "--since", "0", "--until", "0s", "--filter", "volume=vol", "--format", format])
    };
    await_that("the volume's end", || told().contains("unmount"));
    let told = told();
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[1].starts_with("mount {\"container\":\""), "{told}");
    let facts = "\",\"destination\":\"/v\",\"driver\":\"local\",\"propagation\":\"\",\"read/write\":\"false\"}";
    assert!(lines[1].ends_with(facts), "{told}");
    assert!(lines[2].starts_with("unmount {\"container\":\"") && lines[2].ends_with("\"driver\":\"local\"}"), "{told}");
}
