"""What an operator does to a running stack by `make`, in the order of a week: each test continues
where the one before ended.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from compose_stack import ROOT, UP_SECONDS, Stack, say, write_log
from stack_callers import ROWS, asked_all_the_while, new_key, status
from steady_callers import versions
from until import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(UP_SECONDS + 300)]
THOUSAND: dict[str, Any] = {
    "context": {"colour": "a"},
    "candidates": [{"size": size} for size in ["a", "b", "c", "d", None] * 200],
}


# --- up


def test_make_key_and_make_up_serve_callers_that_have_a_key(stack: Stack) -> None:
    stack.callers["headers"] = {"x-api-key": new_key(stack, "shop")}
    up = stack.make("up")
    assert up.returncode == 0, up.stderr[-4000:] + stack.logs()
    assert len(stack.post("/predict", ROWS)["probabilities"]) == 2
    assert status(stack, "afm_none") == 401


def test_make_up_refuses_a_compose_that_is_too_old(stack: Stack, tmp_path: Path) -> None:
    old = tmp_path / "docker"
    old.write_text('#!/bin/sh\n[ "$2" != version ] || echo 2.23.3\n')
    old.chmod(0o755)
    up = stack.make("up", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert up.returncode == 2
    assert "docker compose 2.23.3 is too old: 2.24" in up.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("AFM_WORKER", "there is no such setting; is it AFM_WORKERS?"),
        ("AFM_LOGLEVEL", "there is no such setting; is it AFM_LOG_LEVEL?"),
        ("AFM_workers", "there is no such setting; is it AFM_WORKERS?"),
        ("AFM_HTTP2", "there is no such setting"),
        ("AFM_REDIS_URL", "the containers have a Redis of their own"),
        ("AFM_HOST", "in containers AFM_BIND names the address"),
    ],
)
def test_make_up_names_a_setting_that_nobody_reads(stack: Stack, name: str, said: str) -> None:
    up = stack.make("up", **{name: "2"})
    assert up.returncode == 2
    assert f"{name}: {said}" in up.stderr


def test_make_up_refuses_more_cores_than_there_are_before_a_container_is_replaced(
    stack: Stack,
) -> None:
    up, before = stack.make("up", AFM_CPUS="4000"), stack.containers("service")
    assert "a container would get 4000 cores and the engine has" in up.stderr
    assert (up.returncode, stack.containers("service")) == (2, before)


def test_make_up_says_why_a_container_is_not_well(stack: Stack) -> None:
    up, again = stack.make("up", AFM_MAX_ROWS="many"), stack.make("up")
    assert (up.returncode, again.returncode) == (2, 0)
    assert "AFM_MAX_ROWS: must be a whole number" in up.stderr
    assert "trainer-1" not in up.stderr.rpartition("is unhealthy")[2]


def test_make_ps_and_make_logs_show_every_container(stack: Stack) -> None:
    shown = stack.make("ps").stdout
    for name in ("redis", "trainer", "publisher", "service"):
        assert f"{stack.name}-{name}-1" in shown
    following = stack.start_make("logs")
    assert following.stdout is not None
    said = ""
    while "service-1" not in said or "redis-1" not in said:
        said += following.stdout.readline()
    os.killpg(following.pid, signal.SIGINT)
    following.communicate(timeout=30)


# --- secrets, while callers ask


def test_make_rotate_costs_no_answer_and_the_old_passwords_are_refused(stack: Stack) -> None:
    files = ("service", "publisher", "operator")
    old = [
        stack.compose("exec", "-T", "redis", "cat", f"/logins/{user}/url").stdout.strip()
        for user in files
    ]
    version, before = stack.get("/readyz")["version"], stack.containers("service")
    with asked_all_the_while(stack) as found:
        rotated = stack.make("rotate")
        assert rotated.returncode == 0, rotated.stderr
        for url in old:
            assert "PONG" not in stack.redis_cli(f"-u {url} ping")
        until(lambda: stack.get("/readyz")["confirmed"])
    assert versions(found) == [version]
    assert stack.containers("service") == before
    assert stack.get("/readyz")["redis"] == "ok"
    assert version in stack.serve("versions").stdout  # by the publisher's new password


def test_keys_are_rotated_without_a_failed_answer(stack: Stack, folder: Path) -> None:
    old, version = stack.callers["headers"]["x-api-key"], stack.get("/readyz")["version"]
    new = new_key(stack, "shop2")
    until(lambda: status(stack, new) == 200, seconds=5)
    stack.callers["headers"] = {"x-api-key": new}
    with asked_all_the_while(stack) as found:
        subprocess.run(["sed", "-i", "/^shop /d", str(folder / "keys/keys")], check=True)
        revoked = time.monotonic()
        until(lambda: status(stack, old) == 401, seconds=5)
        say(f"a revoked key is refused after {time.monotonic() - revoked:.2f} s")
    assert versions(found) == [version]
    assert status(stack, old) == 401


# --- retrain, roll back


def test_retrain_as_cron_calls_it_begins_from_the_active_version_and_costs_no_answer(
    stack: Stack, folder: Path
) -> None:
    before = stack.get("/readyz")["version"]
    kept = {
        name: os.environ[name] for name in ("DOCKER_HOST", "DOCKER_CONFIG") if name in os.environ
    }
    path = f"{Path(docker_path()).parent}:/usr/bin:/bin"
    with asked_all_the_while(stack) as found:
        retrained = subprocess.run(
            ["sh", "-c", f"cd {ROOT} && make retrain"],  # the line of docs/containers.md
            env={"PATH": path, "HOME": str(folder), **kept, **stack.environment},
            capture_output=True,
            text=True,
        )
        assert retrained.returncode == 0, retrained.stderr[-4000:]
        until(lambda: stack.get("/readyz")["version"] != before)
    assert f"begins from version {before}" in retrained.stdout
    assert versions(found) == sorted([before, stack.get("/readyz")["version"]])


def docker_path() -> str:
    return subprocess.run(
        ["sh", "-c", "command -v docker"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_make_retrain_fails_with_the_reason_where_the_gate_refuses(
    stack: Stack, folder: Path
) -> None:
    before = stack.get("/readyz")["version"]
    spoilt = stack.make("retrain", "AFM_TRAIN=always", **write_log(folder, "spoilt", spoilt=True))
    assert spoilt.returncode != 0
    assert "refused: " in spoilt.stderr
    assert "worse than the active version" in spoilt.stderr
    assert "REFUSED.txt" in stack.make("ps").stdout
    assert stack.get("/readyz")["version"] == before


def test_make_rollback_costs_no_answer(stack: Stack) -> None:
    before = stack.get("/readyz")["version"]
    with asked_all_the_while(stack) as found:
        back = stack.make("rollback")
        assert back.returncode == 0, back.stderr
        until(lambda: stack.get("/readyz")["version"] != before)
    assert versions(found) == sorted([before, stack.get("/readyz")["version"]])


# --- full


def test_full_redis_refuses_to_publish_and_costs_no_answer(stack: Stack) -> None:
    before = stack.get("/readyz")["version"]
    other = next(line.split()[0] for line in listed(stack) if before not in line)
    limit = stack.redis_as("operator", "config get maxmemory").split()[-1]
    with asked_all_the_while(stack) as found:
        stack.redis_as("operator", "config set maxmemory 1")
        full, back = stack.make("retrain"), stack.serve("activate", other)
    assert full.returncode != 0
    assert "maxmemory" in full.stderr
    assert "maxmemory" in back.stderr
    assert versions(found) == [before]
    stack.redis_as("operator", f"config set maxmemory {limit}")
    published_again(stack, before)


def listed(stack: Stack) -> list[str]:
    return [line for line in stack.serve("versions").stdout.splitlines() if "fm" in line]


def test_full_disk_refuses_to_publish_and_costs_no_answer(stack: Stack) -> None:
    before, kept = stack.get("/readyz")["version"], stored(stack)
    fill = "cat /dev/zero > /var/lib/afm/bundles/filler; df /var/lib/afm/bundles"
    with asked_all_the_while(stack) as found:
        stack.compose("exec", "-T", "publisher", "sh", "-c", fill)
        full = stack.make("retrain")
    assert full.returncode != 0
    assert "No space left on device" in full.stderr
    assert versions(found) == [before]
    assert stored(stack) == kept
    stack.compose("exec", "-T", "publisher", "rm", "/var/lib/afm/bundles/filler")
    published_again(stack, before)


def stored(stack: Stack) -> list[str]:
    """The bundles in the store, whole ones and others."""
    return stack.compose(
        "exec", "-T", "publisher", "find", "/var/lib/afm/bundles/default", "-mindepth", "1"
    ).stdout.split()


def published_again(stack: Stack, before: str) -> None:
    again = stack.make("retrain")
    assert again.returncode == 0, again.stderr
    until(lambda: stack.get("/readyz")["version"] != before)


# --- lost, and restored


def test_make_backup_down_restore_and_up_give_the_same_scores_to_the_bit(
    stack: Stack, tmp_path: Path
) -> None:
    scores, listed = stack.post("/predict", THOUSAND), stack.serve("versions").stdout
    assert len(scores["probabilities"]) == 1000
    kept = stack.make("backup", f"TO={tmp_path / 'kept'}")
    assert kept.returncode == 0, kept.stderr
    assert stack.make("down").returncode == 0
    assert not stack.containers("service")
    stack.down()  # and its volumes
    started = time.monotonic()
    restored = stack.make("restore", f"FROM={tmp_path / 'kept'}")
    assert restored.returncode == 0, restored.stderr
    up = stack.make("up")
    assert up.returncode == 0, up.stderr
    assert stack.post("/predict", THOUSAND) == scores
    say(f"restored and answered after {time.monotonic() - started:.1f} s")
    assert stack.serve("versions").stdout == listed
    assert "nothing to train" in stack.logs("trainer")
