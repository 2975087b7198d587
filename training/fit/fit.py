"""`afm-train fit`: logs and a schema in, a bundle out."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.bundle.bundle import new_bundle
from model.encoding import Encoded, Encoder
from model.errors import ConfigError, DataError, InputError
from model.manifest import Calibration, Manifest
from model.nets import Net, Settings, build
from model.schema import Schema
from model.vocabulary import FIRST, UNKNOWN, fit_vocabulary
from training.config import Config, Step
from training.data.examples import Examples
from training.data.log import (
    Log,
    require_contrast,
    sample,
    sample_negatives,
    split,
    weigh_negatives,
)
from training.evaluation.baseline import against_baseline, baseline_words
from training.export.pack import pack
from training.fit.bias_level import settle_level
from training.fit.calibration import apply, calibrate
from training.fit.loop import CLICK, Epoch, UnknownDrop, Watcher, logits, run_step
from training.fit.objective import Objective
from training.fit.untrained_rows import settle_untrained
from training.state.adam_moments import Moments, moments_path
from training.state.checkpoint import Checkpoint, Checkpointing, checkpoint_path, digest
from training.state.warm_start import KeptRows, WarmStart

SAMPLE = slice(0, 1000)  # rows that set the scales attention starts with


@dataclass(frozen=True)
class Fitted:
    """What a fit came to; `told`: what is to be said of it, a line each."""

    manifest: Manifest
    epochs: list[Epoch]
    parity: float  # largest difference of a logit between torch and onnxruntime
    interrupted: bool
    told: Sequence[str] = ()


class Trained(NamedTuple):
    """A net at its best epoch. `first`: float32 [N], the logits that the rows held out had before:
    of the first step's net, named `base`, or of the bundle; None where it went on from neither.
    """

    net: Net
    epochs: list[Epoch]
    interrupted: bool
    first: NDArray[np.float32] | None = None
    base: str = ""


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
    checkpointing: Checkpointing | None = None,
    *,
    keep_optimiser: bool = False,
) -> Fitted:
    """Fit a net and write its bundle; without `valid`, a part of `log` is held out for it. With
    `start`, go on from its bundle. With `checkpointing`, a fit that is killed can be gone on with.
    With `keep_optimiser`, Adam's moments are written beside the bundle.

    The same seed and data give the same weights, bit for bit, on one machine.

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
    with new_bundle(out) as directory:  # first: an `out` that exists must not cost a fit
        objective = objective_of(config, schema)
        require_contrast(log, schema.task, "training")
        if valid is None:
            log, valid = split(log, schema, share=config.valid_share, seed=seed)
        require_contrast(valid, schema.task, "the part held out")
        if test is not None and schema.task != "regression":
            require_contrast(test, schema.task, "the test part")
        rows = log if start is None else start.rows(log, seed)
        train = sample_negatives(rows, config.negatives_rate, seed)
        valid = weigh_negatives(valid, config.negatives_kept)
        test = None if test is None else weigh_negatives(test, config.negatives_kept)
        if start is None:
            vocabularies = {
                name: fit_vocabulary(field, train.columns[name])
                for name, field in schema.fields.items()
            }
        else:
            # a row that is replayed has been counted before; of the new ones, these are trained on
            fresh = sample_negatives(log, config.negatives_rate, seed)
            vocabularies = start.grow(schema, fresh)
        encoder = Encoder(schema, vocabularies)
        parts = {"valid": (encode(encoder, valid), valid)}
        if test is not None:
            parts["test"] = (encode(encoder, test), test)
        held_out = examples(*parts["valid"], schema.task)
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        fed = encode(encoder, train)
        seen = examples(fed, train, schema.task)
        checkpoint = None
        if checkpointing is not None:
            inputs = {
                "schema": schema.dumps(),
                "configuration": config.model_dump_json(),
                "seed": str(seed),
                "bundle to go on from": "" if start is None else start.bundle.version,
                "log": digest(seen, held_out),
                "use of the optimiser": f"kept {keep_optimiser}, "
                f"gone on with {start is not None and start.moments is not None}",
            }
            checkpoint = Checkpoint(checkpoint_path(out), inputs, checkpointing)
        moments = Moments() if keep_optimiser else None
        if start is not None:
            moments = start.grown_moments(vocabularies) or moments
        steps = Steps(config, encoder, seen, held_out, watcher, objective, checkpoint, moments)
        if start is None:
            trained = fit_net(steps)
            settle_untrained(trained.net, encoder, seen, unknown_fed=config.fit.unknown_rate > 0)
        else:
            net = new_net(config.net, encoder, config)
            start.load(net, vocabularies)
            keep = KeptRows(net, encoder, seen, unknown_fed=config.last_step.unknown_rate > 0)
            first = logits(net, held_out)
            trained = Trained(net, *steps.last(net, keep), first)
        training: dict[str, Any] = {
            "seed": seed,
            "config": config.model_dump(mode="json"),
            "criterion": objective.criterion,
            "epochs": [asdict(epoch) for epoch in trained.epochs],
        }
        last = logits(trained.net, held_out)
        calibration = None
        if schema.task == "click":
            calibration, training["calibration"] = _calibration(last, held_out, config, seed)
        told = []
        if trained.first is not None and config.baseline:
            # a bundle answers as it is calibrated, a step would have been calibrated on these rows;
            # a task without probabilities has neither, whatever a manifest holds in its place
            other = calibration
            if schema.task == "click" and start is not None:
                other = start.bundle.manifest.calibration
            elif schema.task == "click":
                other, _ = _calibration(trained.first, held_out, config, seed)
            named: dict[str, object] = {"net": trained.base, "of": config.first_steps}
            if start is not None:
                named = {"bundle": start.bundle.version}
            served = (_served(other, trained.first), _served(calibration, last))
            facts = against_baseline(named, *served, valid, schema.task)
            if facts is not None:
                training["baseline"] = facts
                told.append(baseline_words(config.net, facts))
        if start is not None:
            training["from"] = start.bundle.version
            training["replayed"] = len(rows) - len(log)
            training["grown"] = {
                name: grown._asdict() for name, grown in start.grown(vocabularies).items()
            }
        kept = sample(valid, config.validation_rows, seed) if config.validation_rows else None
        manifest, parity = pack(
            directory,
            trained.net,
            config.net,
            vocabularies,
            encoder,
            calibration,
            parts,
            training,
            fed,
            kept,
        )
    if checkpoint is not None:
        checkpoint.remove()
    if keep_optimiser and moments is not None and moments.states:
        moments.write(moments_path(out), manifest.version)
        told.append(f"optimiser: {moments_path(out)}")
    return Fitted(manifest, trained.epochs, parity, trained.interrupted, told)


