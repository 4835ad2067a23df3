"""python-on-whales: the docker CLI as a library. What its users do first."""
from python_on_whales import docker
from python_on_whales.exceptions import DockerException, NoSuchContainer

assert docker.run("busybox", ["echo", "hi"], remove=True) == "hi"
box = docker.run("busybox", ["sh", "-c", "echo up; sleep 600"], name="box", detach=True, publish=[(8080, 80)], labels={"a": "b"})
assert box.state.running and box.network_settings.ports["80/tcp"][0]["HostPort"] == "8080"
assert [c.name for c in docker.ps(filters={"label": "a=b"})] == ["box"]
assert box.execute(["echo", "in"]) == "in"
assert "up" in docker.logs(box)
docker.copy(("box", "/etc/passwd"), "passwd")
assert open("passwd").read().startswith("root:")
with docker.volume.create("data") as volume:
    docker.run("busybox", ["sh", "-c", "echo kept > /d/f"], volumes=[(volume, "/d")], remove=True)
    assert docker.run("busybox", ["cat", "/d/f"], volumes=[(volume, "/d")], remove=True) == "kept"
net = docker.network.create("net")
docker.network.connect(net, box, alias="web")
assert "web" in docker.run("busybox", ["ping", "-c1", "-W2", "web"], networks=[net], remove=True)
stats = docker.stats([box])[0]
assert stats.memory_used > 0
docker.network.disconnect(net, box)
net.remove()
image = docker.commit(box, tag="made:1")
assert docker.image.inspect("made:1").repo_tags == ["made:1"]
docker.save("made:1", output="made.tar")
docker.image.remove("made:1")
assert docker.load("made.tar")
box.stop(time=0)
box.remove()
try:
    docker.container.inspect("box")
    raise SystemExit("found")
except NoSuchContainer:
    pass
try:
    docker.run("busybox", ["sh", "-c", "exit 3"], remove=True)
    raise SystemExit("no error")
except DockerException as error:
    assert error.return_code == 3
assert docker.info().server_version and docker.version().server.api_version
print("done")
