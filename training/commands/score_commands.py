"""`afm-train evaluate` and `afm-train predict`: a bundle on a log."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from training.commands.options import (
    BundleFolder,
    LogFiles,
    Separator,
    at_least,
    data_given,
    print_warnings,
    rate,
)
from training.commands.ray_options import Ray, Workers, done_by

Stream = Annotated[
    bool,
    Option("--stream", help="Score DATA in shards, one at a time: for a log larger than memory."),
]


def evaluate(
    bundle: BundleFolder,
    data: LogFiles,
    by: Annotated[
        str | None,
        Option(metavar="COLUMN", help="Also for each value of this field or column."),
    ] = None,
    bootstrap: Annotated[
        int,
        Option(
            parser=at_least("--bootstrap", int, 0),
            metavar="N",
            help="Resamples for intervals; 0: none.",
        ),
    ] = 200,
    negatives_kept: Annotated[
        float,
        Option(
            parser=rate("--negatives-kept"),
            metavar="RATE",
            help="The share of all negatives that DATA holds.",
        ),
    ] = 1.0,
    separator: Separator = None,
    ray: Ray = None,
    workers: Workers = None,
    stream: Stream = False,
) -> None:
    """Print the metrics of a bundle on a log, as JSON."""
    from training.evaluation.evaluate import evaluate as evaluate_bundle
    from training.evaluation.evaluate import without_contrast

    log = data_given(data, separator)
    with done_by(ray, workers) as doing:
        scored = None
        if stream or ray is not None:
            from training.shards.score import scored_in_shards

            scored = partial(scored_in_shards, bundle, log.absolute(), doing)
        measured = evaluate_bundle(bundle, log, by, bootstrap, negatives_kept, scored)
    print(json.dumps(measured))
    print_warnings(measured["warnings"])
    if (said := without_contrast(measured)) is not None:
        print(f"afm-train: {said}", file=sys.stderr)


def predict(
    bundle: BundleFolder,
    data: LogFiles,
    out: Annotated[
        Path,
        Option(
            metavar="FILE",
            help="The file to write: .csv or .parquet; or with --ray or --stream a folder.",
        ),
    ],
    keep: Annotated[
        list[str] | None,
        Option(metavar="COLUMN", help="A column of DATA to write, too; may be repeated."),
    ] = None,
    separator: Separator = None,
    ray: Ray = None,
    workers: Workers = None,
    stream: Stream = False,
) -> None:
    """Write the probabilities or scores of a log's rows, in its order."""
    from training.evaluation.evaluate import predict as predict_log

    log = data_given(data, separator)
    with done_by(ray, workers) as doing:
        if ray is None and not stream:
            rows, warnings = predict_log(bundle, log, out, keep or [])
        else:
            from training.shards.predict import predict_in_shards

            rows, warnings = predict_in_shards(bundle, log.absolute(), out, keep or [], doing)
    print_warnings(warnings)
    print(f"{out}: {rows} rows scored")
