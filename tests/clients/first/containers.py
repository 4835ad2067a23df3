"""testcontainers for Python: a container for a test, reached by its published port, gone when the test is."""
import os
import socket
import time

import docker
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

with Network() as network:
    server = DockerContainer("busybox", command=["sh", "-c", "echo ready; exec nc -ll -p 80 -e echo hello"])
    server.with_exposed_ports(80).with_network(network).with_network_aliases("server").with_env("A", "b")
    with server.waiting_for(LogMessageWaitStrategy("ready")):
        port = server.get_exposed_port(80)
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection((server.get_container_host_ip(), int(port)), timeout=5) as connection:
                    assert connection.makefile().readline() == "hello\n"
                break
            except (ConnectionError, AssertionError):
                assert time.monotonic() < deadline, "nobody answers"
        code, output = server.exec(["sh", "-c", "echo $A"])
        assert (code, output) == (0, b"b\n")
        with DockerContainer("busybox", command=["sleep", "600"]).with_network(network) as client:
            assert client.exec(["nc", "server", "80"]).output == b"hello\n"
        names = [c.image.tags for c in docker.from_env().containers.list()]
        assert any("reaper:1" in tag for tags in names for tag in tags), f"the reaper runs beside: {names}"
assert all("reaper:1" in c.image.tags for c in docker.from_env().containers.list(all=True))
# Left for the reaper. A program that ends in good order stops its reaper itself.
DockerContainer("busybox", command=["sleep", "600"]).start()
print("done", flush=True)
os._exit(0)
