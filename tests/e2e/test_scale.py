"""Two replicas behind the balancer, asked all the while: nothing done to them costs an answer."""

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from compose_stack import ROOT, UP_SECONDS, Stack, docker, write_log
from until import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(UP_SECONDS + 300)]
ROWS = {"context": {"colour": "a"}, "candidates": [{"size": "a"}, {"size": "b"}]}
CALLERS = 4
PAUSE = 0.02


@pytest.fixture(scope="module")
def stack(
    new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    log = write_log(tmp_path_factory.mktemp("log"))
    project = new_stack(AFM_SERVICE_PORT="0", COMPOSE_PROFILES="scale", **log)
    project.up("--scale", "service=2")
    project.until_ready()
    yield project
    project.down()


@contextmanager
def asked(stack: Stack) -> Iterator[Counter[str]]:
    """Ask all the while; what came of it: versions that answered, and what else happened."""
    found: Counter[str] = Counter()
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=10, trust_env=False) as client:
            while not done.wait(PAUSE):
                try:
                    answer = client.post(f"{stack.url}/predict", json=ROWS)
                    found[answer.json()["version"] if answer.is_success else answer.text] += 1
                except httpx.HTTPError as error:
                    found[repr(error)] += 1

    callers = [threading.Thread(target=ask) for _ in range(CALLERS)]
    for one in callers:
        one.start()
    try:
        time.sleep(1)
        yield found
        time.sleep(1)
    finally:
        done.set()
        for one in callers:
            one.join()


def process(container: str) -> int:
    return int(docker("inspect", "-f", "{{.State.Pid}}", container).stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may kill a container's process")
@pytest.mark.parametrize("name", ["service", "redis", "publisher", "trainer"])
def test_a_killed_container_costs_no_answer(stack: Stack, name: str) -> None:
    version = stack.get("/model")["version"]
    with asked(stack) as found:
        os.kill(process(stack.containers(name)[0]), 9)
        time.sleep(5)
    assert set(found) == {version}


def test_a_new_version_is_live_in_both_replicas_within_two_seconds(stack: Stack) -> None:
    before = stack.get("/model")["version"]
    again = stack.compose("run", "--rm", "-T", "trainer", AFM_TRAIN="always", AFM_FIT="--seed 7")
    assert again.returncode == 0, again.stderr
    ports = [docker("port", c, "8000").stdout.strip() for c in stack.containers("service")]

    def live() -> set[str]:
        return {httpx.get(f"http://{p}/readyz", trust_env=False).json()["version"] for p in ports}

    with asked(stack) as found:
        until(lambda: before not in live())
        new = live()
    assert len(new) == 1
    assert set(found) <= {before, *new}


def test_an_upgrade_of_both_replicas_costs_no_answer(stack: Stack) -> None:
    old, version = set(stack.containers("service")), stack.get("/model")["version"]
    environment = {**os.environ, **stack.settings, "COMPOSE_PROJECT_NAME": stack.name}
    with asked(stack) as found:
        subprocess.run(
            ["sh", str(ROOT / "docker/upgrade.sh")],
            cwd=ROOT,
            env={**environment, "AFM_PORT": str(stack.port)},
            check=True,
        )
    new = set(stack.containers("service"))
    assert len(new) == 2
    assert not new & old
    assert set(found) == {version}
