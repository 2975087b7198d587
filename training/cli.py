"""`afm-train`: the offline commands. Results go to stdout, progress and errors to stderr."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model.command import run
from model.errors import ConfigError

if TYPE_CHECKING:
    from model.schema import Schema
    from training.data.files import Data
    from training.data.log import Log
    from training.state.warm_start import WarmStart

NETS = ("lr", "fm", "fwfm", "ffm", "nfm", "afm", "afm+")  # model.nets has them, and torch with it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    return run(_parser(), argv, "interrupted, nothing written")


# Each command imports what it needs: torch takes seconds, and `schema` or `--help` do without.


def _schema(arguments: argparse.Namespace) -> None:
    from training.draft.draft_schema import write_draft

    columns = {role: getattr(arguments, role) for role in ("weight", "group", "time")}
    drop = arguments.drop
    print(write_draft(_data(arguments), arguments.label, arguments.out, drop=drop, **columns))


def _simulate(arguments: argparse.Namespace) -> None:
    from training.simulate.simulation import write_simulation

    seed = _seed("--seed", arguments.seed)
    write_simulation(arguments.out, arguments.rows, seed, arguments.unseen)
    print(f"{arguments.out}: train.parquet, test.parquet, schema.toml, truth.json")


def _fit(arguments: argparse.Namespace) -> None:
    from model.schema import Schema
    from training.config import Config
    from training.data.folds import hold_out_test
    from training.data.read_log import read_log
    from training.fit.fit import fit
    from training.fit.malloc import keep_freed_memory
    from training.fit.progress import watcher
    from training.state.checkpoint import Checkpointing

    keep_freed_memory()
    seed = _seed("--seed", arguments.seed)
    schema = Schema.load(arguments.schema).without(arguments.drop_field)
    start = _warm_start(arguments, schema)
    config = Config.load(arguments.config)
    if start is not None and arguments.config is None:
        config = start.config()
    chosen = {
        "net": arguments.net,
        "negatives_rate": _rate("--negatives-rate", arguments.negatives_rate),
        "negatives_kept": _rate("--negatives-kept", arguments.negatives_kept),
    }
    config = config.model_copy(update={key: value for key, value in chosen.items() if value})
    if start is not None:
        start.check(schema, config)  # before the log is read
    log = read_log(_data(arguments), schema)
    valid = _read(arguments.valid, schema, arguments)
    test = _read(arguments.test, schema, arguments)
    if (share := _rate("--test-share", arguments.test_share)) is not None:
        if test is not None or share == 1:
            raise ConfigError("--test-share: a number below 1, and not beside --test")
        log, test = hold_out_test(log, schema, share, seed)
    if arguments.checkpoint_seconds < 0:
        raise ConfigError(f"--checkpoint-seconds {arguments.checkpoint_seconds:g}: 0 or more")
    kept = Checkpointing(arguments.resume, arguments.checkpoint_seconds)
    parts = log, valid, test
    fitted = fit(
        *(*parts, schema, config, arguments.out, seed, watcher(), start),
        checkpointing=kept,
        keep_optimiser=arguments.keep_optimiser,
    )
    if start is not None:
        print(start.told(fitted.manifest, config))
    for part, measured in fitted.manifest.metrics.items():
        shown = "  ".join(
            f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
            for name, value in measured.items()
            if value is not None
        )
        print(f"{part}: {shown}")
    for line in fitted.told:
        print(line)
    print(f"parity: torch and onnxruntime agree to {fitted.parity:.1g}")
    print(f"{arguments.out}: {fitted.manifest.net}, version {fitted.manifest.version}")


def _warm_start(arguments: argparse.Namespace, schema: "Schema") -> "WarmStart | None":
    from training.state.warm_start import REPLAY_SHARE, WarmStart

    replay, share = arguments.replay, arguments.replay_share
    if arguments.start is None and replay is not None:
        raise ConfigError("--replay: goes with --from BUNDLE")
    if replay is None and share is not None:
        raise ConfigError("--replay-share: goes with --replay OLD_LOG")
    if arguments.start is None and arguments.optimiser is not None:
        raise ConfigError("--optimiser: goes with --from BUNDLE")
    if arguments.start is None:
        return None
    start = WarmStart.open(arguments.start)
    if arguments.optimiser is not None:
        start = start.with_optimiser(arguments.optimiser)
    old = _read(replay, schema, arguments)
    return start.with_replay(old, REPLAY_SHARE if share is None else share)


def _evaluate(arguments: argparse.Namespace) -> None:
    from training.evaluation.evaluate import evaluate, without_contrast

    if arguments.bootstrap < 0:
        raise ConfigError(f"--bootstrap {arguments.bootstrap}: 0 or more")
    kept = _rate("--negatives-kept", arguments.negatives_kept) or 1.0
    measured = evaluate(arguments.bundle, _data(arguments), arguments.by, arguments.bootstrap, kept)
    print(json.dumps(measured))
    _warn(measured["warnings"])
    if (said := without_contrast(measured)) is not None:
        print(f"afm-train: {said}", file=sys.stderr)


def _predict(arguments: argparse.Namespace) -> None:
    from training.evaluation.evaluate import predict

    rows, warnings = predict(arguments.bundle, _data(arguments), arguments.out, arguments.keep)
    _warn(warnings)
    print(f"{arguments.out}: {rows} rows scored")


def _tune(arguments: argparse.Namespace) -> None:
    from model.schema import Schema
    from training.config import Config
    from training.data.read_log import read_log
    from training.fit.malloc import keep_freed_memory
    from training.search.tune import BEST, REPORT, tune
    from training.search.tune_report import printed, told

    keep_freed_memory()
    seed = _seed("--seed", arguments.seed)
    schema, config = Schema.load(arguments.schema), Config.load(arguments.config)
    if arguments.net:
        config = config.model_copy(update={"net": arguments.net})
    log = read_log(_data(arguments), schema)
    valid = _read(arguments.valid, schema, arguments)
    tuned = tune(
        log,
        valid,
        schema,
        config,
        arguments.out,
        seed,
        arguments.trials,
        arguments.minutes,
        lambda trial: print(told(trial), file=sys.stderr),
        lambda line: _warn([line]),
    )
    print(printed(tuned))
    if tuned.interrupted:
        print("interrupted: the same command goes on from here", file=sys.stderr)
    if tuned.best is not None:
        print(f"{arguments.out / BEST}: trial {tuned.best.number}; see {arguments.out / REPORT}")


def _compare(arguments: argparse.Namespace) -> None:
    from model.schema import Schema
    from training.compare.compare import compare
    from training.compare.compare_report import printed
    from training.config import Config
    from training.data.read_log import read_log
    from training.fit.malloc import keep_freed_memory
    from training.fit.progress import watcher

    keep_freed_memory()
    seeds = [_seed("--seeds", text) for text in arguments.seeds.split(",")]
    schema, config = Schema.load(arguments.schema), Config.load(arguments.config)
    nets = [net.strip() for net in arguments.nets.split(",")]
    log = read_log(_data(arguments), schema)
    valid = _read(arguments.valid, schema, arguments)
    test = _read(arguments.test, schema, arguments)

    def began(run: str) -> None:
        print(run, file=sys.stderr)

    out = arguments.out
    how = config, nets, seeds, out, watcher(), began, arguments.against
    compared = compare(log, valid, test, schema, *how)
    print(printed(compared))
    print(f"{out}: report.html, results.json and {len(compared.runs)} bundles")


def _data(arguments: argparse.Namespace) -> "Data":
    from training.data.files import data_of

    data = data_of(arguments.data, arguments.separator)
    assert data is not None  # noqa: S101  of an argument that takes one or more
    return data


def _read(
    paths: list[Path] | None, schema: "Schema", arguments: argparse.Namespace
) -> "Log | None":
    from training.data.files import data_of
    from training.data.read_log import read_log

    data = data_of(paths, arguments.separator)
    return None if data is None else read_log(data, schema)


def _warn(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"afm-train: warning: {line}", file=sys.stderr)


def _folds(arguments: argparse.Namespace) -> None:
    from model.schema import Schema
    from training.compare.folded import RESULTS, fit_folds, printed
    from training.config import Config
    from training.data.read_log import read_log
    from training.fit.malloc import keep_freed_memory
    from training.fit.progress import watcher

    keep_freed_memory()
    seed = _seed("--seed", arguments.seed)
    if arguments.folds < 2:
        raise ConfigError(f"--folds {arguments.folds}: 2 or more")
    schema, config = Schema.load(arguments.schema), Config.load(arguments.config)
    if arguments.net:
        config = config.model_copy(update={"net": arguments.net})
    log, out = read_log(_data(arguments), schema), arguments.out

    def began(fold: str) -> None:
        print(fold, file=sys.stderr)

    figures = fit_folds(log, schema, config, arguments.folds, out, seed, watcher(), began)
    print(printed(figures))
    print(f"{out}: {RESULTS} and {arguments.folds} bundles")


def _rate(option: str, text: str | None) -> float | None:
    try:
        rate = None if text is None else float(text)
    except ValueError:
        rate = 0.0
    if rate is not None and not 0 < rate <= 1:  # NaN is refused as well
        raise ConfigError(f"{option} {text}: a number above 0 and up to 1")
    return rate


def _seed(option: str, text: str) -> int:
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if not 0 <= seed < 2**63:  # what numpy and torch both take
        raise ConfigError(f"{option} {text!r}: a whole number from 0 to 2^63 - 1")
    return seed


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        type=Path,
        nargs="+",
        metavar="DATA",
        help="files, folders or patterns of CSV, TSV, JSON lines or Parquet, one log",
    )
    parser.add_argument("--separator", metavar="MARK", help="between the cells of CSV files")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="afm-train", description="Train and evaluate AFM models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    draft = commands.add_parser("schema", help="draft a schema from a CSV or Parquet file")
    _add_data(draft)
    draft.add_argument("--label", required=True, metavar="NAME")
    draft.add_argument("--out", required=True, type=Path)
    draft.add_argument("--drop", action="append", default=[], metavar="COLUMN")
    for role in ("weight", "group", "time"):
        draft.add_argument(f"--{role}", metavar="COLUMN")
    draft.set_defaults(run=_schema)

    simulate = commands.add_parser("simulate", help="draw an ad log with planted pair effects")
    simulate.add_argument("--rows", type=int, default=200_000, metavar="N")
    simulate.add_argument("--seed", default="1", metavar="S")
    simulate.add_argument("--unseen", type=float, default=0.05, metavar="SHARE")
    simulate.add_argument("--out", required=True, type=Path, metavar="DIR")
    simulate.set_defaults(run=_simulate)

    fit = commands.add_parser("fit", help="train, evaluate and export a bundle")
    _add_data(fit)
    fit.add_argument("--schema", required=True, type=Path)
    fit.add_argument("--out", required=True, type=Path, metavar="BUNDLE")
    fit.add_argument("--net", choices=NETS, help="default: the config's, else afm")
    fit.add_argument(
        "--valid", type=Path, action="append", help="default: a part of DATA is held out"
    )
    fit.add_argument("--test", type=Path, action="append", help="evaluated once, at the end")
    fit.add_argument(
        "--test-share",
        metavar="SHARE",
        help="of DATA, tested on instead: the latest rows where the schema has a time",
    )
    fit.add_argument("--seed", default="1", metavar="S")
    fit.add_argument("--config", type=Path, help="TOML; see training/config.py for its keys")
    fit.add_argument(
        "--drop-field",
        action="append",
        default=[],
        metavar="NAME",
        help="fit without this field of the schema; may be given several times",
    )
    fit.add_argument(
        "--negatives-rate", metavar="RATE", help="of the training part's negatives, drawn by chance"
    )
    fit.add_argument(
        "--negatives-kept", metavar="RATE", help="of their negatives, that all logs given hold"
    )
    fit.add_argument(
        "--from", dest="start", type=Path, metavar="BUNDLE", help="go on from it, on newer rows"
    )
    fit.add_argument(
        "--resume", action="store_true", help="go on with a fit of BUNDLE that was killed"
    )
    fit.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=30.0,
        metavar="S",
        help="keep BUNDLE.checkpoint to resume from, at most so often; 0: each epoch",
    )
    fit.add_argument(
        "--replay", type=Path, action="append", metavar="OLD_LOG", help="older rows to mix in"
    )
    fit.add_argument(
        "--replay-share",
        type=float,
        metavar="SHARE",
        help="of the rows trained on, drawn from OLD_LOG; default 0.2",
    )
    fit.add_argument(
        "--keep-optimiser", action="store_true", help="write BUNDLE.optimiser.npz, Adam's moments"
    )
    fit.add_argument(
        "--optimiser", type=Path, metavar="FILE", help="of the bundle --from: Adam goes on from it"
    )
    fit.set_defaults(run=_fit)

    evaluate = commands.add_parser("evaluate", help="metrics of a bundle on a log, as JSON")
    evaluate.add_argument("bundle", type=Path, metavar="BUNDLE")
    _add_data(evaluate)
    evaluate.add_argument(
        "--by", metavar="COLUMN", help="also by the values of this field or other column"
    )
    evaluate.add_argument(
        "--bootstrap", type=int, default=200, metavar="N", help="resamples for intervals; 0: none"
    )
    evaluate.add_argument(
        "--negatives-kept", metavar="RATE", help="of its negatives, that DATA holds"
    )
    evaluate.set_defaults(run=_evaluate)

    predict = commands.add_parser(
        "predict", help="probabilities or scores of a log's rows, in its order"
    )
    predict.add_argument("bundle", type=Path, metavar="BUNDLE")
    _add_data(predict)
    predict.add_argument("--out", required=True, type=Path, metavar="FILE")
    predict.add_argument(
        "--keep", action="append", default=[], metavar="COLUMN", help="of DATA, beside the scores"
    )
    predict.set_defaults(run=_predict)

    compare = commands.add_parser("compare", help="several nets and seeds on one split")
    _add_data(compare)
    compare.add_argument("--schema", required=True, type=Path)
    compare.add_argument("--out", required=True, type=Path, metavar="DIR")
    compare.add_argument(
        "--nets",
        default="fm,nfm,afm,afm+",
        help="default: %(default)s; others are held to the first",
    )
    compare.add_argument("--seeds", default="1,2,3")
    compare.add_argument(
        "--against",
        metavar="lightgbm",
        help="fit LightGBM on the same split, too: what does explaining cost?",
    )
    compare.add_argument(
        "--valid", type=Path, action="append", help="default: a part of DATA is held out"
    )
    compare.add_argument(
        "--test", type=Path, action="append", help="what the nets are judged on; default: valid"
    )
    compare.add_argument("--config", type=Path, help="TOML, for all nets")
    compare.set_defaults(run=_compare)

    folds = commands.add_parser("folds", help="one net on several parts of a log")
    _add_data(folds)
    folds.add_argument("--schema", required=True, type=Path)
    folds.add_argument("--out", required=True, type=Path, metavar="DIR")
    folds.add_argument("--net", choices=NETS, help="default: the config's, else afm")
    folds.add_argument(
        "--folds",
        type=int,
        default=5,
        metavar="K",
        help="default: %(default)s; with a time in the schema each is tested on what follows",
    )
    folds.add_argument("--seed", default="1", metavar="S")
    folds.add_argument("--config", type=Path, help="TOML; see training/config.py for its keys")
    folds.set_defaults(run=_folds)

    tune = commands.add_parser("tune", help="search for the settings of a net")
    _add_data(tune)
    tune.add_argument("--schema", required=True, type=Path)
    tune.add_argument("--out", required=True, type=Path, metavar="DIR", help="goes on if it exists")
    tune.add_argument("--net", choices=NETS, help="default: afm, or what --config says")
    tune.add_argument("--trials", type=int, help="of all runs together")
    tune.add_argument("--minutes", type=float, help="of this run; a trial is cut, and gone on with")
    tune.add_argument(
        "--valid", type=Path, action="append", help="default: a part of DATA is held out"
    )
    tune.add_argument("--seed", default="1", metavar="S")
    tune.add_argument("--config", type=Path, help="TOML: the first trial; what is not searched for")
    tune.set_defaults(run=_tune)
    return parser


if __name__ == "__main__":
    sys.exit(main())
