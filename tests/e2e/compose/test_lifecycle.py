"""`docker compose up` from nothing, and what an operator does to it afterwards, in that order: each
test continues where the one before ended. Skipped where no container engine answers.
"""

import os
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from compose_stack import ROOT, UP_SECONDS, Stack, a_request, docker, write_log
from until import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(UP_SECONDS + 300)]
SAME = {"context": {"colour": "a"}, "candidates": [{"size": "a"}, {"size": "b"}]}


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