def encode(encoder: Encoder, log: Log) -> Encoded:
    """A log's rows, encoded as a request's are.

    Raises:
        DataError: a value that its field cannot hold; names the row, counted from 1.
    """
    try:
        return encoder.encode_columns(log.columns, len(log))
    except InputError as error:
        row = "" if error.row is None else f", row {error.row + 1}"
        raise DataError(f"{log.source}{row}: {error}") from error


def examples(encoded: Encoded, log: Log, task: str = "click") -> Examples:
    """Encoded rows with the labels and weights of their log, and its groups for task ranking."""
    return Examples.of(encoded, log.labels, log.weights, log.group if task == "ranking" else None)


def objective_of(config: Config, schema: Schema) -> Objective:
    """What the schema's task is fitted by.

    Raises:
        ConfigError: a rate of negatives for a task that has none.
    """
    rate = config.negatives_rate * config.negatives_kept
    if schema.task != "click" and rate != 1:
        raise ConfigError(f"a rate of negatives is for task click, and this is {schema.task}")
    return Objective(schema.task, config.loss, float(np.log(rate)))


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


@dataclass(frozen=True)
class Steps:
    """What the steps of a fit share.

    Every epoch is judged with its level settled. So the epoch that is kept has won as it will be
    served, and the step that goes on from it begins at the very loss that it was chosen by.
    """

    config: Config
    encoder: Encoder
    train: Examples
    valid: Examples
    watcher: Watcher
    objective: Objective = CLICK
    checkpoint: Checkpoint | None = None
    moments: Moments | None = None  # of the last step, see `run_step`

    def first(self, name: str) -> tuple[Net, list[Epoch], bool]:
        """The step `fit` of a net of its own; see `run_step`."""
        net = new_net(name, self.encoder, self.config)
        with torch.no_grad():
            net.bias.fill_(self.objective.start(self.train))
        return net, *self._run(name, net, self.config.fit)

    def last(self, net: Net, mend: Callable[[Net], None] | None = None) -> tuple[list[Epoch], bool]:
        """The step that ends a fit of the configured net, in place; see `run_step`."""
        return self._run(self.config.net, net, self.config.last_step, mend)

    def _run(
        self, name: str, net: Net, step: Step, mend: Callable[[Net], None] | None = None
    ) -> tuple[list[Epoch], bool]:
        def mended(net: Net) -> None:
            if mend is not None:
                mend(net)
            if self.objective.task == "click":
                settle_level(net, self.train, self.valid, self.objective.log_rate)

        drop = _unknown_drop(self.encoder, step.unknown_rate)
        how = self.watcher, self.objective, mended, self.checkpoint
        moments = self.moments if name == self.config.net else None
        return run_step(name, net, step, self.train, self.valid, drop, *how, moments)


def fit_net(steps: Steps) -> Trained:
    """Fit the configured net in its steps.

    A net with attention goes on from a fitted FM: the paper's pre-training (section 4.1).
    """
    config, train = steps.config, steps.train
    if not config.first_steps:
        return Trained(*steps.first(config.net))
    epochs: list[Epoch] = []
    best: tuple[float, str, Net, NDArray[np.float32]] | None = None
    for name in config.first_steps:
        fitted, more, interrupted = steps.first(name)
        epochs += more
        first = logits(fitted, steps.valid)
        loss = steps.objective.judge(first, steps.valid).loss
        if best is None or loss < best[0]:
            best = loss, name, fitted, first
        if interrupted:
            break
    assert best is not None  # noqa: S101  there is a first step
    _, base, fitted, first = best
    net = new_net(config.net, steps.encoder, config)
    net.start_from(fitted, train.ids[SAMPLE], train.values[SAMPLE])
    if not interrupted:
        more, interrupted = steps.last(net)
        epochs += more
    return Trained(net, epochs, interrupted, first, base)


def new_net(name: str, encoder: Encoder, config: Config) -> Net:
    """A net of the configured sizes over the encoder's table, as it is before its first step."""
    settings = Settings(
        config.embedding,
        config.attention_size,
        config.init_std,
        config.ffm_embedding,
        config.hidden,
        **config.afm_plus.model_dump(exclude={"start"}),
    )
    return build(name, encoder.rows, encoder.slot_fields, settings)


def _unknown_drop(encoder: Encoder, rate: float) -> UnknownDrop:
    unknown = torch.from_numpy(encoder.offsets + UNKNOWN)
    first = np.where(encoder.droppable, encoder.offsets + FIRST, encoder.rows)
    return UnknownDrop(unknown, torch.from_numpy(first), rate)
