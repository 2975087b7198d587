"""`docker compose up` from nothing to an answered request; skipped where no Docker engine answers.

Builds both images and brings up a project of its own (name, port, volumes), taken down at the end.
"""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
UP_SECONDS = 1500  # both images from an empty cache, one training run
pytestmark = pytest.mark.timeout(UP_SECONDS + 300)


def docker(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *args],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=UP_SECONDS,
    )


def engine_problem() -> str | None:
    """Why there is no engine to test on, or None."""
    try:
        answer = subprocess.run(
            ["docker", "info", "-f", "{{.ServerVersion}}"],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"docker does not run here ({exc})"
    if answer.returncode:
        return "no Docker engine answers here"
    if docker("compose", "version").returncode:
        return "the docker here has no compose"
    return None


@dataclass(frozen=True)
class Stack:
    """One compose project of this test's own."""

    name: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def compose(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        small = {"AFM_PORT": str(self.port), "AFM_EXAMPLE_ROWS": "20000"}
        return docker("compose", "-p", self.name, *args, **{**small, **environment})

    def up(self, **environment: str) -> None:
        """Bring everything up and return when the service is ready."""
        answer = self.compose("up", "-d", "--build", **environment)
        assert answer.returncode == 0, answer.stderr[-4000:] + self.logs()
        wait = self.compose("exec", "-T", "service", "python", "-c", WAIT_READY)
        assert wait.returncode == 0, wait.stderr[-2000:] + self.logs()

    def logs(self, *services: str) -> str:
        answer = self.compose("logs", "--no-color", *services)
        return answer.stdout[-6000:] + answer.stderr[-2000:]

    def inspect(self, service: str) -> dict[str, Any]:
        container = self.compose("ps", "-a", "-q", service).stdout.strip()
        described: list[dict[str, Any]] = json.loads(docker("inspect", container).stdout)
        return described[0]

    def redis_as(self, user: str, command: str) -> str:
        """What Redis says to one of its users."""
        line = f'redis-cli -u "$(cat /logins/{user}/url)" {command}'
        return self.compose("exec", "-T", "redis", "sh", "-c", line).stdout

    def get(self, path: str) -> dict[str, Any]:
        answer = httpx.get(self.url + path, timeout=10, trust_env=False)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = httpx.post(self.url + path, json=body, timeout=10, trust_env=False)
        assert answer.status_code == 200, answer.text
        scored: dict[str, Any] = answer.json()
        return scored


# Run inside the service's container, so that it asks what its health check asks.
WAIT_READY = """
import sys, time, urllib.request
for _ in range(120):
    try:
        urllib.request.urlopen("http://127.0.0.1:8000/readyz", timeout=4)
        sys.exit(0)
    except OSError as exc:
        said = exc
    time.sleep(0.5)
sys.exit(f"not ready after a minute: {said}")
"""


def a_request(model: dict[str, Any]) -> dict[str, Any]:
    """One context and two candidates, with a value for every field of the model's schema."""
    value = {"categorical": "7", "numeric": 1.5, "multivalue": ["7", "8"]}
    fields = model["schema"]["fields"]
    context = {n: value[f["kind"]] for n, f in fields.items() if f["role"] == "context"}
    candidate = {n: value[f["kind"]] for n, f in fields.items() if f["role"] == "candidate"}
    other = {**candidate, next(iter(candidate)): None}
    return {"context": context, "candidates": [candidate, other]}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    if problem := engine_problem():
        pytest.skip(problem)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    project = Stack(f"ctr-afm-e2e-{os.getpid()}", port)
    try:
        project.up()
        yield project
    finally:
        project.compose("down", "-v", "--remove-orphans", "--timeout", "5")


def test_up_reaches_an_answered_predict(stack: Stack) -> None:
    answer = stack.post("/predict", a_request(stack.get("/model")))
    assert len(answer["probabilities"]) == 2
    assert all(0 < p < 1 for p in answer["probabilities"])
    assert answer["degraded"] is False


def test_an_explanation_adds_up_to_the_score_that_predict_gives(stack: Stack) -> None:
    request = a_request(stack.get("/model"))
    probabilities = stack.post("/predict", request)["probabilities"]
    explanations = stack.post("/explain", request)["explanations"]
    assert [e["probability"] for e in explanations] == probabilities
    for told in explanations:
        terms = [*told["linear"], *told["pairs"], told["rest"]]
        total = told["bias"] + sum(term["contribution"] for term in terms)
        assert total == pytest.approx(told["logit"], abs=1e-5)


def test_the_service_answers_on_loopback_alone_and_redis_nowhere(stack: Stack) -> None:
    published = stack.inspect("service")["HostConfig"]["PortBindings"]
    assert published == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]}
    for name in ("redis", "live", "trainer", "publisher"):
        assert not stack.inspect(name)["HostConfig"]["PortBindings"], name


