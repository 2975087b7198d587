"""One compose project of the tests' own on a real container engine: name, port, volumes."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
UP_SECONDS = 1500  # all images from an empty cache, one training run
CLI = '"$(command -v valkey-cli || command -v redis-cli)" --no-auth-warning'


def docker(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *args],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=UP_SECONDS,
    )


def say(figure: object) -> None:
    """A figure for who runs the tests: `make e2e` shows it with the test's name."""
    sys.stdout.write(f"{figure}\n")


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """A compose project. `settings`: what every call of compose gets, as a `.env` file would;
    `callers`: how its callers ask, as httpx has it (headers, verify).
    """

    name: str
    port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    callers: dict[str, Any] = field(default_factory=lambda: {"trust_env": False})

    @property
    def url(self) -> str:
        scheme = "https" if self.settings.get("AFM_TLS") else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a `.env` file of this project would hold."""
        small = {"AFM_PORT": str(self.port), "AFM_EXAMPLE_ROWS": "20000"}
        return {**small, "COMPOSE_PROJECT_NAME": self.name, **self.settings}

    def compose(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return docker("compose", *args, **{**self.environment, **environment})

    def make(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One target of the Makefile, as a person or cron calls it."""
        process = self.start_make(*args, **environment)
        said, complained = process.communicate(timeout=UP_SECONDS)
        return subprocess.CompletedProcess(args, process.returncode, said, complained)

    def start_make(self, *args: str, **environment: str) -> "subprocess.Popen[str]":
        """The same, as the leader of a process group of its own."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        return subprocess.Popen(
            ["make", *args],
            cwd=ROOT,
            env={**clean, **self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def up(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Bring everything up, and return when all that there was to train is served."""
        answer = self.compose("up", "-d", "--wait", *args, **environment)
        assert answer.returncode == 0, answer.stderr[-4000:] + self.logs()
        return answer

    def down(self) -> None:
        self.compose("--profile", "scale", "down", "-v", "--remove-orphans", "--timeout", "1")

    def logs(self, *services: str) -> str:
        answer = self.compose("logs", "--no-color", *services)
        return answer.stdout[-6000:] + answer.stderr[-2000:]

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "-a", "-q", service).stdout.split()

    def inspect(self, service: str) -> dict[str, Any]:
        described: list[dict[str, Any]] = json.loads(
            docker("inspect", self.containers(service)[0]).stdout
        )
        return described[0]

    def serve(self, *command: str) -> subprocess.CompletedProcess[str]:
        """One command of the publisher's, beside everything else."""
        return self.compose("run", "--rm", "-T", "publisher", "afm-serve", *command)

    def redis_as(self, user: str, command: str) -> str:
        """What Redis says to one of its users."""
        return self.redis_cli(f'-u "$(cat /logins/{user}/url)" {command}')

    def redis_cli(self, words: str) -> str:
        """What Redis, or Valkey, says to a command line in its container."""
        return self.compose("exec", "-T", "redis", "sh", "-c", f"{CLI} {words}").stdout

    def ask(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10, **self.callers, **more)

    def get(self, path: str) -> dict[str, Any]:
        answer = self.ask(path)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = httpx.post(self.url + path, json=body, timeout=10, **self.callers)
        assert answer.status_code == 200, answer.text
        scored: dict[str, Any] = answer.json()
        return scored

    def until_ready(self, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self.ask("/readyz")
                if answer.status_code == 200:
                    body: dict[str, Any] = answer.json()
                    return body
                said = answer.text
            except httpx.HTTPError as error:
                said = str(error)
            assert time.monotonic() < deadline, said
            time.sleep(0.2)


def write_log(folder: Path, name: str = "clicks", *, spoilt: bool = False) -> dict[str, str]:
    """A log of one's own, in which a click is that colour and size are equal, but for a row of ten;
    spoilt, that they are not, but for the last days, which are held out. As the settings that name
    it.
    """
    rng = random.Random(1)
    folder.chmod(0o755)
    log, schema = folder / f"{name}.csv", folder / f"{name}.toml"
    days = [f"2026-{1 + day // 28:02}-{1 + day % 28:02}" for day in range(60)]
    rows = [
        f"{day},{colour},{size},"
        f"{int((colour == size) ^ (spoilt and at < 50) ^ (rng.random() < 0.1))}"
        for at, day in enumerate(days)
        for colour in "abc"
        for size in "abcd"
    ]
    log.write_text("\n".join(["day,colour,size,clicked", *rows]) + "\n")
    schema.write_text(
        'label = "clicked"\n'
        'time = "day"\n'
        '[fields.colour]\nkind = "categorical"\n'
        '[fields.size]\nkind = "categorical"\nrole = "candidate"\n'
    )
    return {"AFM_DATA": str(log), "AFM_SCHEMA": str(schema)}


def a_request(model: dict[str, Any]) -> dict[str, Any]:
    """One context and two candidates, with a value for every field of the model's schema."""
    value = {"categorical": "7", "numeric": 1.5, "multivalue": ["7", "8"]}
    fields = model["schema"]["fields"]
    context = {n: value[f["kind"]] for n, f in fields.items() if f["role"] == "context"}
    candidate = {n: value[f["kind"]] for n, f in fields.items() if f["role"] == "candidate"}
    other = {**candidate, next(iter(candidate)): None}
    return {"context": context, "candidates": [candidate, other]}
