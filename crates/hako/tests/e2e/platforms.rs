//! Builds for several platforms, and what is attested of their images: what comes out, where it goes, and what is left of it.

use std::path::Path;

use serde_json::Value;

use crate::builds::context;
use crate::house::{Ended, House, finish, run_tool};
use crate::registry::Registry;

const BOTH: &str = "linux/amd64,linux/arm64";

/// What is made on this machine's platform is made once; the platform that is built for is an argument.
const FILE: &str = "FROM --platform=$BUILDPLATFORM busybox AS make
ARG BUILDPLATFORM
RUN echo \"on $BUILDPLATFORM\" > /shared && head -c 8 /dev/urandom | od -An -tx1 >> /shared
FROM --platform=$BUILDPLATFORM busybox AS own
ARG TARGETPLATFORM
RUN echo \"for $TARGETPLATFORM\" > /own
FROM scratch
COPY --from=make /shared /shared
COPY --from=own /own /own
";

/// Builds; gives what was said.
fn build(house: &House, dir: &Path, flags: &[&str]) -> String {
    let args = [&["build", "--progress", "plain"], flags, &[dir.to_str().unwrap()]].concat();
    let ended = house.run(&args);
    assert_eq!(ended.code, 0, "hako {args:?}\n{}{}", ended.stdout, ended.stderr);
    ended.stderr
}

fn docker(house: &House, dir: &Path, args: &[&str]) -> Option<Ended> {
    Some(finish(house.clients()?.args(args).current_dir(dir).output().expect("the docker CLI")))
}