def test_redis_keeps_what_it_is_given(stack: Stack) -> None:
    words = stack.redis_as("operator", "config get appendonly maxmemory-policy").split()
    settings = dict(zip(words[::2], words[1::2], strict=True))
    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_each_container_has_the_login_of_its_own_redis_user_and_no_other(stack: Stack) -> None:
    active = stack.get("/model")["version"]
    assert stack.redis_as("service", "--raw get afm:default:active").strip() == active
    assert "NOPERM" in stack.redis_as("service", "set afm:default:active v0")
    assert "NOPERM" in stack.redis_as("publisher", "flushall")
    anybody = stack.compose("exec", "-T", "redis", "redis-cli", "get", "afm:default:active")
    assert "NOAUTH" in anybody.stdout
    for name, user in (("service", "service"), ("live", "service"), ("publisher", "publisher")):
        mounts = [one["Name"] for one in stack.inspect(name)["Mounts"] if one["Type"] == "volume"]
        logins = [mount for mount in mounts if "_login-" in mount]
        assert [mount.rpartition("-")[2] for mount in logins] == [user], name
        assert "redis://" not in json.dumps(stack.inspect(name)), name


def test_the_service_image_is_small_and_has_no_torch(stack: Stack) -> None:
    image = stack.inspect("service")["Image"]
    size = int(docker("image", "inspect", "-f", "{{.Size}}", image).stdout)
    assert size <= 450e6
    has = "import importlib.util as u; print([m for m in ('torch', 'training') if u.find_spec(m)])"
    assert docker("run", "--rm", image, "python", "-c", has).stdout.strip() == "[]"


def test_no_container_of_ours_runs_as_root(stack: Stack) -> None:
    for name in ("trainer", "publisher", "service"):
        assert stack.inspect(name)["Config"]["User"] == "afm", name


def test_the_service_tells_its_own_health(stack: Stack) -> None:
    assert stack.get("/healthz")
    image = json.loads(docker("image", "inspect", stack.inspect("service")["Image"]).stdout)[0]
    assert "/healthz" in " ".join(image["Config"]["Healthcheck"]["Test"])
    assert "/readyz" in " ".join(stack.inspect("service")["Config"]["Healthcheck"]["Test"])


def test_a_second_up_trains_nothing(stack: Stack) -> None:
    version = stack.get("/model")["version"]
    stack.compose("stop", "--timeout", "10")
    stack.up()
    assert f"version {version} is live: nothing to train" in stack.logs("trainer")
    assert "nothing new to publish" in stack.logs("publisher")
    assert stack.get("/model")["version"] == version


def test_a_log_of_ones_own_needs_a_schema(stack: Stack) -> None:
    answer = stack.compose(
        *("run", "--rm", "--no-deps", "trainer"),
        AFM_DATA="./pyproject.toml",
        AFM_TRAIN="always",
    )
    assert answer.returncode == 2
    assert "AFM_DATA needs AFM_SCHEMA" in answer.stderr


def test_a_log_of_ones_own_is_trained_and_served(stack: Stack, tmp_path: Path) -> None:
    before = stack.get("/model")["version"]
    log, schema = tmp_path / "clicks.csv", tmp_path / "clicks.toml"
    rows = [f"{colour},{size},{int(colour == size)}" for colour in "abc" for size in "abcd"]
    log.write_text("\n".join(["colour,size,clicked", *rows * 60]) + "\n")
    schema.write_text(
        'label = "clicked"\n'
        '[fields.colour]\nkind = "categorical"\n'
        '[fields.size]\nkind = "categorical"\nrole = "candidate"\n'
    )
    tmp_path.chmod(0o755)
    stack.up(AFM_DATA=str(log), AFM_SCHEMA=str(schema), AFM_TRAIN="always")

    model = stack.get("/model")
    assert model["version"] != before
    assert list(model["schema"]["fields"]) == ["colour", "size"]
    same = {"context": {"colour": "a"}, "candidates": [{"size": "a"}, {"size": "b"}]}
    matching, other = stack.post("/predict", same)["probabilities"]
    assert matching > 0.6 > 0.4 > other
