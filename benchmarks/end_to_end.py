"""Real logs from the raw file to the answer over HTTP, by the commands a user gives: default
settings, drafted schema, a random 20 % to judge on. Then whether one row has one probability,
whoever is asked, and whether its explanation adds up to it.

    .venv/bin/python benchmarks/end_to_end.py --data DIR [--logs kdd,coupon] [--seeds 1] [--net NET]

Probabilities of the judged rows (at most --rows of them) by torch in float32 over the bundle's
parameters, by `afm-train predict`, by `/predict` and by `/explain`; figures by `afm-train fit` and
`evaluate`. `frappe` has its own two parts and its shipped configuration, `simulated` a log of
`afm-train simulate`; neither is split, and no other of them is given a configuration.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from fits.rows import line
from logs.splits import CONFIGS, LOGS, write_split
from processes.product import run
from processes.servers import service
from traffic.load import Connection, request_bytes

from model.bundle.bundle import Bundle
from model.nets.graphs import PredictGraph
from model.pairs import pair_slots
from training.data.log import Log, encode
from training.data.read_log import read_log
from training.fit.steps import new_net
from training.state.warm_start import WarmStart

REQUEST_ROWS = 100
TOP = 5  # pairs an explanation over HTTP names; the rest comes as a sum
OTHERS = ("frappe", "simulated")


class Part(NamedTuple):
    """A log to fit on, one to judge on, and what the fit is given beside them."""

    train: Path
    test: Path
    schema: Path
    options: tuple[str, ...] = ()


def main() -> None:
    """Measure; print a table's rows."""
    parser = argparse.ArgumentParser(description="Raw logs to answers over HTTP.")
    parser.add_argument("--data", type=Path, required=True, help="the directory of the logs")
    parser.add_argument("--logs", default=",".join((*LOGS, *OTHERS)))
    parser.add_argument("--seeds", default="1", help="of the split")
    parser.add_argument("--rows", type=int, default=10_000, help="that are looked at, of a log")
    parser.add_argument("--net", help="default: the command's")
    options = parser.parse_args()
    torch.set_num_threads(1)
    line(
        *("log", "seed", "net", "test AUC", "test logloss", "rows"),
        *("fit's AUC", "torch - /predict", "predict - /predict", "other bits in /explain"),
        *("terms - logit", "attention - 1", "attention of absent pairs"),
    )
    for name in options.logs.split(","):
        for seed in options.seeds.split(","):
            with tempfile.TemporaryDirectory(prefix="afm-bench-") as scratch:
                home = Path(scratch)
                part = prepared(options.data, name, int(seed), home)
                found = looked_at(part, home, options.rows, options.net)
                line(name, seed, *found)


def prepared(data: Path, name: str, seed: int, home: Path) -> Part:
    """The two parts of a log and its schema, in `home`."""
    if name == "frappe":
        config = ("--config", str(CONFIGS / "frappe-afm.toml"))
        train, test = (data / "frappe" / f"{part}.csv.gz" for part in ("train", "valid"))
        return Part(train, test, CONFIGS / "frappe-schema.toml", (*config, "--valid", str(test)))
    if name == "simulated":
        run("afm-train", "simulate", "--seed", str(seed), "--out", str(home / "log"))
        train, test = (home / "log" / f"{part}.parquet" for part in ("train", "test"))
        return Part(train, test, home / "log" / "schema.toml")
    label, drop = LOGS[name]
    train, test = write_split(data, name, seed, home)
    schema = home / "schema.toml"
    dropped = [word for column in drop for word in ("--drop", column)]
    run("afm-train", "schema", str(train), "--label", label, "--out", str(schema), *dropped)
    return Part(train, test, schema)


def looked_at(part: Part, home: Path, rows: int, net: str | None) -> list[object]:
    """The cells of a log's row."""
    fit = ["fit", str(part.train), "--schema", str(part.schema), "--out", str(home / "bundle")]
    fit += [*part.options, "--test", str(part.test), *(["--net", net] if net else [])]
    run("afm-train", *fit)
    bundle = Bundle.open(home / "bundle")
    evaluate = ("evaluate", str(home / "bundle"), str(part.test), "--bootstrap", "0")
    evaluated = json.loads(run("afm-train", *evaluate))
    fitted = bundle.manifest.metrics["test"]
    run(*("afm-train", "predict", str(home / "bundle"), str(part.test)), "--out", f"{home}/p.csv")
    log = read_log(part.test, bundle.schema)
    log = log.take(np.arange(min(rows, len(log))))
    predicted = pl.read_csv(home / "p.csv")["probability"].to_numpy()[: len(log)]
    by_torch, sums, absent = inside(bundle, log)
    with service(home, bundle, AFM_TIMEOUT_MS="600000") as port:
        answered, explained, apart = over_http(port, log)
    return [
        bundle.manifest.net,
        f"{evaluated['auc']:.4f}",
        f"{evaluated['logloss']:.4f}",
        f"{len(log):,}",
        f"{fitted['auc']:.4f}",
        *(f"{np.abs(found - answered).max():.1e}" for found in (by_torch, predicted)),
        int((explained != answered).sum()),
        f"{apart:.1e}",
        f"{sums:.1e}",
        absent,
    ]


def inside(bundle: Bundle, log: Log) -> tuple[np.ndarray, float, int]:
    """Probabilities by torch; how far attention over a row's present pairs is from 1 at most; how
    many absent pairs have any.
    """
    encoder = bundle.read_encoder()
    encoded = encode(encoder, log)
    manifest = bundle.manifest
    start = WarmStart.open(bundle.directory)
    net = new_net(manifest.net, encoder, start.config())
    start.load(net, start.vocabularies)
    graph = PredictGraph(net, manifest.calibration).eval()
    with torch.no_grad():
        found = [
            graph(torch.from_numpy(some.ids), torch.from_numpy(some.values))[0].numpy()
            for some in (encoded.slice(at, at + 1000) for at in range(0, len(encoded), 1000))
        ]
    attention = bundle.read_scorer().explain(encoded).attention
    if attention is None:
        return np.concatenate(found), 0.0, 0
    first, second = pair_slots(encoded.ids.shape[1])
    there = encoded.values != 0
    pairs = there[:, first] & there[:, second]
    some = pairs.any(1)
    sums = np.abs(attention[some].sum(1, np.float64) - 1).max()
    return np.concatenate(found), float(sums), int((attention[~pairs] != 0).sum())


def over_http(port: int, log: Log) -> tuple[np.ndarray, np.ndarray, float]:
    """What `/predict` and `/explain` answer of each row, and how far an explanation's terms are
    from its logit at most.
    """
    connection = Connection(port)
    answered: list[float] = []
    explained: list[float] = []
    apart = 0.0
    for rows in chunks(log.rows()):
        asked = {"instances": rows}
        answered += connection.ask(request_bytes("/predict", asked))["probabilities"]
        found = connection.ask(request_bytes("/explain", asked | {"top": TOP}))["explanations"]
        for one in found:
            explained.append(one["probability"])
            parts = one["linear"] + one["pairs"] + [one["rest"]]
            added = one["bias"] + sum(term["contribution"] for term in parts)
            apart = max(apart, abs(added - one["logit"]))
    connection.close()
    return np.array(answered), np.array(explained), apart


def chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """As many as go into one request."""
    return (rows[at : at + REQUEST_ROWS] for at in range(0, len(rows), REQUEST_ROWS))


if __name__ == "__main__":
    main()
