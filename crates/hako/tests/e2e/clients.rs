//! The stock docker CLI and docker-py on hako's socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use crate::house::{House, PATIENCE, run_tool};

#[test]
fn the_docker_cli_does_a_newcomers_day() {
    let house = House::new();
    let docker = |args: &[&str]| {
        let ended = house.docker(args);
        assert_eq!(ended.code, 0, "docker {args:?}: {}{}", ended.stdout, ended.stderr);
        ended.stdout.trim_end().to_owned()
    };
    assert!(docker(&["version"]).contains("Server:"));
    assert!(docker(&["info"]).contains("Storage Driver: overlay2"));
    assert_eq!(docker(&["run", "--rm", "busybox", "echo", "hi"]), "hi");
    assert_eq!(house.docker(["run", "--rm", "busybox", "sh", "-c", "exit 3"]).code, 3);
    assert_eq!(house.docker(["run", "--rm", "busybox", "nothing"]).code, 127);
    docker(&[
        "run",
        "-d",
        "--name",
        "box",
        "-p",
        "8080:80",
        "-v",
        "data:/d",
        "busybox",
        "sh",
        "-c",
        "echo line; sleep 600",
    ]);
    assert!(docker(&["ps"]).contains("0.0.0.0:8080->80/tcp"));
    assert_eq!(docker(&["exec", "box", "echo", "in"]), "in");
    crate::house::await_that("the line", || docker(&["logs", "box"]) == "line");
    assert!(docker(&["top", "box"]).contains("sleep 600"));
    assert!(docker(&["stats", "--no-stream", "box"]).contains("MEM USAGE"));
    assert!(docker(&["port", "box"]).contains("80/tcp -> 0.0.0.0:8080"));
    docker(&["pause", "box"]);
    docker(&["unpause", "box"]);
    docker(&["cp", "/bin/busybox", "box:/tmp/copied"]);
    assert!(docker(&["diff", "box"]).contains("A /tmp/copied"));
    docker(&["rename", "box", "den"]);
    docker(&["update", "-m", "100m", "--memory-swap", "200m", "den"]);
    docker(&["restart", "-t", "0", "den"]);
    docker(&["stop", "-t", "0", "den"]);
    assert_eq!(docker(&["wait", "den"]), "137");
    docker(&["commit", "den", "made:1"]);
    assert!(docker(&["images"]).contains("made"));
    assert!(docker(&["history", "made:1"]).contains("CREATED BY"));
    docker(&["save", "-o", house.path().join("m.tar").to_str().unwrap(), "made:1"]);
    docker(&["rm", "den"]);
    docker(&["rmi", "made:1"]);
    assert!(docker(&["load", "-i", house.path().join("m.tar").to_str().unwrap()]).contains("Loaded image: made:1"));
    assert!(docker(&["system", "df"]).contains("Local Volumes"));
    assert_eq!(docker(&["volume", "ls", "-q"]), "data");
    docker(&["network", "create", "--subnet", "10.6.0.0/24", "x"]);
    docker(&["run", "-d", "--name", "on-x", "--network", "x", "--ip", "10.6.0.6", "busybox", "sleep", "600"]);
    docker(&["network", "connect", "bridge", "on-x"]);
    assert!(docker(&["network", "inspect", "x"]).contains("10.6.0.6/24"));
    docker(&["network", "disconnect", "bridge", "on-x"]);
    docker(&["rm", "-f", "on-x"]);
    assert_eq!(docker(&["network", "rm", "x"]), "x");
    docker(&["system", "prune", "-af", "--volumes"]);
    assert!(docker(&["network", "ls"]).contains("bridge"));
}

