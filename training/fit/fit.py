"""`afm-train fit`: logs and a schema in, a bundle out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.bundle.write import new_bundle
from model.encoding import Encoder
from model.manifest import Calibration, Manifest
from model.schema import Schema
from training.config import Config
from training.data.examples import Examples
from training.data.log import Log
from training.data.parts import sample
from training.data.schema_text import schema_text
from training.evaluation import cautions
from training.evaluation.baseline import against_baseline, baseline_words
from training.export.pack import pack
from training.fit.beginnings import Beginning, FromBundle, FromScratch
from training.fit.calibration import apply, calibrate
from training.fit.loop import Epoch, Watcher, logits
from training.fit.prepare import Rows, cautions_before, encode_rows, prepare, sampled
from training.fit.steps import Steps, Trained
from training.state.adam_moments import Moments, moments_path
from training.state.checkpoint import Checkpoint, CheckpointOptions, checkpoint_path, digest
from training.state.warm_start import WarmStart


@dataclass(frozen=True)
class Fitted:
    """What a fit came to; `told`: what is to be said of it, a line each."""

    manifest: Manifest
    epochs: list[Epoch]
    parity: float  # largest difference of a logit between torch and onnxruntime
    interrupted: bool
    notes: Sequence[str] = ()


def fit(
    log: Log,
    valid: Log | None,
    test: Log | None,
    schema: Schema,
    config: Config,
    out: Path,
    seed: int,
    watcher: Watcher,
    start: WarmStart | None = None,
    checkpointing: CheckpointOptions | None = None,
    *,
    keep_optimiser: bool = False,
) -> Fitted:
    """Fit a net and write its bundle. The same seed and data give the same weights, bit for bit, on
    one machine.

    Args:
        log: the rows to train on; where `valid` is None, a part of them is held out.
        valid: the rows that choose the epoch and the calibration.
        test: rows that the fitted net is judged on.
        schema: the fields of the logs.
        config: the net and its steps.
        out: the directory of the bundle, which must not exist.
        seed: of the net and the order of the rows.
        watcher: is called with the progress.
        start: the bundle to continue from.
        checkpointing: how the state of the fit is kept, so that a killed fit can be resumed.
        keep_optimiser: whether Adam's moments are written beside the bundle.

    Raises:
        ConfigError: a rate of negatives for a task that has none, or `start` is of another net, or
            the checkpoint of another fit.
        DataError: a log that cannot be trained on.
        BundleError: `out` exists or cannot be written, or what is kept beside it, or `start` is of
            another schema.
        ParityError: the graphs do not score as the net does; nothing is written.
    """
    if start is not None:
        start.check(schema, config)
    beginning: Beginning = FromScratch() if start is None else FromBundle(start)
    with new_bundle(out) as directory:  # first: an `out` that exists must not cost a fit
        parts = prepare(log, valid, test, schema, config)
        given = beginning.rows(parts.train, schema, parts.valid.held_out, seed)
        train = sampled(given, config, seed)
        vocabularies = beginning.vocabularies(schema, parts.train, train, config, seed)
        encoder = Encoder(schema, vocabularies)
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        rows = encode_rows(encoder, train, parts.valid, parts.test, schema.task)
        checkpoint = None
        if checkpointing is not None:
            inputs = _inputs(schema, config, seed, beginning, rows, keep_optimiser=keep_optimiser)
            checkpoint = Checkpoint(checkpoint_path(out), inputs, checkpointing)
        moments = beginning.moments(vocabularies) or (Moments() if keep_optimiser else None)
        warnings = cautions_before(parts, vocabularies, rows)
        for line in warnings:  # now, while there is time to end the fit
            watcher.warned(line)
        steps = Steps(
            config, encoder, rows.seen, rows.held_out, watcher, parts.objective, checkpoint, moments
        )
        trained = beginning.train(steps, vocabularies)
        config = config.settled(len(rows.seen), len(schema.fields), trained.step)
        training: dict[str, Any] = {
            "seed": seed,
            "config": config.model_dump(mode="json"),
            "criterion": parts.objective.criterion,
            "epochs": [asdict(epoch) for epoch in trained.epochs],
        }
        for line in cautions.of_epochs(training["epochs"], from_scratch=start is None):
            watcher.warned(line)
            warnings.append(line)
        if start is None and not any(epoch.best for epoch in trained.epochs):
            training["untrained"] = True
        watcher.stage("calibration, and the comparison with what it started from")
        last = logits(trained.net, rows.held_out)
        calibration = None
        if schema.task == "click":
            calibration, training["calibration"] = _calibration(last, rows.held_out, config, seed)
        notes = []
        if trained.first is not None and config.baseline:
            facts = _baseline(beginning, trained, calibration, last, rows, config, seed)
            if facts is not None:
                training["baseline"] = facts
                notes.append(baseline_words(config.net, facts))
        training |= beginning.facts(len(given) - len(parts.train), vocabularies)
        kept = sample(parts.valid, config.validation_rows, seed) if config.validation_rows else None
        watcher.stage("graphs, metrics and report")
        manifest, parity = pack(
            directory,
            trained.net,
            config.net,
            vocabularies,
            encoder,
            calibration,
            rows.parts,
            training,
            rows.fed,
            kept,
            warnings,
            beginning.held_out(parts.valid.held_out),
        )
    if checkpoint is not None:
        checkpoint.remove()
    if keep_optimiser and moments is not None and moments.states:
        moments.write(moments_path(out), manifest.version)
        notes.append(f"optimiser: {moments_path(out)}")
    return Fitted(manifest, trained.epochs, parity, trained.interrupted, notes)


def _inputs(
    schema: Schema,
    config: Config,
    seed: int,
    beginning: Beginning,
    rows: Rows,
    *,
    keep_optimiser: bool,
) -> dict[str, str]:
    # what decides how the fit goes: a checkpoint of other inputs is not resumed
    return {
        "schema": schema_text(schema),
        "configuration": config.model_dump_json(),
        "seed": str(seed),
        "bundle to go on from": beginning.name,
        "log": digest(rows.seen, rows.held_out),
        "use of the optimiser": f"kept {keep_optimiser}, gone on with {beginning.moments_given}",
    }


def _baseline(
    beginning: Beginning,
    trained: Trained,
    calibration: Calibration | None,
    last: NDArray[np.float32],
    rows: Rows,
    config: Config,
    seed: int,
) -> dict[str, Any] | None:
    # the net against what its last step began from, each as it is served: a bundle answers as it is
    # calibrated, a step's net as it would have been calibrated on these rows
    assert trained.first is not None  # noqa: S101  its caller looked
    first = trained.first
    other = None
    if calibration is not None:  # a task without probabilities has none
        other = beginning.served_by(lambda: _calibration(first, rows.held_out, config, seed)[0])
    served = (_served(other, first), _served(calibration, last))
    named = beginning.baseline(trained, config)
    valid, schema = rows.parts["valid"][1], rows.encoder.schema
    return against_baseline(named, *served, valid, schema.task)


def _calibration(
    scores: NDArray[np.float32], valid: Examples, config: Config, seed: int
) -> tuple[Calibration, dict[str, object]]:
    # the function, and what the manifest says of its choice
    rate = config.negatives_rate * config.negatives_kept
    found = calibrate(
        scores.astype(np.float64),
        valid.labels.double().numpy(),
        valid.weights.double().numpy(),
        config.calibration,
        rate,
        seed,
    )
    return found.calibration, {"kind": found.kind, "cross_validated_logloss": dict(found.losses)}


def _served(calibration: Calibration | None, scores: NDArray[np.float32]) -> NDArray[np.float64]:
    # the predictions that a net of these logits is answered with
    wide = scores.astype(np.float64)
    if calibration is None:
        return wide
    served: NDArray[np.float64] = 1 / (1 + np.exp(-apply(calibration, wide)))
    return served
