"""How late a 504 comes: requests of 5000 candidates whose time is shorter than they take, with
others beside them at the same worker, and requests behind them that wait out their deadline.
"""

import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl
from processes.servers import service
from traffic.load import Connection, request_bytes, run_counted_load
from traffic.wide_requests import fitted

from model.bundle.bundle import Bundle

ROWS = 5000
TIMEOUTS_MS = (5, 10, 20, 40)
ASKED = 60
BESIDE = 4
RATE = 40.0  # requests of 5000 rows a second: about as many as a worker can take
PROMISED = "at most a few ms"


def measure() -> list[tuple[str, str, str]]:
    """What was done, and how late the answers were."""
    with tempfile.TemporaryDirectory(prefix="afm-deadlines-") as folder:
        home = Path(folder)
        bundle = fitted(home)
        with service(home, bundle) as port:
            return [*alone(port, home, bundle), *beside(port, home, bundle)]


def alone(port: int, home: Path, bundle: Bundle) -> list[tuple[str, str, str]]:
    """One caller: the answer's lateness beyond its deadline."""
    connection = Connection(port)
    late, statuses = [], set()
    for timeout_ms in TIMEOUTS_MS:
        request = request_bytes("/predict", body(home, bundle, ROWS, timeout_ms))
        for _ in range(ASKED):
            began = perf_counter()
            connection.send(request)
            while connection.receive(any_status=True) is None:
                pass
            statuses.add(connection.status)
            if connection.status == 504:
                late.append(1000 * (perf_counter() - began) - timeout_ms)
    connection.close()
    return [line(f"{ROWS} rows by one caller, {TIMEOUTS_MS} ms", late, statuses)]


def beside(port: int, home: Path, bundle: Bundle) -> list[tuple[str, str, str]]:
    """Rows for more than a worker, at a constant rate: those that wait are in time as well."""
    timeout_ms = 20
    request = request_bytes("/predict", body(home, bundle, ROWS, timeout_ms))
    answers = run_counted_load(port, [request], BESIDE, np.arange(ASKED) / RATE)
    late = [1000 * answer.latency - timeout_ms for answer in answers if answer.status == 504]
    statuses = {answer.status for answer in answers}
    return [line(f"{ROWS} rows, {RATE:g} a second on {BESIDE} connections", late, statuses)]


def body(home: Path, bundle: Bundle, rows: int, timeout_ms: float) -> dict[str, object]:
    """A request of ads that differ."""
    log, fields = pl.read_parquet(home / "log.parquet").head(rows), bundle.schema.fields
    of = {
        role: [name for name, field in fields.items() if field.role == role]
        for role in ("context", "candidate")
    }
    context, ads = log.select(of["context"]).to_dicts()[0], log.select(of["candidate"]).to_dicts()
    return {"context": context, "candidates": ads, "timeout_ms": timeout_ms}


def line(what: str, late: list[float], statuses: set[int]) -> tuple[str, str, str]:
    """The figure: by how much a 504 came behind its deadline."""
    assert statuses <= {200, 429, 504}, statuses
    if not late:
        return f"{what}: 504 after the deadline", "none came", PROMISED
    p50, p99 = np.quantile(late, (0.5, 0.99))
    return (
        f"{what}: {len(late)} answers of 504, after the deadline",
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, latest {max(late):.1f} ms",
        PROMISED,
    )
