"""The service beside MLServer, BentoML and LitServe, one worker each, in one run.

They serve the naive graph and get ids and values as arrays of numbers, so that they have nothing to
look up; the service gets the raw features of the same rows, as an ad server has them. Each peer
lives in an environment of its own, made of benchmarks/peers/requirements-*.txt under --home:

    .venv/bin/python benchmarks/peers.py --home DIR [--rounds 5] [--seconds 1.0] [--no-write]
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from processes.naive_graph import export_naive_bundle
from processes.servers import clean_environment, free_port, service, started
from results import circumstances, keep, say, table
from traffic.load import Connection, request_bytes
from traffic.measured import Measured, ms
from traffic.wide_requests import fitted, make_requests

from model.bundle.bundle import Bundle
from service.scoring.payloads import PayloadDecoder

HERE = Path(__file__).parent / "peers"
PEERS = ("mlserver", "bentoml", "litserve")
CANDIDATES = (1, 50, 100)
CONNECTIONS = 4
TOLERANCE = 1e-5
PATHS = {
    "mlserver": ("/v2/models/naive/infer", "/v2/health/ready"),
    "bentoml": ("/predict", "/readyz"),
    "litserve": ("/predict", "/health"),
}


def main() -> None:
    """Run the benchmark and write its table."""
    parser = argparse.ArgumentParser(description="The service beside other model servers.")
    parser.add_argument("--home", type=Path, required=True, help="where the environments are made")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afm-bench-")))
        bundle = fitted(home)
        raw = make_requests(home / "log.parquet", bundle)
        export_naive_bundle(bundle, home / "naive.onnx")
        ports = {"service": stack.enter_context(service(home, bundle))}
        requests = {"service": {size: raw[size] for size in CANDIDATES}}
        for name in PEERS:
            ports[name] = stack.enter_context(peer(name, options.home / name, home))
            requests[name] = {
                size: [tensors(name, bundle, body) for body in raw[size]] for size in CANDIDATES
            }
        check(ports, requests)
        measured = Measured(options.rounds, options.seconds)
        lines: list[list[object]] = []
        for size in CANDIDATES:
            bodies = {name: requests[name][size] for name in ports}
            found = measured.each(ports, bodies, CONNECTIONS)
            ours = found["service"].requests_per_second
            for name, run in found.items():
                rate, ratio = run.requests_per_second, ours / run.requests_per_second
                lines.append(
                    [size, name, f"{size * rate:,.0f}", ms(run.p50), ms(run.p99), f"{ratio:.1f}"]
                )
    head = ["candidates", "server", "rows/s", "p50 ms", "p99 ms", "service / it"]
    text = table(head, lines) + (
        f"\n\n{circumstances('onnxruntime')} {', '.join(map(version_in, PEERS))}. Medians of "
        f"{options.rounds} rounds of {options.seconds:g} s, {CONNECTIONS} connections, the servers "
        f"in turn; answers equal to {TOLERANCE:g}."
    )
    print(text)
    if not options.no_write:
        keep("peers", text)


def version_in(name: str) -> str:
    """The pinned version of a peer."""
    return (HERE / f"requirements-{name}.txt").read_text().split()[0].replace("==", " ")


@contextmanager
def peer(name: str, home: Path, scratch: Path) -> Iterator[int]:
    """A peer in its environment, which is made where it is not there yet; yields its port."""
    if not (home / "bin" / "python").exists():
        say(f"installing {name} into {home}")
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        wanted = str(HERE / f"requirements-{name}.txt")
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", "-r", wanted], check=True)
    port = free_port()
    environment = clean_environment() | {
        "GRAPH": str(scratch / "naive.onnx"),
        "PYTHONPATH": str(HERE),
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
        "MLSERVER_HTTP_PORT": str(port),
        "MLSERVER_GRPC_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()),
        "MLSERVER_PARALLEL_WORKERS": "0",  # in its own process, which is faster for small models
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(scratch / "bentoml"),
    }
    run = {
        "mlserver": ["mlserver", "start", str(HERE)],
        "bentoml": ["bentoml", "serve", "bentoml_service:NaiveService", "--port", str(port)],
        "litserve": ["python", str(HERE / "litserve_server.py"), str(port)],
    }[name]
    if name == "bentoml":
        run += ["--working-dir", str(HERE)]
    run[0] = str(home / "bin" / run[0])
    ready = f"http://127.0.0.1:{port}{PATHS[name][1]}"
    with started(run, environment, scratch / f"{name}.log", ready):
        yield port


def tensors(name: str, bundle: Bundle, request: bytes) -> bytes:
    """The request of the same rows for a peer: encoded."""
    asked = PayloadDecoder(1000).decode(request.partition(b"\r\n\r\n")[2])
    encoded = bundle.read_encoder().encode_request(asked.context, asked.rows[:])
    body: dict[str, object] = {"ids": encoded.ids.tolist(), "values": encoded.values.tolist()}
    if name == "mlserver":
        shape = list(encoded.ids.shape)
        body = {
            "inputs": [
                {"name": "ids", "shape": shape, "datatype": "INT64", "data": body["ids"]},
                {"name": "values", "shape": shape, "datatype": "FP32", "data": body["values"]},
            ]
        }
    return request_bytes(PATHS[name][0], body)


def probabilities(answer: object) -> np.ndarray:
    """Whatever form the answer has."""
    if isinstance(answer, dict):
        found = answer["outputs"][0]["data"] if "outputs" in answer else answer["probabilities"]
        return np.array(found)
    return np.array(answer)


def check(ports: dict[str, int], requests: dict[str, dict[int, list[bytes]]]) -> None:
    """End the benchmark where answers are not equal."""
    connections = {name: Connection(port) for name, port in ports.items()}
    for size in CANDIDATES:
        for number in range(20):
            answers = {
                name: probabilities(c.ask(requests[name][size][number]))
                for name, c in connections.items()
            }
            for name, found in answers.items():
                difference = float(np.abs(found - answers["service"]).max())
                assert difference <= TOLERANCE, f"{name} differs by {difference:.2g}"
    for connection in connections.values():
        connection.close()


if __name__ == "__main__":
    main()
