"""`afm-train fit`: logs and a schema in, a bundle out."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.bundle import new_bundle
from model.encoding import Encoded, Encoder
from model.errors import DataError, InputError
from model.manifest import Manifest
from model.nets import Net, Settings, build
from model.schema import Schema
from model.vocabulary import FIRST, UNKNOWN, fit_vocabulary
from training.calibration import fit_calibration
from training.config import Config
from training.data import Log, require_two_classes, split
from training.loop import Epoch, Examples, UnknownDrop, Watcher, logits, run_step
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
        DataError: a log that cannot be trained on.
        BundleError: `out` exists or cannot be written, or `start` is of another schema.
        ConfigError: `start` is of another net.
        ParityError: the graphs do not score as the net does; nothing is written.
    """
    if start is not None:
        start.check(schema, config)
    with new_bundle(out) as directory:  # first: an `out` that exists must not cost a fit
        require_two_classes(log, "training")
        train = log
        if valid is None:
            train, valid = split(log, schema, share=config.valid_share, seed=seed)
        new = len(train)
        if start is None:
            vocabularies = {
                name: fit_vocabulary(field, train.columns[name])
                for name, field in schema.fields.items()
            }
        else:
            train = start.rows(train, seed)
            vocabularies = start.grow(schema, train)
        encoder = Encoder(schema, vocabularies)
        parts = {"valid": (encode(encoder, valid), valid)}
        if test is not None:
            parts["test"] = (encode(encoder, test), test)
        held_out = examples(*parts["valid"])
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        fed = encode(encoder, train)
        rows = examples(fed, train)
        if start is None:
            net, epochs, interrupted = fit_net(config, encoder, rows, held_out, watcher)
            settle_untrained(net, encoder, rows, unknown_fed=config.fit.unknown_rate > 0)
        else:
            net = new_net(config.net, encoder, config)
            start.load(net, vocabularies)
            keep = KeptRows(net, encoder, rows, unknown_fed=config.last_step.unknown_rate > 0)
            epochs, interrupted = last_step(net, config, encoder, rows, held_out, watcher, keep)
        calibration = fit_calibration(
            logits(net, held_out).astype(np.float64),
            held_out.labels.double().numpy(),
            held_out.weights.double().numpy(),
        )
        training: dict[str, Any] = {
            "seed": seed,
            "config": config.model_dump(),
            "epochs": [asdict(epoch) for epoch in epochs],
        }
        if start is not None:
            training["from"] = start.bundle.version
            training["replayed"] = len(train) - new
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


def examples(encoded: Encoded, log: Log) -> Examples:
    """Encoded rows with the labels and weights of their log."""
    return Examples.of(encoded, log.labels, log.weights)


def fit_net(
    config: Config, encoder: Encoder, train: Examples, valid: Examples, watcher: Watcher
) -> tuple[Net, list[Epoch], bool]:
    """Fit the configured net in its steps; returns it, its epochs, and whether Ctrl-C ended it.

    A net with attention goes on from a fitted FM: the paper's pre-training (section 4.1).
    """
    net = new_net(config.first_step, encoder, config)
    clicks = float((train.labels * train.weights).mean())
    with torch.no_grad():
        net.bias.fill_(float(np.log(clicks / (1 - clicks))))
    if config.first_step == config.net:
        return net, *last_step(net, config, encoder, train, valid, watcher)
    drop = _unknown_drop(encoder, config.fit.unknown_rate)
    epochs, interrupted = run_step(config.first_step, net, config.fit, train, valid, drop, watcher)
    fitted, net = net, new_net(config.net, encoder, config)
    net.start_from(fitted, train.ids[SAMPLE], train.values[SAMPLE])
    if not interrupted:
        more, interrupted = last_step(net, config, encoder, train, valid, watcher)
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
    mend: Callable[[Net], None] | None = None,
) -> tuple[list[Epoch], bool]:
    """The step that ends a fit of the configured net, in place; returns its epochs, and whether
    Ctrl-C ended it. `mend`: see `run_step`.
    """
    step = config.last_step
    drop = _unknown_drop(encoder, step.unknown_rate)
    return run_step(config.net, net, step, train, valid, drop, watcher, mend)


def _unknown_drop(encoder: Encoder, rate: float) -> UnknownDrop:
    unknown = torch.from_numpy(encoder.offsets + UNKNOWN)
    first = np.where(encoder.droppable, encoder.offsets + FIRST, encoder.rows)
    return UnknownDrop(unknown, torch.from_numpy(first), rate)
