"""A running stack stops, serves the certificates of a folder, and gets new images; what the images
hold is listed. It runs after `test_a_week.py`, which made the stack and the key of its callers.
"""

import json
import os
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from certificates import certificate
from compose_stack import ROOT, UP_SECONDS, Stack
from stack_callers import ROWS, asked_all_the_while
from steady_callers import versions
from until import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(UP_SECONDS + 300)]


def test_a_request_in_flight_is_answered_by_a_service_that_stops(stack: Stack) -> None:
    body = json.dumps(ROWS).encode()
    key = stack.callers["headers"]["x-api-key"]
    head = (
        f"POST /predict HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as caller:
        caller.sendall(head.encode() + body[:1])
        stopping = subprocess.Popen(
            ["docker", "compose", "stop", "service"],
            cwd=ROOT,
            env={**os.environ, **stack.environment},
            stderr=subprocess.DEVNULL,
        )
        time.sleep(11.5)  # longer than the ten seconds that an engine gives who asks for none
        caller.sendall(body[1:])
        assert caller.recv(100).startswith(b"HTTP/1.1 200 ")
    assert stopping.wait(60) == 0
    assert stack.inspect("service")["State"]["ExitCode"] == 0


def test_certificates_of_a_folder_are_served_and_renewed_without_a_restart(
    stack: Stack, folder: Path
) -> None:
    stack.settings.update(AFM_TLS=str(folder / "tls"), AFM_WORKERS="2")
    stack.callers["verify"] = old = renewed(folder / "tls")
    stack.up()
    assert len(stack.post("/predict", ROWS)["probabilities"]) == 2
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{stack.port}/readyz", trust_env=False)
    before = stack.containers("service")
    stack.callers["verify"] = new = renewed(folder / "tls")
    assert not answers(stack)
    stack.compose("kill", "-s", "HUP", "service")
    until(lambda: answers(stack), seconds=60)
    stack.callers["verify"] = old
    until(lambda: not answers(stack), seconds=60)
    stack.callers["verify"] = new
    assert stack.containers("service") == before
    assert stack.make("retrain").returncode == 0  # the publisher asks the service by HTTPS, too


def renewed(folder: Path) -> ssl.SSLContext:
    """Put a new certificate into the folder; who trusts it and no other one."""
    folder.mkdir(exist_ok=True)
    trusted, key = certificate(folder, "tls")
    key.chmod(0o644)
    return ssl.create_default_context(cafile=str(trusted))


def answers(stack: Stack) -> bool:
    try:
        return stack.ask("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def test_balancer_serves_the_certificates_of_the_folder_renews_them_and_is_there_in_an_upgrade(
    stack: Stack,
) -> None:
    up = stack.make("up", "SCALE=2")
    assert up.returncode == 0, up.stderr[-4000:] + stack.logs("balancer")
    assert len(stack.containers("service")) == 2
    version = stack.get("/readyz")["version"]
    with asked_all_the_while(stack) as found:
        done = stack.make("upgrade")
    assert done.returncode == 0, done.stderr
    assert versions(found) == [version]
    old = stack.callers["verify"]
    stack.callers["verify"] = renewed(Path(stack.settings["AFM_TLS"]))
    assert not answers(stack)
    stack.compose("--profile", "scale", "kill", "-s", "USR2", "balancer")
    until(lambda: answers(stack))
    stack.callers["verify"] = old
    assert not answers(stack)


@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="`make` makes its tools in .venv")
def test_make_sbom_lists_what_the_image_installs(stack: Stack) -> None:
    made = stack.make("sbom")
    assert made.returncode == 0, made.stderr
    listed = json.loads((ROOT / "dist/service.cdx.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    system = {o["name"] for o in listed["components"] if o["purl"].startswith("pkg:deb/debian/")}
    assert {"libc6", "base-files"} <= system
    found = {one["name"] for one in listed["components"]} - system
    assert {"onnxruntime", "fastapi", "redis"} <= found
    licences = (ROOT / "dist/service-licences.csv").read_text().splitlines()
    assert licences[0] == "name,version,licence"
    assert len(licences) > len(found)
    assert not [line for line in licences if line.endswith("not stated")]
