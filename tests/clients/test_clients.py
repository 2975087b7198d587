"""Real clients, by their defaults: each asks a hundred times, and every answer is 200."""

import json
import os
import re
import ssl
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from certificates import certificate
from commands import Commands, Serving
from narrowing import not_none
from proxies import needed

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
INSTALLED = ROOT / ".venv" / "clients"
PYTHON, MODULES, JARS = INSTALLED / "bin" / "python", INSTALLED / "node_modules", "/usr/share/java"
APACHE = ("httpclient", "httpcore", "commons-logging", "commons-codec")
OKHTTP = ("okhttp", "okio")
CURL = ("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}\\n")
POST = ("--data-binary", "@{body}", "--header", "content-type: application/json")
URL = "{url}/predict?n=[1-100]"  # which curl takes for a hundred


class Client(NamedTuple):
    """What it runs (the first word is looked for), and what else has to be there."""

    run: tuple[str, ...]
    needs: tuple[str, ...] = ()


def script(program: str, name: str, *needs: object) -> Client:
    """A program that runs one of our scripts."""
    return Client((program, str(SCRIPTS / name), "{url}", "{body}"), tuple(map(str, needs)))


def java(name: str, *jars: str) -> Client:
    """A Java source file, with Debian's jars."""
    paths = [f"{JARS}/{jar}.jar" for jar in jars]
    run = ("java", *(("-cp", ":".join(paths)) if jars else ()), str(SCRIPTS / name))
    return Client((*run, "{url}", "{body}"), tuple(paths))


CLIENTS = {
    "curl": Client((*CURL, *POST, URL)),
    "curl HTTP/1.0": Client((*CURL, "--http1.0", *POST, URL)),
    "curl h2c upgrade": Client((*CURL, "--http2", *POST, URL)),
    "curl chunked": Client((*CURL, "--header", "transfer-encoding: chunked", *POST, URL)),
    "curl expect": Client((*CURL, "--header", "expect: 100-continue", *POST, URL)),
    "curl compressed": Client((*CURL, "--compressed", *POST, URL)),
    "curl HEAD": Client((*CURL, "--head", "{url}/healthz?n=[1-100]")),
    "wget": script("sh", "wget.sh"),
    "requests": script(str(PYTHON), "requests_.py"),
    "httpx": script(str(PYTHON), "httpx_.py"),
    "httpx async": script(str(PYTHON), "httpx_async.py"),
    "aiohttp": script(str(PYTHON), "aiohttp_.py"),
    "Node fetch": script("node", "fetch.mjs"),
    "Node http.Agent": script("node", "http_agent.mjs"),
    "undici": script("node", "undici.mjs", MODULES / "undici"),
    "axios": script("node", "axios.mjs", MODULES / "axios"),
    "got": script("node", "got.mjs", MODULES / "got"),
    "Go": Client(("go", "run", str(SCRIPTS / "transport.go"), "{url}", "{body}")),
    "JDK HttpClient": java("JdkClient.java"),
    "HttpURLConnection": java("UrlConnection.java"),
    "OkHttp": java("OkHttp.java", *OKHTTP),
    "Apache HttpClient": java("ApacheClient.java", *APACHE),
    "Ruby": script("ruby", "net_http.rb"),
    "PHP": script("php", "streams.php"),
    "Perl": script("perl", "tiny.pl"),
}


@pytest.fixture
def body(tmp_path: Path) -> Any:
    path = tmp_path / "body.json"
    path.write_text(json.dumps({"context": {"device": "ios"}, "candidates": [{"ad": "a1"}] * 2}))
    return path


def said(client: Any, service: Any, body: Any) -> Any:
    """What a client prints."""
    program = needed(client.run[0])
    for path in client.needs:
        if not Path(path).exists():
            pytest.skip(f"{path} is not installed: make clients INSTALL=1")
    words = [word.replace("{url}", service.url).replace("{body}", str(body)) for word in client.run]
    done = subprocess.run(
        [program, *words[1:]],
        env={**os.environ, "NODE_PATH": str(MODULES), "BODY": str(body), "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_gets_its_hundred_answers(name: Any, service: Serving, body: Any) -> None:
    answers = Counter(said(CLIENTS[name], service, body).split("\n"))
    assert answers == {"200": 100, "": 1}, answers


def test_wget_s_spider_finds_the_health_path(service: Serving) -> None:
    run = [needed("wget"), "--spider", "--quiet", service.url + "/healthz"]
    assert subprocess.run(run).returncode == 0


def test_ab_keeps_its_connections(service: Serving, body: Any) -> None:
    run = ("ab", "-k", "-n", "100", "-c", "4", "-p", "{body}", "-T", "application/json")
    report = said(Client((*run, "{url}/predict")), service, body)
    assert re.search(r"Complete requests: +100\n", report)
    assert re.search(r"Failed requests: +0\n", report)
    assert re.search(r"Keep-Alive requests: +100\n", report)
    assert "Non-2xx" not in report


def test_hey_gets_200_alone(service: Serving, body: Any) -> None:
    run = ("hey", "-n", "100", "-c", "10", "-m", "POST", "-T", "application/json", "-D", "{body}")
    report = said(Client((*run, "{url}/predict")), service, body)
    assert re.findall(r"\[(\d+)\]\s+(\d+) responses", report) == [("200", "100")]


def test_wrk_loses_nothing(service: Serving, body: Any) -> None:
    run = ("wrk", "-t1", "-c10", "-d1", "-s", str(SCRIPTS / "post.lua"), "{url}/predict")
    report = said(Client(run), service, body)
    found = not_none(re.search(r"asked\s+(\d+)\s+refused\s+(\d+)\s+lost\s+(\d+)", report))
    assert int(found[1]) > 50
    assert (found[2], found[3]) == ("0", "0")


def test_curl_asks_over_tls(commands: Commands, tmp_path: Path, body: Any) -> None:
    made, key = certificate(tmp_path)
    trusted = ssl.create_default_context(cafile=str(made))
    env: dict[str, Any] = {"AFM_TLS_CERT": str(made), "AFM_TLS_KEY": str(key)}
    with commands.serving(workers=2, tls=trusted, **env) as served:
        asked = ("--cacert", str(made), "{url}/healthz?n=[1-100]")
        for version in ("--tls-max", "1.2"), ("--tlsv1.3",), ("--http2",):
            answers = Counter(said(Client((*CURL, *version, *asked)), served, body).split("\n"))
            assert answers == {"200": 100, "": 1}


def test_curl_asks_over_a_unix_socket(commands: Commands, tmp_path: Path, body: Any) -> None:
    path = tmp_path / "afm.sock"
    with commands.serving(workers=2, host=f"unix:{path}") as served:
        asked = ("--unix-socket", str(path), "http://here/healthz?n=[1-100]")
        answers = Counter(said(Client((*CURL, *asked)), served, body).split("\n"))
        assert answers == {"200": 100, "": 1}
