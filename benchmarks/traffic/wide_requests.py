"""The bundle of the wide log, and requests of its rows."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
from logs.wide_log import write_wide_log
from processes.product import fit
from traffic.load import request_bytes

from model.bundle.bundle import Bundle
from model.encoding import Slate
from service.scoring.payloads import PayloadDecoder

CANDIDATES = (1, 10, 50, 100, 500)
BODIES = 200  # different requests for each number of candidates
ADS = 2000  # different ads in all of them


def fitted(home: Path) -> Bundle:
    """A bundle of 39 fields, fitted for an epoch or two, since no figure depends on them."""
    write_wide_log(home)
    return fit(home, "--net", "afm")


def make_requests(log: Path, bundle: Bundle) -> dict[int, list[bytes]]:
    """For each number of candidates, bodies made of rows of the log."""
    rows, fields = pl.read_parquet(log), bundle.schema.fields
    context = rows.select([name for name, field in fields.items() if field.role == "context"])
    candidate = rows.select([name for name, field in fields.items() if field.role == "candidate"])
    contexts, ads = context.to_dicts(), candidate.head(ADS).to_dicts()
    rng = np.random.default_rng(1)
    return {
        size: [
            request_bytes(
                "/predict",
                {
                    "context": contexts[rng.integers(len(contexts))],
                    "candidates": [ads[i] for i in rng.integers(0, len(ads), size)],
                },
            )
            for _ in range(BODIES)
        ]
        for size in CANDIDATES
    }


def bare_calls(bundle: Bundle, requests: dict[int, list[bytes]]) -> dict[int, Callable[[], float]]:
    """For each number of candidates, what takes the seconds of one bare call of the graph that
    serves it, its inputs at hand, over all requests.
    """
    encoder, scorer, decoder = (
        bundle.read_encoder(),
        bundle.read_scorer(),
        PayloadDecoder(max(CANDIDATES)),
    )
    found: dict[int, Callable[[], float]] = {}
    for size, bodies in requests.items():
        slates = []
        for body in bodies:
            asked = decoder.decode(body.partition(b"\r\n\r\n")[2])
            context, ads = encoder.encode_context(asked.context), encoder.encode_ads(asked.rows[:])
            assert context is not None
            assert ads is not None
            slates.append(Slate(context, ads, scorer.ad_partials(ads)))
        if size == CANDIDATES[0]:
            scorer.choose_graphs(slates[0])
        ranked = scorer.ranks(size)
        rows = slates if ranked else [scorer.joined(slate) for slate in slates]
        call: Any = scorer.rank if ranked else scorer.predict_plainly

        def seconds(call: Any = call, rows: Any = rows) -> float:
            began = perf_counter()
            for one in rows:
                call(one)
            return (perf_counter() - began) / len(rows)

        found[size] = seconds
    return found
