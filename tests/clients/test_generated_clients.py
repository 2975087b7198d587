"""Clients that generators make of /openapi.json: each compiles, sends values unchanged, and has
typed answers and problems.

The tools are found on PATH, in `.venv/clients` (Python and npm packages) and among Debian's jars;
`make clients INSTALL=1` puts them there.
"""

import http.client
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from commands import Serving

PROGRAMS = Path(__file__).parent / "generated"
TOOLS = Path(__file__).parents[2] / ".venv" / "clients"
JARS = Path("/usr/share/java")
GO_CODE = Path("/usr/share/gocode")
SENT = {"user": 3000000001, "hour": 1234567.89, "device": None, "interests": ["cars", "golf"]}


@pytest.fixture
def recorded(service: Serving) -> Iterator[tuple[str, list[Any]]]:
    """An address that passes requests on to the service, and the bodies that came there."""
    bodies: list[Any] = []

    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            kept = {k: v for k, v in self.headers.items() if k.lower() == "content-type"}
            with closing(http.client.HTTPConnection("127.0.0.1", service.port)) as there:
                there.request(self.command, self.path, body or None, kept)
                answer = there.getresponse()
                data = answer.read()
            if body:
                bodies.append(json.loads(body))
            self.send_response(answer.status)
            self.send_header("content-type", answer.headers["content-type"])
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = pass_on  # noqa: N815  the handler's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    server.daemon_threads = True  # a client's kept connection does not keep the test
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def document(service: Serving, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document as the service gives it."""
    path = tmp_path_factory.mktemp("openapi") / "openapi.json"
    with closing(http.client.HTTPConnection("127.0.0.1", service.port)) as there:
        there.request("GET", "/openapi.json")
        path.write_bytes(there.getresponse().read())
    return path


def tool(name: str) -> str:
    """The path of a tool; skips where it is not installed."""
    for place in (TOOLS / "bin" / name, TOOLS / "node_modules" / ".bin" / name):
        if place.exists():
            return str(place)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: make clients INSTALL=1")
    return found


def needed(*paths: Path) -> None:
    for path in paths:
        if not path.exists():
            pytest.skip(f"{path} is not installed: make clients INSTALL=1")


def run(*command: object, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def generate(generator: str, document: Path, out: Path, *options: str) -> None:
    command = (tool("openapi-generator-cli"), "generate", "-g", generator, "-i", document)
    run(*command, "-o", out, *options, cwd=out.parent)


def generator_jar() -> Path:
    """The generator itself: it holds the Jackson that its Java clients need."""
    found = list(TOOLS.glob("lib/python*/site-packages/openapi_generator_cli/*.jar"))
    if not found:
        pytest.skip("openapi-generator-cli is not installed: make clients INSTALL=1")
    return found[0]


def java(document: Path, home: Path) -> list[object]:
    annotations = JARS / "geronimo-annotation-1.3-spec.jar"
    needed(annotations)
    generate(
        "java",
        document,
        home / "client",
        *("--library", "native", "--additional-properties=openApiNullable=false"),
    )
    jars = f"{generator_jar()}:{annotations}"
    sources = [*(home / "client/src/main").rglob("*.java"), PROGRAMS / "Main.java"]
    run(tool("javac"), "-nowarn", "-cp", jars, "-d", home / "classes", *sources, cwd=home)
    return [tool("java"), "-cp", f"{home / 'classes'}:{jars}", "Main"]


def go(document: Path, home: Path) -> list[object]:
    needed(GO_CODE / "src/gopkg.in/validator.v2")
    source = home / "go/src"
    source.mkdir(parents=True)
    generate("go", document, source / "openapi")
    (source / "caller").mkdir()
    shutil.copy(PROGRAMS / "main.go", source / "caller")
    env = {"GO111MODULE": "off", "GOPATH": f"{home / 'go'}:{GO_CODE}", "GOCACHE": str(home / "c")}
    run(tool("go"), "build", "-o", home / "caller", "caller", cwd=home, **env)
    return [home / "caller"]


def python(document: Path, home: Path) -> list[object]:
    generate("python", document, home / "client")
    shutil.copy(PROGRAMS / "generated_python.py", home / "client/caller.py")
    return [tool("python"), home / "client/caller.py"]


def openapi_python_client(document: Path, home: Path) -> list[object]:
    run(
        *(tool("openapi-python-client"), "generate", "--path", document),
        *("--output-path", home / "client"),
        cwd=home,
    )
    shutil.copy(PROGRAMS / "openapi_python_client.py", home / "client/caller.py")
    return [tool("python"), home / "client/caller.py"]


def compiled(home: Path, program: str) -> list[object]:
    """A TypeScript program type-checked and compiled beside what it imports."""
    (home / "node_modules").symlink_to(TOOLS / "node_modules")
    shutil.copy(PROGRAMS / program, home)
    options = "--strict --skipLibCheck --module commonjs --target es2022 --moduleResolution node10"
    run(tool("tsc"), *options.split(), "--outDir", home / "js", home / program, cwd=home)
    return [tool("node"), home / "js" / Path(program).with_suffix(".js").name]


def typescript(document: Path, home: Path) -> list[object]:
    tool("tsc")
    generate("typescript-fetch", document, home / "client")
    return compiled(home, "fetch.ts")


def openapi_typescript(document: Path, home: Path) -> list[object]:
    run(tool("openapi-typescript"), document, "-o", home / "schema.ts", cwd=home)
    return compiled(home, "openapi_fetch.ts")


GENERATORS: list[Callable[[Path, Path], list[object]]] = [
    *(java, go, python, openapi_python_client, typescript, openapi_typescript)
]


@pytest.mark.parametrize("make", GENERATORS, ids=lambda make: make.__name__)
def test_generated_client_sends_values_unchanged(
    make: Any, document: Path, recorded: tuple[str, list[Any]], tmp_path: Path
) -> None:
    address, bodies = recorded
    command = make(document, tmp_path)
    said = run(*command, address, cwd=tmp_path).split("\n")
    assert said[:3] == ["2", "ready", "422 wrong_type price"]
    assert bodies[0] == {"context": SENT, "candidates": [{"ad": "a1"}, {"ad": "a2"}]}
    assert type(bodies[0]["context"]["user"]) is int
