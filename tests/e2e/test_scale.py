"""Two replicas behind the balancer, asked all the while: nothing done to them costs an answer."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from subprocess import PIPE
from typing import IO

import httpx
import pytest

from compose_stack import CLI, ROOT, UP_SECONDS, Stack, docker, say, write_log
from steady_callers import asked, versions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(UP_SECONDS + 300)]
ROWS = {"context": {"colour": "a"}, "candidates": [{"size": "a"}, {"size": "b"}]}
ACTIVE = "afm:default:active"


@pytest.fixture(scope="module")
def stack(
    new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    log = write_log(tmp_path_factory.mktemp("log"))
    # Two shared cores may be slow at any time, and a refusal for that is another test's business.
    log["AFM_MAX_WAIT_MS"] = "9000"
    project = new_stack(AFM_SERVICE_PORT="0", AFM_REPLICAS="2", COMPOSE_PROFILES="scale", **log)
    up = project.make("up", "SCALE=2", AFM_SERVICE_PORT="", AFM_REPLICAS="", COMPOSE_PROFILES="")
    assert up.returncode == 0, up.stderr[-4000:]
    project.until_ready()
    yield project
    project.down()


def process(container: str) -> int:
    return int(docker("inspect", "-f", "{{.State.Pid}}", container).stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may kill a container's process")
@pytest.mark.parametrize("name", ["service", "redis", "publisher", "trainer"])
def test_a_killed_container_costs_no_answer(stack: Stack, name: str) -> None:
    version = stack.get("/model")["version"]
    with asked(f"{stack.url}/predict", ROWS, stack.callers) as found:
        os.kill(process(stack.containers(name)[0]), 9)
        time.sleep(5)
    assert versions(found) == [version]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may kill a container's process")
def test_a_killed_balancer_costs_no_answer_to_callers_that_connect_again(stack: Stack) -> None:
    version = stack.get("/model")["version"]
    with asked(f"{stack.url}/predict", ROWS, stack.callers, repeat_seconds=5) as found:
        os.kill(process(stack.containers("balancer")[0]), 9)
        time.sleep(5)
    assert versions(found) == [version]


def test_a_new_version_is_live_in_both_replicas_and_no_answer_is_mixed(stack: Stack) -> None:
    before = stack.get("/model")["version"]
    ports = [docker("port", c, "8000").stdout.strip() for c in stack.containers("service")]
    ask = f'{CLI} -u "$(cat /logins/operator/url)" get {ACTIVE}'
    line = f"for n in $(seq 40000); do {ask}; sleep 0.05; done"
    command = ["docker", "compose", "exec", "-T", "redis", "sh", "-c", line]
    environment = {**os.environ, **stack.environment}
    seen: dict[str, float] = {}

    def note(name: str, version: str) -> None:
        if version and before not in version:
            seen.setdefault(name, time.monotonic())

    def watch(lines: IO[str]) -> None:
        for line in lines:
            note("redis", line.strip())

    with (
        asked(f"{stack.url}/predict", ROWS, stack.callers) as found,
        httpx.Client(trust_env=False) as client,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=PIPE, text=True) as watched,
    ):
        assert watched.stdout is not None
        watcher = threading.Thread(target=watch, args=(watched.stdout,))
        watcher.start()
        retrained = stack.start_make("retrain", "AFM_TRAIN=always", "AFM_FIT=--seed 7")
        try:
            while retrained.poll() is None or not seen.keys() >= set(ports):
                assert retrained.poll() in (None, 0), retrained.communicate()
                for port in ports:
                    note(port, client.get(f"http://{port}/readyz").json()["version"])
                time.sleep(0.02)
        finally:
            watched.kill()
            retrained.communicate()
            watcher.join()
    flipped = seen.pop("redis")
    say({replica: f"live {at - flipped:.2f} s after activation" for replica, at in seen.items()})
    after = {httpx.get(f"http://{p}/readyz", trust_env=False).json()["version"] for p in ports}
    assert len(after) == 1
    assert versions(found) == sorted([before, *after])


def test_an_upgrade_of_both_replicas_costs_no_answer(stack: Stack) -> None:
    old, version = set(stack.containers("service")), stack.get("/model")["version"]
    with asked(f"{stack.url}/predict", ROWS, stack.callers) as found:
        done = stack.make("upgrade", AFM_SERVICE_PORT="", AFM_REPLICAS="", COMPOSE_PROFILES="")
    assert done.returncode == 0, done.stderr
    new = set(stack.containers("service"))
    assert len(new) == 2
    assert not new & old
    assert versions(found) == [version]
