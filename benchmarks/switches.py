"""What each switch costs: services with one thing switched on beside one with all of them off, and
the other protocols beside /predict, asked in turn in one run; answers are checked to be equal
first. The table goes into benchmarks/README.md.

    .venv/bin/python benchmarks/switches.py [--rounds 7] [--seconds 0.5] [--home DIR]
        [--before COMMAND] [--no-write]

`--home` keeps the fitted bundles for the next run. `--before`: `afm-serve` of an earlier commit
in an environment of its own, which is measured as well.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import run as run_process
from typing import Any, NamedTuple

import grpc
import numpy as np
from processes.product import command, fit
from processes.servers import clean_environment, free_port, started
from results import circumstances, keep, say, table
from traffic import switched
from traffic.calls import get_mutations, run_calls
from traffic.load import Connection, Load, request_bytes, run_load
from traffic.measured import middle
from traffic.wide_requests import fitted, make_requests

from artf.messages import METHOD, SERVICES
from bid_requests import OPENRTB_SCHEMA, log_line
from model.bundle.bundle import Bundle

ROWS, EXPLAINED, IMPRESSIONS, BODIES = 50, 10, 20, 100
SAME = 1e-6  # two processes may have chosen two graphs for the same rows
OFF = "all off"
PATIENT = {"AFM_MAX_WAIT_MS": "10000"}
CONFIG = 'net = "afm"\nbaseline = false\n[fit]\nepochs = 2\n[attention]\nepochs = 1\n'


class Cell(NamedTuple):
    """One thing that is measured, and the one that it is compared with."""

    name: str
    against: str
    load: Callable[[float], Load]
    scores: Callable[[], list[list[float]]]
    exact: bool = True  # whether the scores of both are equal to the bit


def main() -> None:
    """Run the benchmark and write its table."""
    parser = argparse.ArgumentParser(description="What each switch costs.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one cell in one round")
    parser.add_argument("--home", type=Path, help="where bundles are fitted, and kept")
    parser.add_argument("--before", help="the afm-serve of an earlier commit")
    parser.add_argument("--no-write", action="store_true", help="leave benchmarks/README.md alone")
    options = parser.parse_args()
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afm-bench-")))
        home = options.home or temporary
        wide, bids = _bundles(home)
        cells = [
            *_switches(stack, temporary, home, wide, options.before),
            *_bid_requests(stack, temporary, bids),
        ]
        _check(cells)
        say(f"answers equal; {len(cells)} cells, {options.rounds} rounds")
        found = _measured(cells, options.rounds, options.seconds)
    text = _text(cells, found, options.rounds, options.seconds)
    print(text)
    if not options.no_write:
        keep("switches", text)


def _bundles(home: Path) -> tuple[Bundle, Bundle]:
    wide, bids = home / "wide", home / "bids"
    if not (wide / "bundle").exists():
        fitted(wide)
    if not (bids / "bundle").exists():
        bids.mkdir(parents=True, exist_ok=True)
        draw = random.Random(1)
        lines = [json.dumps(log_line(draw, number)) for number in range(3000)]
        (bids / "log.jsonl").write_text("\n".join(lines))
        (bids / "schema.toml").write_text(OPENRTB_SCHEMA)
        (bids / "config.toml").write_text(CONFIG)
        fit(bids, log="log.jsonl")
    return Bundle.open(wide / "bundle"), Bundle.open(bids / "bundle")


def _switches(
    stack: ExitStack, temporary: Path, home: Path, bundle: Bundle, before: str | None
) -> list[Cell]:
    requests = make_requests(home / "wide/log.parquet", bundle)[ROWS][:BODIES]
    collector, nobody = stack.enter_context(_collector(temporary)), free_port()
    sent = {"AFM_TRACES": f"http://127.0.0.1:{collector}/v1/traces"}
    lost = {"AFM_TRACES": f"http://127.0.0.1:{nobody}/v1/traces", "AFM_TRACES_SHARE": "1"}
    logged = {"AFM_PREDICTION_LOG": str(temporary / "predictions")}
    all_of_it = {"AFM_TRACES_SHARE": "1"}, {"AFM_PREDICTION_LOG_SHARE": "1"}
    settings: dict[str, tuple[dict[str, str], list[bytes]]] = {
        OFF: ({}, requests),
        "all off, another process": ({}, requests),
        "`AFM_SERVER_TIMING=1`": ({"AFM_SERVER_TIMING": "1"}, requests),
        "`AFM_TRACES`, 1 % of the requests": (sent, requests),
        "`AFM_TRACES`, all requests": (sent | all_of_it[0], requests),
        "`AFM_TRACES`, all requests, no collector there": (lost, requests),
        "`AFM_PREDICTION_LOG`, 1 % of the requests": (logged, requests),
        "`AFM_PREDICTION_LOG`, all requests": (logged | all_of_it[1], requests),
        "`AFM_ACCESS_LOG=1`": ({"AFM_ACCESS_LOG": "1"}, requests),
    }
    publishes = _publish(command("afm-serve"), temporary / "now", bundle)
    ports = {
        name: stack.enter_context(_service(command("afm-serve"), publishes | chosen, temporary))
        for name, (chosen, _) in settings.items()
    }
    cells = [
        _http(name, OFF, ports[name], asked, exact=False) for name, (_, asked) in settings.items()
    ]
    if before is not None:
        there = _publish([before], temporary / "before", bundle)
        port = stack.enter_context(_service([before], there, temporary))
        cells.insert(1, _http("before, by `--before`", OFF, port, requests, exact=False))
    return [*cells, *_protocols(ports[OFF], home, bundle)]


def _protocols(port: int, home: Path, bundle: Bundle) -> list[Cell]:
    rows = switched.whole_rows(home / "wide/log.parquet", bundle, BODIES, ROWS)
    few = [{"instances": one[:EXPLAINED], "top": 20} for one in rows]
    plain, explained = "`/predict`, whole rows", "`/explain`"
    return [
        _http(plain, plain, port, switched.as_instances(rows)),
        _http("`/v2`, JSON", plain, port, switched.as_tensors(rows, bundle, binary=False)),
        _http("`/v2`, binary", plain, port, switched.as_tensors(rows, bundle, binary=True)),
        _http(explained, explained, port, [request_bytes("/explain", one) for one in few]),
        _http(
            "`/explain?profile=true`",
            explained,
            port,
            [request_bytes("/explain?profile=true", one) for one in few],
        ),
    ]


def _bid_requests(stack: ExitStack, temporary: Path, bundle: Bundle) -> list[Cell]:
    over_http, over_grpc = switched.bid_requests(BODIES, IMPRESSIONS)
    publishes = _publish(command("afm-serve"), temporary / "bids", bundle)
    address = f"127.0.0.1:{free_port()}"
    with_artf = publishes | {"AFM_ARTF": address}
    port = stack.enter_context(_service(command("afm-serve"), with_artf, temporary))
    channel = stack.enter_context(grpc.insecure_channel(address))
    method = get_mutations(channel, SERVICES[0], METHOD)
    plain = "`/predict`, a bid request"
    return [
        _http(plain, plain, port, over_http),
        Cell(
            "ARTF, `GetMutations`",
            plain,
            lambda seconds: run_calls(method, over_grpc, seconds),
            lambda: [switched.metrics(method(one)) for one in over_grpc],
        ),
    ]


def _http(name: str, against: str, port: int, requests: list[bytes], *, exact: bool = True) -> Cell:
    def scores() -> list[list[float]]:
        connection = Connection(port)
        try:
            return [switched.scores(connection, one) for one in requests]
        finally:
            connection.close()

    return Cell(name, against, lambda seconds: run_load(port, requests, 1, seconds), scores, exact)


def _check(cells: list[Cell]) -> None:
    found = {cell.name: cell.scores() for cell in cells}
    for cell in cells:
        differs = np.abs(np.subtract(found[cell.name], found[cell.against])).max()
        assert differs <= (0 if cell.exact else SAME), f"{cell.name}: answers differ by {differs}"


def _measured(cells: list[Cell], rounds: int, seconds: float) -> dict[str, Load]:
    runs: dict[str, list[Load]] = {cell.name: [] for cell in cells}
    for number in range(rounds):
        for cell in cells[:: 1 if number % 2 == 0 else -1]:
            runs[cell.name].append(cell.load(seconds))
    return {name: middle(loads) for name, loads in runs.items()}


def _text(cells: list[Cell], found: dict[str, Load], rounds: int, seconds: float) -> str:
    lines: list[list[object]] = []
    for cell in cells:
        own, other = found[cell.name], found[cell.against]
        cost, ratio = "", ""
        if cell.name != cell.against:
            cost, ratio = f"{1e6 * (own.p50 - other.p50):+.0f}", f"**{own.p50 / other.p50:.2f}**"
        figures = f"{1e6 * own.p50:.0f}", f"{1e6 * own.p99:.0f}"
        lines.append([cell.name, *figures, "" if not cost else cell.against, cost, ratio])
    head = ["what", "p50 µs", "p99 µs", "beside", "p50 µs more", "times its p50"]
    busiest = max(load.busy for load in found.values())
    packages = "onnxruntime", "uvicorn", "grpcio"
    return (
        f"{table(head, lines)}\n\n{circumstances(*packages)} One connection, one worker each; "
        f"medians of {rounds} rounds of {seconds:g} s a cell, in turn; {ROWS} rows (to explain "
        f"{EXPLAINED}, bid requests {IMPRESSIONS} impressions); answers equal, of one process to "
        f"the bit. The load generator took {busiest:.0%} of a core at most."
    )


def _publish(serve: list[str], home: Path, bundle: Bundle) -> dict[str, str]:
    environment = clean_environment() | PATIENT | {"AFM_HOME": str(home)}
    publish = [*serve, "publish", "--force", "--no-wait", str(bundle.directory)]
    run_process(publish, env=environment, check=True, stdout=sys.stderr)
    return environment


@contextmanager
def _service(serve: list[str], environment: dict[str, str], temporary: Path) -> Iterator[int]:
    port = free_port()
    run = [*serve, "run", "--port", str(port)]
    log = temporary / f"{port}.log"
    with started(run, environment, log, f"http://127.0.0.1:{port}/readyz"):
        yield port


@contextmanager
def _collector(temporary: Path) -> Iterator[int]:
    port = free_port()
    run: list[Any] = [sys.executable, str(Path(__file__).parent / "processes/collector.py")]
    log = temporary / "collector.log"
    with started([*run, str(port)], clean_environment(), log, f"http://127.0.0.1:{port}/"):
        yield port


if __name__ == "__main__":
    main()