#[test]
fn docker_py_does_too() {
    let house = House::new();
    house.ok(["version"]);
    let program = r#"
import docker, sys, io, tarfile
c = docker.DockerClient(base_url='unix://' + sys.argv[1], timeout=60)
assert c.ping()
assert c.containers.run('busybox', ['echo', 'hi'], remove=True) == b'hi\n'
pool = docker.types.IPAMPool(subnet='10.44.0.0/24', gateway='10.44.0.1')
net = c.networks.create('py', driver='bridge', ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={'a': 'b'}, check_duplicate=True)
assert net.attrs['IPAM']['Config'][0]['Subnet'] == '10.44.0.0/24' and net.name == 'py'
assert [n.id for n in c.networks.list(names=['py'])] == [net.id]
box = c.containers.run('busybox', ['sleep', '600'], detach=True, name='on-py')
net.connect(box, aliases=['alias'], ipv4_address='10.44.0.9')
net.reload()
assert [m.name for m in net.containers] == ['on-py'], net.attrs
box.reload()
assert box.attrs['NetworkSettings']['Networks']['py']['IPAddress'] == '10.44.0.9'
peer = c.containers.run('busybox', ['ping', '-c1', '-W2', 'alias'], network='py', remove=True)
assert b'10.44.0.9' in peer, peer
net.disconnect(box)
try:
    c.networks.create('py')
    raise SystemExit('no error')
except docker.errors.APIError as e:
    assert e.status_code == 409, e
box.remove(force=True)
net.remove()
c.networks.prune()
try:
    c.containers.run('busybox', ['sh', '-c', 'exit 4'], remove=True)
    raise SystemExit('no error')
except docker.errors.ContainerError as e:
    assert e.exit_status == 4
x = c.containers.run('busybox', ['sh', '-c', 'echo up; sleep 600'], detach=True, name='box', labels={'a': 'b'}, mem_limit='64m', ports={'80/tcp': 8080})
x.reload(); assert x.status == 'running', x.status
assert x.attrs['HostConfig']['Memory'] == 64 << 20
assert x.exec_run(['echo', 'in']).output == b'in\n'
code, out = x.exec_run(['sh', '-c', 'echo o; echo e >&2; exit 2'], demux=True)
assert code == 2 and out == (b'o\n', b'e\n'), (code, out)
assert b'up' in x.logs()
assert [i.name for i in c.containers.list(filters={'label': 'a=b'})] == ['box']
s = x.stats(stream=False); assert s['memory_stats']['usage'] > 0
b = io.BytesIO(); t = tarfile.open(fileobj=b, mode='w'); i = tarfile.TarInfo('f'); i.size = 1; t.addfile(i, io.BytesIO(b'x')); t.close()
assert x.put_archive('/tmp', b.getvalue())
bits, stat = x.get_archive('/tmp/f'); assert stat['size'] == 1
assert x.top()['Processes']
v = c.volumes.create('vol'); assert [i.name for i in c.volumes.list()] == ['vol']; v.remove()
img = x.commit('made', 'py'); assert 'made:py' in img.tags
x.stop(timeout=0); assert x.wait()['StatusCode'] == 137
x.remove(); c.images.remove('made:py')
assert c.df()['Images'] is not None and c.info()['ServerVersion'] and c.version()['ApiVersion']
try:
    c.containers.get('nobody'); raise SystemExit('found')
except docker.errors.NotFound: pass
print('done')
"#;
    let said = run_tool(&crate::house::python(), ["-c", program, house.socket().to_str().unwrap()]);
    assert_eq!(said.trim(), "done");
}

#[test]
fn a_browser_attaches_by_websocket() {
    let house = House::new();
    house.ok(["run", "-d", "-i", "--name", "echo", "busybox", "cat"]);
    let mut socket = UnixStream::connect(house.socket()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "GET /v1.51/containers/echo/attach/ws?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    // "typed\n" under the mask 1 2 3 4; what comes back is not masked, nor in frames of the multiplexed stream.
    let masked: Vec<u8> = b"typed\n".iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    socket.write_all(&[&[0x81, 0x86, 1, 2, 3, 4][..], &masked].concat()).unwrap();
    let mut frame = [0; 8];
    socket.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"\x82\x06typed\n");
    socket.write_all(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [0x88, 0x02, 0x03, 0xe8]);
    // Without the words of the handshake there is no upgrade, and the container goes on.
    let socket = house.socket();
    let plain = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", socket.to_str().unwrap()];
    let status = run_tool("curl", plain.into_iter().chain(["http://d/containers/echo/attach/ws?stream=1"]));
    assert_eq!(status, "400");
    assert_eq!(house.inspect("echo", "{{.State.Running}}"), "true");
}

/// Says something to the socket and reads until the answer holds `sign`.
fn converse(house: &House, request: &str, sign: &str) -> (UnixStream, String) {
    let mut socket = UnixStream::connect(house.socket()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(format!("{request} HTTP/1.1\r\nHost: d\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(sign) {
        let mut bytes = [0; 512];
        let read = socket.read(&mut bytes).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend(&bytes[..read]);
    }
    let answer = String::from_utf8(answer).unwrap();
    (socket, answer)
}

#[test]
fn the_end_is_told_after_the_output() {
    let house = House::new();
    for round in 0..10 {
        let name = format!("box{round}");
        house.ok(["create", "--name", &name, "busybox", "echo", "hello"]);
        let attach = format!("POST /containers/{name}/attach?stream=1&stdout=1");
        let (mut attached, mut heard) = converse(&house, &attach, "\r\n\r\n");
        let (waiting, _) = converse(&house, &format!("POST /containers/{name}/wait?condition=next-exit"), "\r\n\r\n");
        house.ok(["start", &name]);
        // Whatever the first byte behind the head is, the container has ended.
        let mut byte = [0];
        (&waiting).read_exact(&mut byte).unwrap();
        attached.set_nonblocking(true).unwrap();
        let mut bytes = [0; 512];
        if !heard.contains("hello") {
            let read = attached.read(&mut bytes).expect("the output is there before the end is told");
            heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        assert!(heard.contains("hello"), "{heard}");
    }
}
