"""What a row costs as requests, schemas, vocabularies and workers grow: a table and growth.svg.

Nets with random weights; the raw JSON of a request is decoded, encoded and scored as the service
does it, in this process, ads mostly known; workers are real ones. One thing grows at a time, from
39 fields, 30 of them the context's, N = 50, 1,000 values a field, K = T = 16.

    .venv/bin/python benchmarks/growth.py [--rounds 5] [--no-write]
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from processes.servers import service
from results import circumstances, keep, say, table
from traffic.load import run_load
from traffic.wide_requests import fitted, make_requests

from model.encoding import Encoder, Slate
from model.manifest import Calibration, Dimensions
from model.nets import Net, NetSizes, build
from model.schema import CategoricalField, Role, Schema
from model.scorer import Scorer
from model.vocabulary import Vocabulary
from service.limits import CacheLimits
from service.scoring.ad_cache import AdCache
from service.scoring.payloads import PayloadDecoder
from training.export.onnx_graphs import export
from training.report.plots import Series, chart

HERE = Path(__file__).parent
ADS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
FIELDS = (8, 16, 24, 39, 52, 64)
VALUES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
WORKERS = (1, 2)
BODIES = 50
STYLE = """
text { fill: #5b6470; font: 12px sans-serif; } .grid { stroke: #e3e6ea; } .axis { stroke: #9aa4b0; }
.line { fill: none; stroke-width: 2; } .s0 { stroke: #0072b2; } .f0 { fill: #0072b2; }
"""


def main() -> None:
    """Run the benchmark, write its table and its plot."""
    parser = argparse.ArgumentParser(description="What a row costs as things grow.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args()
    found: dict[str, dict[int, float]] = {"ads": {}, "fields": {}, "values": {}, "workers": {}}
    with model(39, 39_000) as ask:
        for ads in ADS:
            found["ads"][ads] = cost(ask, ads, options.rounds)
    for fields in FIELDS:
        with model(fields, 1_000 * fields) as ask:
            found["fields"][fields] = cost(ask, 50, options.rounds)
    for values in VALUES:
        with model(39, values) as ask:
            found["values"][values] = cost(ask, 50, options.rounds)
    for workers in WORKERS:
        found["workers"][workers] = cost_of_workers(workers, options.rounds)
    text = "\n\n".join(
        table(
            [what, *(f"{x:,}" for x in costs)],
            [["µs a row", *(f"{y:.1f}" for y in costs.values())]],
        )
        for what, costs in found.items()
    )
    text += (
        f"\n\n{circumstances('onnxruntime')} "
        f"Medians of {options.rounds} rounds of {BODIES} requests."
    )
    print(text)
    if not options.no_write:
        (HERE / "growth.svg").write_text(drawing(found), encoding="utf-8")
        keep("growth", text)


Ask = Callable[[int], Callable[[], None]]


def net_of(roles: dict[str, Role], each: int) -> tuple[Schema, Encoder, Net]:
    """An AFM of random parameters over fields of so many values each."""
    schema = Schema(
        label="click",
        fields={n: CategoricalField(kind="categorical", role=role) for n, role in roles.items()},
    )
    encoder = Encoder(
        schema, {n: Vocabulary(tuple(f"{n}:{v}" for v in range(each))) for n in roles}
    )
    torch.manual_seed(1)
    net = build("afm", encoder.rows, encoder.slot_fields, NetSizes())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.1)
    return schema, encoder, net


@contextmanager
def model(fields: int, values: int) -> Iterator[Ask]:
    """A net of so many fields, a quarter of them the ads', and values in all; gives, for a number
    of ads, what asks BODIES requests.
    """
    context = fields - max(fields * 9 // 39, 1)
    each = values // fields
    names = [f"{'context' if i < context else 'ad'}_{i}" for i in range(fields)]
    roles: dict[str, Role] = {
        name: "context" if i < context else "candidate" for i, name in enumerate(names)
    }
    schema, encoder, net = net_of(roles, each)
    rng = np.random.default_rng(1)

    def row(chosen: list[str]) -> dict[str, str]:
        return {name: f"{name}:{rng.integers(each)}" for name in chosen}

    with tempfile.TemporaryDirectory(prefix="afm-bench-") as home:
        export(net, Calibration(), schema.candidate_slots, Path(home))
        sizes = Dimensions(rows=encoder.rows, slots=fields, **net.sizes)
        scorer = Scorer(Path(home), sizes, 0.0, schema.candidate_slots)
        cache: Any = AdCache(encoder, scorer, CacheLimits(100_000, 64 << 20))
        decoder = PayloadDecoder(max(ADS))
        known = [row(names[context:]) for _ in range(2000)]
        first = encoder.encode_context(row(names[:context]))
        ads = encoder.encode_ads(known[:50])
        assert first is not None
        assert ads is not None
        scorer.choose_graphs(Slate(first, ads))

        def body(count: int) -> bytes:
            chosen = [known[i] for i in rng.integers(0, len(known), count)]
            return json.dumps({"context": row(names[:context]), "candidates": chosen}).encode()

        def asking(count: int) -> Callable[[], None]:
            bodies = [body(count) for _ in range(BODIES)]

            def ask() -> None:
                for body in bodies:
                    asked = decoder.decode(body)
                    context: Any = encoder.encode_context(asked.context)
                    rows: Any = asked.rows  # read when they are asked for
                    if scorer.ranks(count):
                        slate = Slate(context, *cache.encode(rows.raws(), rows.read))
                    else:
                        ads = encoder.encode_ads(rows[:])
                        assert ads is not None
                        slate = Slate(context, ads)
                    scorer.predict(slate)

            return ask

        yield asking


def cost(ask: Ask, ads: int, rounds: int) -> float:
    """Microseconds a row."""
    asking = ask(ads)
    asking()
    seconds = []
    for _ in range(rounds):
        began = perf_counter()
        asking()
        seconds.append(perf_counter() - began)
    found = 1e6 * median(seconds) / BODIES / ads
    say(f"{ads} ads: {found:.1f} us a row")
    return found


def cost_of_workers(workers: int, rounds: int) -> float:
    """Microseconds a row over HTTP, of all workers together."""
    with tempfile.TemporaryDirectory(prefix="afm-bench-") as scratch:
        home = Path(scratch)
        bundle = fitted(home)
        bodies = make_requests(home / "log.parquet", bundle)[50]
        with service(home, bundle, workers) as port:
            runs = [run_load(port, bodies, 8, 1.0).requests_per_second for _ in range(rounds)]
    return 1e6 / median(runs) / 50


def drawing(found: dict[str, dict[int, float]]) -> str:
    """Three charts side by side; vocabularies and ads by their logarithm."""
    labels = {
        "ads": "log10 of the ads of a request",
        "fields": "fields",
        "values": "log10 of the values in all vocabularies",
    }
    parts = []
    for place, (what, label) in enumerate(labels.items()):
        x = [float(one) if what == "fields" else float(np.log10(one)) for one in found[what]]
        y = list(found[what].values())
        svg = str(chart([Series(x, y), Series(x, y, kind="points")], label, "µs a row"))
        svg = svg.replace("f1", "f0")
        parts.append(svg.replace("<svg ", f'<svg x="{400 * place}" width="390" height="260" ', 1))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1200 260"><style>{STYLE}</style>'
        f'<rect width="1200" height="260" fill="white"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
