//! Archives made by an enemy: refused or contained, never a file outside the store, never a half image.

use crate::house::{House, run_tool};

/// Makes a tar with Python's tarfile, which lets one write anything.
fn tar(house: &House, script: &str) -> String {
    let path = house.path().join("hostile.tar");
    let program = format!(
        "import tarfile,io,sys,json,hashlib\nt=tarfile.open(sys.argv[1],'w')\n\
         def add(name,data=b'',**k):\n    i=tarfile.TarInfo(name); i.size=len(data)\n    for a,b in k.items(): setattr(i,a,b)\n    t.addfile(i,io.BytesIO(data))\n{script}\nt.close()\n"
    );
    run_tool("python3", ["-c", &program, path.to_str().unwrap()]);
    path.to_str().unwrap().to_owned()
}

#[test]
fn hostile_layers_stay_inside() {
    let house = House::new();
    let canary = house.path().join("canary");
    let target = canary.to_str().unwrap().to_owned();
    let cases = [
        format!("add('../../../../../../../..{target}', b'x')"),
        format!("add('{target}', b'x')"),
        format!("add('way', type=tarfile.SYMTYPE, linkname='{}'); add('way/canary', b'x')", house.path().display()),
        format!(
            "add('way', type=tarfile.SYMTYPE, linkname='../../../../../../../../../..{}'); add('way/canary', b'x')",
            house.path().display()
        ),
        "add('hard', type=tarfile.LNKTYPE, linkname='../../../../../../../../../../../etc/passwd')".to_owned(),
        "add('.wh...', b'')".to_owned(),
        "add('.wh..', b'')".to_owned(),
        "add('d/.wh.', b'')".to_owned(),
    ];
    for case in cases {
        let path = tar(&house, &case);
        let ended = house.run(["import", &path, "hostile"]);
        assert!(!canary.exists(), "{case} wrote outside");
        assert!(ended.code == 0 || !ended.stderr.contains("panick"), "{case}: {}", ended.stderr);
        house.run(["rmi", "hostile"]);
    }
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "fine"]), "fine");
}

#[test]
fn archives_that_lie_about_digests_leave_nothing() {
    let house = House::new();
    let config = r#"config=json.dumps({'architecture':'amd64','os':'linux','config':{},'rootfs':{'type':'layers','diff_ids':['sha256:'+'0'*64]},'history':[]}).encode()
l=io.BytesIO(); lt=tarfile.open(fileobj=l,mode='w'); lt.close(); l=l.getvalue()
"#;
    let cases = [
        format!(
            "{config}add('c.json',config); add('l/layer.tar',l); add('manifest.json',json.dumps([{{'Config':'c.json','RepoTags':['liar:1'],'Layers':['l/layer.tar']}}]).encode())"
        ),
        format!(
            "{config}add('c.json',config); add('l/layer.tar',type=tarfile.SYMTYPE,linkname='/etc/passwd'); add('manifest.json',json.dumps([{{'Config':'c.json','RepoTags':['liar:1'],'Layers':['l/layer.tar']}}]).encode())"
        ),
        format!(
            "{config}add('c.json',config); add('l/layer.tar',type=tarfile.FIFOTYPE); add('manifest.json',json.dumps([{{'Config':'c.json','RepoTags':['liar:1'],'Layers':['l/layer.tar']}}]).encode())"
        ),
        format!(
            "{config}add('manifest.json',json.dumps([{{'Config':'../../../../etc/passwd','RepoTags':['liar:1'],'Layers':[]}}]).encode())"
        ),
        "add('manifest.json', b'[' * 100000)".to_owned(),
        "add('manifest.json', b' ' * (64 << 20))".to_owned(),
        "add('manifest.json', b'[{}]')".to_owned(),
        "pass".to_owned(),
    ];
    for case in cases {
        let path = tar(&house, &case);
        let ended = house.run(["load", "-i", &path]);
        assert_ne!(ended.code, 0, "{case}");
        assert!(!ended.stderr.trim().is_empty());
        assert_eq!(house.ok(["images", "-q", "liar"]), "", "{case}");
    }
    assert_eq!(std::fs::read_dir(house.data().join("tmp")).into_iter().flatten().count(), 0, "nothing half done stays");
}

#[test]
fn broken_compression_is_an_error() {
    let house = House::new();
    let bad = house.path().join("bad.gz");
    let whole =
        std::process::Command::new("gzip").args(["-c"]).arg(crate::house::busybox_tar()).output().unwrap().stdout;
    std::fs::write(&bad, &whole[..whole.len() / 2]).unwrap();
    let said = house.fails(1, ["import", bad.to_str().unwrap(), "half"]);
    assert!(!said.is_empty());
    assert_eq!(house.ok(["images", "-q", "half"]), "");
}

#[test]
fn a_hundred_and_twenty_eight_layers() {
    let house = House::new();
    let path = tar(
        &house,
        r#"
layers=[]; ids=[]
for i in range(128):
    b=io.BytesIO(); lt=tarfile.open(fileobj=b,mode='w'); ti=tarfile.TarInfo('f%d'%i); ti.size=1; lt.addfile(ti,io.BytesIO(b'x'))
    if i==0:
        d=open('/bin/busybox','rb').read(); ti=tarfile.TarInfo('ls'); ti.size=len(d); ti.mode=0o755; lt.addfile(ti,io.BytesIO(d))
    lt.close(); b=b.getvalue(); layers.append('%d/layer.tar'%i); ids.append('sha256:'+hashlib.sha256(b).hexdigest()); add('%d/layer.tar'%i,b)
config=json.dumps({'architecture':'amd64','os':'linux','config':{'Cmd':['/ls','/']},'rootfs':{'type':'layers','diff_ids':ids}}).encode()
add('c.json',config); add('manifest.json',json.dumps([{'Config':'c.json','RepoTags':['tall:1'],'Layers':layers}]).encode())
"#,
    );
    house.ok(["load", "-i", &path]);
    let said = house.ok(["run", "--rm", "tall:1"]);
    assert_eq!(said.lines().filter(|line| line.starts_with('f')).count(), 128);
}
