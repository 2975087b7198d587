"""`afm-train fit`: logs and a schema in, a bundle out."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.bundle import new_bundle
from model.encoding import Encoded, Encoder
from model.errors import ConfigError, DataError, InputError
from model.manifest import Calibration, Manifest
from model.nets import Net, Settings, build
from model.schema import Schema
from model.vocabulary import FIRST, UNKNOWN, fit_vocabulary
from training.calibration import calibrate
from training.config import Config
from training.data import Log, require_contrast, sample_negatives, split, weigh_negatives
from training.examples import Examples
from training.loop import CLICK, Epoch, UnknownDrop, Watcher, logits, run_step
from training.objective import Objective
from training.pack import pack
from training.untrained import settle_untrained
from training.warm_start import KeptRows, WarmStart

SAMPLE = slice(0, 1000)  # rows that set the scales attention starts with


@dataclass(frozen=True)
class Fitted:
    """What a fit came to."""

    manifest: Manifest
    epochs: list[Epoch]
    parity: float  # largest difference of a logit between torch and onnxruntime
    interrupted: bool


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
) -> Fitted:
    """Fit a net and write its bundle; without `valid`, a part of `log` is held out for it. With
    `start`, go on from its bundle.

    The same seed and data give the same weights, bit for bit, on one machine.

    Raises:
        ConfigError: a rate of negatives for a task that has none, or `start` is of another net.
        DataError: a log that cannot be trained on.
        BundleError: `out` exists or cannot be written, or `start` is of another schema.
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
            vocabularies = start.grow(schema, train)
        encoder = Encoder(schema, vocabularies)
        parts = {"valid": (encode(encoder, valid), valid)}
        if test is not None:
            parts["test"] = (encode(encoder, test), test)
        held_out = examples(*parts["valid"], schema.task)
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        fed = encode(encoder, train)
        seen = examples(fed, train, schema.task)
        if start is None:
            net, epochs, interrupted = fit_net(config, encoder, seen, held_out, watcher, objective)
            settle_untrained(net, encoder, seen, unknown_fed=config.fit.unknown_rate > 0)
        else:
            net = new_net(config.net, encoder, config)
            start.load(net, vocabularies)
            keep = KeptRows(net, encoder, seen, unknown_fed=config.last_step.unknown_rate > 0)
            epochs, interrupted = last_step(
                net, config, encoder, seen, held_out, watcher, objective, keep
            )
        training: dict[str, Any] = {
            "seed": seed,
            "config": config.model_dump(mode="json"),
            "criterion": objective.criterion,
            "epochs": [asdict(epoch) for epoch in epochs],
        }
        calibration = None
        if schema.task == "click":
            calibration, training["calibration"] = _calibration(net, held_out, config, seed)
        if start is not None:
            training["from"] = start.bundle.version
            training["replayed"] = len(rows) - len(log)
            training["grown"] = {
                name: grown._asdict() for name, grown in start.grown(vocabularies).items()
            }
        manifest, parity = pack(
            directory, net, config.net, vocabularies, encoder, calibration, parts, training, fed
        )
    return Fitted(manifest, epochs, parity, interrupted)


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
    net: Net, valid: Examples, config: Config, seed: int
) -> tuple[Calibration, dict[str, object]]:
    # the function, and what the manifest says of its choice
    rate = config.negatives_rate * config.negatives_kept
    found = calibrate(
        logits(net, valid).astype(np.float64),
        valid.labels.double().numpy(),
        valid.weights.double().numpy(),
        config.calibration,
        rate,
        seed,
    )
    return found.calibration, {"kind": found.kind, "cross_validated_logloss": dict(found.losses)}


def fit_net(
    config: Config,
    encoder: Encoder,
    train: Examples,
    valid: Examples,
    watcher: Watcher,
    objective: Objective = CLICK,
) -> tuple[Net, list[Epoch], bool]:
    """Fit the configured net in its steps; returns it, its epochs, and whether Ctrl-C ended it.

    A net with attention goes on from a fitted FM: the paper's pre-training (section 4.1).
    """
    net = new_net(config.first_step, encoder, config)
    with torch.no_grad():
        net.bias.fill_(objective.start(train))
    if config.first_step == config.net:
        return net, *last_step(net, config, encoder, train, valid, watcher, objective)
    drop = _unknown_drop(encoder, config.fit.unknown_rate)
    epochs, interrupted = run_step(
        config.first_step, net, config.fit, train, valid, drop, watcher, objective
    )
    fitted, net = net, new_net(config.net, encoder, config)
    net.start_from(fitted, train.ids[SAMPLE], train.values[SAMPLE])
    if not interrupted:
        more, interrupted = last_step(net, config, encoder, train, valid, watcher, objective)
        epochs += more
    return net, epochs, interrupted


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


def last_step(
    net: Net,
    config: Config,
    encoder: Encoder,
    train: Examples,
    valid: Examples,
    watcher: Watcher,
    objective: Objective = CLICK,
    mend: Callable[[Net], None] | None = None,
) -> tuple[list[Epoch], bool]:
    """The step that ends a fit of the configured net, in place; returns its epochs, and whether
    Ctrl-C ended it. `mend`: see `run_step`.
    """
    step = config.last_step
    drop = _unknown_drop(encoder, step.unknown_rate)
    return run_step(config.net, net, step, train, valid, drop, watcher, objective, mend)


def _unknown_drop(encoder: Encoder, rate: float) -> UnknownDrop:
    unknown = torch.from_numpy(encoder.offsets + UNKNOWN)
    first = np.where(encoder.droppable, encoder.offsets + FIRST, encoder.rows)
    return UnknownDrop(unknown, torch.from_numpy(first), rate)
