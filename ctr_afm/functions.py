"""`fit`, `evaluate` and `explain`: the commands of these names, for frames."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctr_afm.bundle import Bundle, opened_there, temporary_directory
from ctr_afm.frames import Files, Frame, Rows, table_of
from model.errors import ConfigError, SchemaError
from model.files.toml_files import parse
from model.schema import Schema

if TYPE_CHECKING:
    from training.config import Config
    from training.data.table import Given

SchemaLike = Schema | Mapping[str, Any] | str | Path


def fit(
    data: Frame | Rows | Files,
    schema: SchemaLike | None = None,
    *,
    label: str | None = None,
    out: str | Path | None = None,
    valid: Frame | Rows | Files | None = None,
    test: Frame | Rows | Files | None = None,
    net: str | None = None,
    config: Mapping[str, Any] | str | Path | None = None,
    seed: int = 1,
    progress: bool = True,
) -> Bundle:
    """Fit a net on a log and write its bundle, as `afm-train fit` does. The state of torch's random
    numbers is left as it was.

    Args:
        data: the log: a frame of polars, pandas or Arrow, rows, or paths of files.
        schema: a schema, its keys, or the path of a file; None drafts one, as `afm-train schema`
            does.
        label: the column of clicks, for a draft.
        out: the directory to write; None for a temporary one, which goes with the bundle.
        valid: rows that choose the epoch; None holds out a part of `data`.
        test: rows for the metrics.
        net: the net; None for the configuration's.
        config: keys of a training configuration, or the path of its file.
        seed: of all random numbers.
        progress: whether epochs and warnings are shown on stderr.

    Raises:
        SchemaError, ConfigError, DataError: what cannot be used, and why.
        BundleError: `out` exists, or cannot be written.
    """
    from training.data.read_log import read_log
    from training.fit.fit import fit as fit_net
    from training.fit.step.progress import watcher
    from training.fit.step.watcher import Watcher

    log = table_of(data)
    fields = drafted(log, label) if schema is None else schema_of(schema)
    settings = _config_of(config, net)
    held_out = None if valid is None else read_log(table_of(valid), fields)
    tested = None if test is None else read_log(table_of(test), fields)
    directory = temporary_directory() if out is None else Path(out)
    with _own_random_numbers():
        watching = watcher() if progress else Watcher()
        rows = read_log(log, fields)
        fit_net(rows, held_out, tested, fields, settings, directory, seed, watching)
    return opened_there(directory) if out is None else Bundle.open(directory)


def evaluate(
    bundle: Bundle | str | Path,
    data: Frame | Rows | Files,
    by: str | None = None,
    *,
    resamples: int = 200,
    negatives_kept: float = 1.0,
) -> dict[str, Any]:
    """The metrics of a bundle on a labelled log, as `afm-train evaluate` prints them.

    Args:
        bundle: a bundle, or its directory.
        data: the log, with the label's column.
        by: a field or a column: "slices" has the metrics of each of its values.
        resamples: of the bootstrap for "intervals"; 0: none.
        negatives_kept: the share of all negatives that `data` holds.

    Raises:
        BundleError, DataError, ConfigError: what cannot be used, and why.
    """
    from training.evaluation.evaluate import evaluate as evaluate_log

    directory = bundle.directory if isinstance(bundle, Bundle) else Path(bundle)
    return evaluate_log(directory, table_of(data), by, resamples, negatives_kept)


def explain(
    bundle: Bundle | str | Path, rows: Frame | Rows, top: int | None = 20
) -> list[dict[str, Any]]:
    """Each row's score taken apart, as /explain answers: bias + linear + pairs + rest = logit.

    Args:
        bundle: a bundle, or its directory.
        rows: a frame, or a list of rows as /predict takes them.
        top: how many pairs of a row are listed, largest contribution first; None: all.

    Raises:
        BundleError, DataError, InputError: see `Bundle.open` and `Bundle.predict`.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    return opened.explanations(rows, top)


def schema_of(given: SchemaLike) -> Schema:
    """A schema, by itself, by its keys, or by the path of its file.

    Raises:
        SchemaError: it makes no sense.
    """
    if isinstance(given, Schema):
        return given
    if isinstance(given, Mapping):
        return parse(Schema, _toml(given), "schema", SchemaError)
    return Schema.load(Path(given))


def drafted(log: "Given", label: str | None, weight: str | None = None) -> Schema:
    """A draft for a log; what it leaves out is said in a warning.

    Raises:
        SchemaError: no label is named.
        DataError: a log that none can be drafted for.
    """
    from training.draft.draft_schema import draft_schema, left_out

    if label is None:
        raise SchemaError("give a schema, or the label's column, for which one is drafted")
    text = draft_schema(log, label, weight=weight)
    if lines := left_out(text):
        warnings.warn(f"the drafted schema leaves out:\n{lines}", stacklevel=3)
    return Schema.parse(text)


def _config_of(given: Mapping[str, Any] | str | Path | None, net: str | None) -> "Config":
    from training.config import NETS, Config

    if isinstance(given, Mapping):
        config = parse(Config, _toml(given), "config", ConfigError)
    else:
        config = Config.load(None if given is None else Path(given))
    if net is None:
        return config
    if net not in NETS:
        raise ConfigError(f"net {net!r}: one of {', '.join(NETS)}")
    return config.model_copy(update={"net": net})


def _toml(keys: Mapping[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(keys)


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    import torch

    deterministic = torch.get_deterministic_debug_mode()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(deterministic)