/// A document out of an image archive.
fn document(archive: &Path, name: &str) -> Value {
    let text = run_tool("tar", ["-xOf", archive.to_str().unwrap(), name]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"))
}

/// The blob that a descriptor in an image archive points to.
fn blob(archive: &Path, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().unwrap();
    document(archive, &format!("blobs/{}", digest.replace(':', "/")))
}

/// The index of the only image of an archive.
fn index(archive: &Path) -> Value {
    let outer = document(archive, "index.json");
    assert_eq!(outer["manifests"].as_array().unwrap().len(), 1, "{outer}");
    blob(archive, &outer["manifests"][0])
}

fn platforms(index: &Value) -> Vec<String> {
    let name = |it: &Value| format!("{}/{}", it["platform"]["os"], it["platform"]["architecture"]).replace('"', "");
    index["manifests"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn one_build_is_for_several_platforms() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", FILE)]);
    let told = build(&house, &dir, &["--no-cache", "--platform", BOTH, "-t", "app:1"]);
    assert!(
        told.contains("[linux/amd64 make 2/2] RUN echo") && told.contains("[linux/arm64 stage-2 2/2] COPY"),
        "{told}"
    );

    // A name leads to this machine's image, and to the other one when that is asked for.
    let shown = |platform: &str| {
        let format = "{{.Architecture}} {{.Id}} {{.Descriptor.mediaType}}";
        house.ok(["image", "inspect", "--platform", platform, "--format", format, "app:1"])
    };
    let (own, other) = (shown("linux/amd64"), shown("linux/arm64"));
    assert!(own.starts_with("amd64 ") && other.starts_with("arm64 ") && own.contains(".manifest."), "{own}\n{other}");
    assert_eq!(house.inspect("app:1", "{{.Descriptor.mediaType}}"), "application/vnd.oci.image.index.v1+json");
    house.fails(1, ["image", "inspect", "--platform", "linux/s390x", "app:1"]);
    let tree = house.ok(["image", "ls", "--tree"]);
    assert!(tree.contains("├─ linux/amd64") && tree.contains("└─ linux/arm64"), "{tree}");
    assert_eq!(house.ok(["images", "-q"]).lines().count(), 2, "app and busybox; a part is no image of its own");
    house.ok(["image", "prune", "-f"]);

    // Files of each platform in a directory of its own; the stage they share was made once.
    let out = house.path().join("out");
    build(&house, &dir, &["--no-cache", "--platform", BOTH, "-o", out.to_str().unwrap()]);
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert_eq!(
        (read("linux_amd64/own"), read("linux_arm64/own")),
        ("for linux/amd64\n".into(), "for linux/arm64\n".into())
    );
    assert_eq!(read("linux_amd64/shared"), read("linux_arm64/shared"));
    assert!(read("linux_arm64/shared").starts_with("on linux/amd64\n"));
    let tar = house.path().join("out.tar");
    build(&house, &dir, &["--platform", BOTH, "-o", &format!("type=tar,dest={}", tar.display())]);
    let names = run_tool("tar", ["-tf", tar.to_str().unwrap()]);
    let names: Vec<&str> =
        names.lines().filter(|name| name.ends_with("own") || name.matches('/').count() == 1).collect();
    assert_eq!(names[..2], ["linux_amd64/", "linux_amd64/own"], "{names:?}");
    assert_eq!(run_tool("tar", ["-xOf", tar.to_str().unwrap(), "linux_arm64/own"]).trim(), "for linux/arm64");

    // An archive has all of it.
    let archive = house.path().join("app.tar");
    house.ok(["tag", "app:1", "app:2"]);
    house.ok(["save", "-o", archive.to_str().unwrap(), "app:2"]);
    let saved = index(&archive);
    assert_eq!(platforms(&saved), ["linux/amd64", "linux/arm64"]);

    // The parts go with the last name, and so does everything they were made of.
    house.ok(["rmi", "app:1"]);
    assert!(house.inspect("app:2", "{{.Descriptor.mediaType}}").contains(".index."));
    house.ok(["rmi", "app:2"]);
    assert_eq!(house.ok(["images", "-aq"]).lines().count(), 1, "only busybox is left");

    // Whoever loads it has all of it again, or only what he asks for.
    house.ok(["load", "-i", archive.to_str().unwrap()]);
    assert_eq!(house.inspect("app:2", "{{.Architecture}}"), "amd64");
    let arm = ["image", "inspect", "--platform", "linux/arm64", "--format", "{{.Id}}", "app:2"];
    assert!(other.contains(&house.ok(arm)), "{other}");
    let again = house.path().join("again.tar");
    house.ok(["save", "-o", again.to_str().unwrap(), "app:2"]);
    assert_eq!(index(&again), saved);
    house.ok(["rmi", "app:2"]);
    assert_eq!(house.ok(["images", "-aq"]).lines().count(), 1, "only busybox is left");
    let bytes = std::fs::read(&archive).unwrap();
    let sent = house.run_with_input(["load", "--platform", "linux/amd64"], &bytes);
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    house.fails(1, arm);
    assert_eq!(house.run_with_input(["load"], &bytes).code, 0);
    assert!(other.contains(&house.ok(arm)), "{other}");
}

#[test]
fn registries_get_the_whole_index() {
    let (house, registry) = (House::new(), Registry::start());
    let dir = context(&house, &[("Dockerfile", FILE)]);
    let name = format!("{}/app:1", registry.address());
    build(&house, &dir, &["--platform", BOTH, "--provenance=true", "--push", "-t", &name]);
    let listed = house.ok(["manifest", "inspect", "--insecure", &name]);
    assert!(listed.contains("\"amd64\"") && listed.contains("\"arm64\"") && listed.contains("\"unknown\""), "{listed}");
    let before = house.ok(["image", "inspect", "--platform", "linux/arm64", "--format", "{{.Id}}", &name]);
    for platform in ["linux/arm64", "linux/amd64"] {
        house.ok(["rmi", "-f", &name]);
        house.ok(["pull", "-q", "--platform", platform, &name]);
        assert_eq!(house.inspect(&name, "{{.Os}}/{{.Architecture}}"), platform);
    }
    // A build that needs another platform of a base takes it from there, and the name stays what it was.
    let base = format!("FROM {name}\nCOPY Dockerfile /more\n");
    std::fs::write(dir.join("Dockerfile"), base).unwrap();
    build(&house, &dir, &["--platform", BOTH, "-t", "above"]);
    assert_eq!(house.inspect(&name, "{{.Architecture}}"), "amd64");
    let other = house.ok(["image", "inspect", "--platform", "linux/arm64", "--format", "{{.Id}}", &name]);
    assert_eq!(other, before, "it stands beside the one that was here");
    let above = house.ok(["image", "inspect", "--platform", "linux/arm64", "--format", "{{.Architecture}}", "above"]);
    assert_eq!(above, "arm64");
}

#[test]
fn a_foreign_step_says_what_it_needs() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", "FROM scratch\nCOPY sh /bin/sh\nRUN true\n")]);
    // The head of a program for arm64, and nothing more: the kernel looks no further.
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(16, 0);
    program.extend([2, 0, 183, 0, 1, 0, 0, 0]);
    program.resize(120, 0);
    std::fs::write(dir.join("sh"), program).unwrap();
    run_tool("chmod", ["+x", dir.join("sh").to_str().unwrap()]);
    let said = house.fails(1, ["build", "--platform", "linux/arm64", dir.to_str().unwrap()]);
    for part in ["exec format error", "linux/arm64", "--platform=$BUILDPLATFORM", ">>> RUN true"] {
        assert!(said.contains(part), "{part:?} in:\n{said}");
    }
}

const STATUS: &str = "Package: tea\nStatus: install ok installed\nVersion: 1:2.0-3\nArchitecture: amd64\n";

#[test]
fn what_is_attested_stands_in_the_index() {
    let house = House::new();
    let file = "FROM busybox\nARG MODE\nCOPY status /var/lib/dpkg/status\nRUN --mount=type=secret,id=word true $MODE\n";
    let dir = context(&house, &[("Dockerfile", file), ("status", STATUS), ("word", "hush")]);
    let (archive, word) = (house.path().join("app.tar"), dir.join("word"));
    let (output, secret) = (format!("type=oci,dest={}", archive.display()), format!("id=word,src={}", word.display()));
    let flags = ["-t", "app", "--secret", &secret, "--build-arg", "MODE=fast", "-o", &output];
    let attested = |more: &[&str]| {
        build(&house, &dir, &[&flags, more].concat());
        let index = index(&archive);
        let attestation = index["manifests"][1].clone();
        assert_eq!(attestation["annotations"]["vnd.docker.reference.type"], "attestation-manifest");
        assert_eq!(attestation["annotations"]["vnd.docker.reference.digest"], index["manifests"][0]["digest"]);
        assert_eq!(platforms(&index), ["linux/amd64", "unknown/unknown"]);
        let manifest = blob(&archive, &attestation);
        let layers = manifest["layers"].as_array().unwrap().clone();
        assert!(layers.iter().all(|layer| layer["mediaType"] == "application/vnd.in-toto+json"), "{manifest}");
        let statements: Vec<Value> = layers.iter().map(|layer| blob(&archive, layer)).collect();
        for (layer, statement) in layers.iter().zip(&statements) {
            assert_eq!(layer["annotations"]["in-toto.io/predicate-type"], statement["predicateType"]);
            let digest = index["manifests"][0]["digest"].as_str().unwrap();
            assert_eq!(format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().unwrap()), digest);
        }
        statements
    };

    let all = attested(&["--provenance=mode=max", "--sbom=true"]);
    let (packages, made) = (&all[0]["predicate"], &all[1]["predicate"]);
    assert_eq!(packages["spdxVersion"], "SPDX-2.3");
    assert_eq!(packages["packages"][0]["name"], "tea");
    assert_eq!(made["invocation"]["parameters"]["args"]["build-arg:MODE"], "fast");
    assert_eq!(made["invocation"]["parameters"]["secrets"][0]["id"], "word");
    assert!(made["materials"][0]["uri"].as_str().unwrap().starts_with("pkg:docker/busybox@latest"), "{made}");
    assert_eq!(made["buildConfig"]["llbDefinition"].as_array().unwrap().len(), 2);
    assert!(!made.to_string().contains("hush"));

    // Little is said unless more is wanted.
    let little = attested(&["--attest", "type=provenance,version=v1"]);
    assert_eq!(little[0]["predicateType"], "https://slsa.dev/provenance/v1");
    assert!(!little[0].to_string().contains("fast") && !little[0].to_string().contains("word"), "{}", little[0]);

    // The same twice, where the moment is given; and nothing at all where nobody asks.
    let twice: Vec<String> = (0..2)
        .map(|_| {
            attested(&["--provenance=mode=max", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--no-cache"]);
            document(&archive, "index.json")["manifests"][0]["digest"].to_string()
        })
        .collect();
    assert_eq!(twice[0], twice[1]);
    build(&house, &dir, &flags);
    assert_eq!(
        document(&archive, "index.json")["manifests"][0]["mediaType"],
        "application/vnd.oci.image.manifest.v1+json"
    );
    house.fails(1, ["build", "--sbom=generator=some/scanner", dir.to_str().unwrap()]);
}

#[test]
fn buildx_builds_for_several_platforms_too() {
    let (house, registry) = (House::new(), Registry::start());
    let dir = context(&house, &[("Dockerfile", FILE)]);
    let name = format!("{}/app:1", registry.address());
    let args =
        ["buildx", "build", "--platform", BOTH, "--provenance=mode=max", "--sbom=true", "--push", "-t", &name, "."];
    let Some(ended) = docker(&house, &dir, &args) else { return };
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let accept = "Accept: application/vnd.oci.image.index.v1+json";
    let url = format!("http://{}/v2/app/manifests/1", registry.address());
    let listed = run_tool("curl", ["-sf", "-H", accept, &url]);
    assert!(listed.contains("\"arm64\"") && listed.contains("attestation-manifest"), "{listed}");
    let tree = docker(&house, &dir, &["image", "ls", "--tree"]).unwrap().stdout;
    assert!(tree.contains("linux/amd64") && tree.contains("linux/arm64"), "{tree}");
    let format = "{{.Architecture}}";
    let shown = docker(&house, &dir, &["image", "inspect", "--platform", "linux/arm64", "-f", format, &name]).unwrap();
    assert_eq!(shown.stdout.trim(), "arm64", "{}", shown.stderr);

    let archive = house.path().join("app.tar");
    let output = format!("type=oci,dest={}", archive.display());
    let ended = docker(&house, &dir, &["buildx", "build", "--platform", BOTH, "-o", &output, "."]).unwrap();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(platforms(&index(&archive)), ["linux/amd64", "linux/arm64"], "what buildx adds by itself is not made");

    // Files of each in a folder of its own; of one where that is asked for.
    let (out, tar) = (house.path().join("out"), house.path().join("out.tar"));
    let (all, one) =
        (format!("type=tar,dest={}", tar.display()), format!("type=local,platform-split=true,dest={}", out.display()));
    for args in [
        vec!["--platform", BOTH, "-o", &all],
        vec!["--platform", BOTH, "-o", out.to_str().unwrap()],
        vec!["--platform", "linux/arm/v7", "-o", &one],
    ] {
        let ended = docker(&house, &dir, &[&["buildx", "build"], &args[..], &["."]].concat()).unwrap();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    for (folder, platform) in
        [("linux_amd64", "linux/amd64"), ("linux_arm64", "linux/arm64"), ("linux_arm_v7", "linux/arm/v7")]
    {
        assert_eq!(std::fs::read_to_string(out.join(folder).join("own")).unwrap(), format!("for {platform}\n"));
    }
    assert_eq!(run_tool("tar", ["-xOf", tar.to_str().unwrap(), "linux_arm64/own"]).trim(), "for linux/arm64");
}

#[test]
fn platforms_are_built_side_by_side() {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return;
    }
    let house = House::new();
    // Each waits for the other.
    let file = "FROM --platform=$BUILDPLATFORM busybox
ARG TARGETARCH
RUN --mount=type=cache,target=/meet touch /meet/$TARGETARCH; \\
    i=0; until [ -e /meet/amd64 ] && [ -e /meet/arm64 ]; do i=$((i + 1)); [ $i -lt 1200 ] || exit 4; sleep 0.05; done
";
    let dir = context(&house, &[("Dockerfile", file)]);
    build(&house, &dir, &["--platform", BOTH, "-t", "met"]);

    // What breaks one stops the other, and is what is said.
    let file = "FROM --platform=$BUILDPLATFORM busybox
ARG TARGETARCH
RUN --mount=type=cache,target=/meet,id=again touch /meet/$TARGETARCH; [ $TARGETARCH = arm64 ] || sleep 600; \\
    until [ -e /meet/amd64 ]; do sleep 0.05; done; exit 7
";
    std::fs::write(dir.join("Dockerfile"), file).unwrap();
    let said = house.fails(1, ["build", "--progress=plain", "--platform", BOTH, dir.to_str().unwrap()]);
    assert!(said.contains("did not complete successfully: exit code: 7"), "{said}");
}

/// The manifest or index that an archive's only name leads to, and the descriptor that leads there.
fn outermost(archive: &Path) -> (Value, Value) {
    let outer = document(archive, "index.json")["manifests"][0].clone();
    (blob(archive, &outer), outer)
}

#[test]
fn annotations_stand_in_the_manifest() {
    let (house, registry) = (House::new(), Registry::start());
    let dir = context(&house, &[("Dockerfile", "FROM busybox\nCOPY Dockerfile /\n")]);
    let name = |tag: &str| format!("{}/app:{tag}", registry.address());
    let (plain, one, other) = (name("plain"), name("one"), name("other"));
    build(&house, &dir, &["-t", &plain]);
    build(&house, &dir, &["--annotation", "a=b=c", "--annotation", "manifest-descriptor:m=n", "-t", &one]);
    build(&house, &dir, &["--annotation", "manifest[linux/amd64]:x.y=z", "-t", &other]);
    assert_eq!(house.inspect(&one, "{{.Id}}"), house.inspect(&plain, "{{.Id}}"), "the image is the same");
    assert_eq!(house.inspect(&one, "{{.Descriptor.annotations}}"), "map[m:n]");

    // Each name has its own manifest: in registries, under another name, and in archives.
    let again = name("again");
    house.ok(["tag", &one, &again]);
    house.ok(["rmi", &one]);
    for (name, expect) in
        [(&plain, Value::Null), (&again, serde_json::json!({"a": "b=c"})), (&other, serde_json::json!({"x.y": "z"}))]
    {
        house.ok(["push", "-q", name]);
        let shown = house.ok(["manifest", "inspect", "--insecure", name]);
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["annotations"], expect, "{shown}");
        let archive = house.path().join("app.tar");
        house.ok(["save", "-o", archive.to_str().unwrap(), name]);
        let (manifest, _) = outermost(&archive);
        assert_eq!(manifest["annotations"], expect, "{name}");
    }
    house.ok(["rmi", &plain, &again, &other]);
    house.ok(["load", "-i", house.path().join("app.tar").to_str().unwrap()]);
    let archive = house.path().join("loaded.tar");
    house.ok(["save", "-o", archive.to_str().unwrap(), &other]);
    assert_eq!(outermost(&archive).0["annotations"]["x.y"], "z", "what was loaded keeps them");
    house.ok(["rmi", &other]);
    house.ok(["pull", "-q", &again]);
    let archive = house.path().join("pulled.tar");
    house.ok(["save", "-o", archive.to_str().unwrap(), &again]);
    assert_eq!(outermost(&archive).0["annotations"]["a"], "b=c", "what was pulled keeps them");

    // Without a name, and for files, which have no manifest.
    let output = format!("type=oci,dest={}", archive.display());
    build(&house, &dir, &["--annotation", "q=r", "--annotation", "manifest-descriptor:s=t", "-o", &output]);
    let (manifest, descriptor) = outermost(&archive);
    assert_eq!((&manifest["annotations"]["q"], &descriptor["annotations"]["s"]), (&"r".into(), &"t".into()));
    build(&house, &dir, &["--annotation", "q=r", "-o", house.path().join("out").to_str().unwrap()]);
    for (flag, why) in [
        ("a", "invalid annotation \"a\", expected key=value"),
        ("layer:a=b", "unknown annotation type \"layer\""),
        ("index:a=b", "index annotations not supported for single platform export"),
    ] {
        let said = house.fails(1, ["build", "--annotation", flag, dir.to_str().unwrap()]);
        assert!(said.contains(why), "{flag}: {said}");
    }
}

/// What stands in an index of two platforms, its descriptor, and the manifests.
fn check_index_annotations(archive: &Path) {
    let (index, descriptor) = outermost(archive);
    assert_eq!(index["annotations"], serde_json::json!({"both": "1", "i": "j"}), "{index}");
    assert_eq!(descriptor["annotations"]["k"], "l", "{descriptor}");
    let [amd, arm] = [&index["manifests"][0], &index["manifests"][1]];
    assert_eq!((&amd["annotations"]["m"], &arm["annotations"]), (&"n".into(), &Value::Null));
    assert_eq!(blob(archive, amd)["annotations"], serde_json::json!({"a": "b", "both": "1"}));
    assert_eq!(blob(archive, arm)["annotations"], serde_json::json!({"a": "b", "both": "1", "only": "arm"}));
}

#[test]
fn annotations_of_several_platforms() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")]);
    let said = [
        "a=b",
        "index,manifest:both=1",
        "manifest[linux/arm64]:only=arm",
        "index:i=j",
        "index-descriptor:k=l",
        "manifest-descriptor[linux/amd64]:m=n",
    ];
    let flags: Vec<String> = said.iter().map(|text| format!("--annotation={text}")).collect();
    let archive = house.path().join("app.tar");
    let output = format!("type=oci,dest={}", archive.display());
    let mut args = vec!["--platform", BOTH, "-o", &output];
    args.extend(flags.iter().map(String::as_str));
    build(&house, &dir, &args);
    check_index_annotations(&archive);
    let strange = ["build", "--platform", BOTH, "--annotation", "manifest[linux/s390x]:a=b", dir.to_str().unwrap()];
    let refused = house.fails(1, strange);
    assert!(refused.contains("invalid annotation: no platform linux/s390x found in source"), "{refused}");

    let list = said.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
    let file = format!(
        "target \"default\" {{\n annotations = [{list}]\n platforms = [\"linux/amd64\", \"linux/arm64\"]\n \
         output = [{output:?}]\n}}\n"
    );
    std::fs::write(dir.join("docker-bake.hcl"), file).unwrap();
    std::fs::remove_file(&archive).unwrap();
    let baked = house.command(["bake", "--progress=plain", "--allow=fs.write=.."]).current_dir(&dir).output().unwrap();
    assert!(baked.status.success(), "{}", String::from_utf8_lossy(&baked.stderr));
    check_index_annotations(&archive);

    std::fs::remove_file(&archive).unwrap();
    let ended = docker(&house, &dir, &[&["buildx", "build"][..], &args, &["."]].concat());
    let Some(ended) = ended else { return };
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    check_index_annotations(&archive);
    // Without `--load` buildx does not send them.
    let load = ["buildx", "build", "--load", "--annotation", "manifest-descriptor:u=v", "-t", "one", "."];
    let loaded = docker(&house, &dir, &load).unwrap();
    assert_eq!(loaded.code, 0, "{}", loaded.stderr);
    assert_eq!(house.inspect("one", "{{.Descriptor.annotations}}"), "map[u:v]");
}
