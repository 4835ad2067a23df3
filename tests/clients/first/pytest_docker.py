"""pytest-docker: services of a compose file for the time of a test."""
import os
import socket

import pytest


@pytest.fixture(scope="session")
def docker_compose_command():
    return os.environ["HAKO"] + " compose"


@pytest.fixture(scope="session")
def docker_compose_file(pytestconfig):
    return os.path.join(os.path.dirname(__file__), "docker-compose.yml")


def ask(host, port):
    with socket.create_connection((host, port), timeout=5) as connection:
        return connection.makefile().readline()


def test_the_service_answers(docker_ip, docker_services):
    port = docker_services.port_for("web", 80)

    def answers():
        try:
            return ask(docker_ip, port) == "hello\n"
        except OSError:
            return False

    docker_services.wait_until_responsive(timeout=30.0, pause=0.1, check=answers)
