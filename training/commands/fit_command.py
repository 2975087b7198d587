"""`afm-train fit`: a log to a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from model.errors import ConfigError
from training.commands.options import (
    ConfigFile,
    LogFiles,
    Net,
    SchemaFile,
    Seed,
    Separator,
    TestFiles,
    ValidFiles,
    at_least,
    configuration,
    data_given,
    optional_log,
    rate,
)
from training.config import NetName

if TYPE_CHECKING:
    from model.schema import Schema
    from training.config import Config
    from training.fit.fit import Fitted
    from training.state.warm_start import WarmStart

Out = Annotated[Path, Option(metavar="BUNDLE", help="The bundle to write.")]
TestShare = Annotated[
    float | None,
    Option(
        parser=rate("--test-share"),
        metavar="SHARE",
        help="Test on this share of DATA: the latest rows if the schema has a time.",
    ),
]
Dropped = Annotated[
    list[str] | None,
    Option(metavar="NAME", help="Fit without this field of the schema; may be repeated."),
]
NegativesRate = Annotated[
    float | None,
    Option(
        parser=rate("--negatives-rate"),
        metavar="RATE",
        help="Train on this share of the negatives, drawn at random.",
    ),
]
NegativesKept = Annotated[
    float | None,
    Option(
        parser=rate("--negatives-kept"),
        metavar="RATE",
        help="The share of all negatives that the given logs hold.",
    ),
]
From = Annotated[
    Path | None, Option("--from", metavar="BUNDLE", help="Continue this bundle on newer rows.")
]
Resume = Annotated[bool, Option("--resume", help="Resume a fit of BUNDLE that was killed.")]
CheckpointSeconds = Annotated[
    float,
    Option(
        parser=at_least("--checkpoint-seconds", float, 0),
        metavar="S",
        help="Save BUNDLE.checkpoint at most this often; 0: after each epoch.",
    ),
]
Replay = Annotated[
    list[Path] | None, Option(metavar="OLD_LOG", help="Older rows to mix in; may be repeated.")
]
ReplayShare = Annotated[
    float | None,
    Option(metavar="SHARE", help="The share of training rows drawn from OLD_LOG. Default: 0.2."),
]
KeepOptimiser = Annotated[
    bool, Option("--keep-optimiser", help="Write BUNDLE.optimiser.npz, Adam's moments.")
]
Optimiser = Annotated[
    Path | None,
    Option(metavar="FILE", help="Adam's moments of the bundle --from, to continue with."),
]
Mlflow = Annotated[
    str | None,
    Option(metavar="URI", help="Log a run with the bundle to this MLflow server, or folder."),
]
TensorBoard = Annotated[
    Path | None, Option(metavar="DIR", help="Write event files for TensorBoard there.")
]


def fit(
    data: LogFiles,
    schema: SchemaFile,
    out: Out,
    net: Net = None,
    valid: ValidFiles = None,
    test: TestFiles = None,
    test_share: TestShare = None,
    seed: Seed = 1,
    config: ConfigFile = None,
    drop_field: Dropped = None,
    negatives_rate: NegativesRate = None,
    negatives_kept: NegativesKept = None,
    start: From = None,
    replay: Replay = None,
    replay_share: ReplayShare = None,
    optimiser: Optimiser = None,
    keep_optimiser: KeepOptimiser = False,
    resume: Resume = False,
    checkpoint_seconds: CheckpointSeconds = 30.0,
    separator: Separator = None,
    mlflow: Mlflow = None,
    tensorboard: TensorBoard = None,
) -> None:
    """Train, evaluate and export a bundle."""
    from model.schema import Schema
    from training.data.folds import hold_out_test
    from training.data.read_log import read_log
    from training.fit.fit import fit as fit_net
    from training.fit.malloc import keep_freed_memory
    from training.state.checkpoint import CheckpointOptions
    from training.tracking.tracked import tracked

    keep_freed_memory()
    fields = Schema.load(schema).without(drop_field or ())
    warm = _warm_start(start, replay, replay_share, optimiser, fields, separator)
    settings = _settings(config, warm, net, negatives_rate, negatives_kept)
    if warm is not None:
        warm.check(fields, settings)  # before the log is read
    with tracked(mlflow, tensorboard, out.name) as tracking:
        log = read_log(data_given(data, separator), fields)
        held_out = optional_log(valid, fields, separator)
        tested = optional_log(test, fields, separator)
        if test_share is not None:
            if tested is not None or test_share == 1:
                raise ConfigError("--test-share: a number below 1, and not beside --test")
            log, tested = hold_out_test(log, fields, test_share, seed)
        fitted = fit_net(
            *(log, held_out, tested, fields, settings, out, seed, tracking.watcher, warm),
            checkpointing=CheckpointOptions(resume, checkpoint_seconds),
            keep_optimiser=keep_optimiser,
        )
        said = tracking.ended(fitted, out)
    if warm is not None:
        print(warm.summary(fitted.manifest, settings))
    _print_figures(fitted)
    print(*said, f"{out}: {fitted.manifest.net}, version {fitted.manifest.version}", sep="\n")


def _warm_start(
    start: Path | None,
    replay: list[Path] | None,
    replay_share: float | None,
    optimiser: Path | None,
    schema: "Schema",
    separator: str | None,
) -> "WarmStart | None":
    from training.state.warm_start import REPLAY_SHARE, WarmStart

    if start is None and replay:
        raise ConfigError("--replay: goes with --from BUNDLE")
    if not replay and replay_share is not None:
        raise ConfigError("--replay-share: goes with --replay OLD_LOG")
    if start is None and optimiser is not None:
        raise ConfigError("--optimiser: goes with --from BUNDLE")
    if start is None:
        return None
    warm = WarmStart.open(start)
    if optimiser is not None:
        warm = warm.with_optimiser(optimiser)
    old = optional_log(replay, schema, separator)
    return warm.with_replay(old, REPLAY_SHARE if replay_share is None else replay_share)


def _settings(
    path: Path | None,
    warm: "WarmStart | None",
    net: NetName | None,
    negatives_rate: float | None,
    negatives_kept: float | None,
) -> "Config":
    from training.state.warm_start import completed

    config = configuration(path, None)
    if warm is not None:
        config = warm.config() if path is None else completed(config, warm.bundle)
    given = {"net": net, "negatives_rate": negatives_rate, "negatives_kept": negatives_kept}
    return config.model_copy(update={key: value for key, value in given.items() if value})


def _print_figures(fitted: "Fitted") -> None:
    for part, measured in fitted.manifest.metrics.items():
        shown = "  ".join(
            f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
            for name, value in measured.items()
            if value is not None
        )
        print(f"{part}: {shown}")
    for line in fitted.notes:
        print(line)
    print(f"parity: torch and onnxruntime agree to {fitted.parity:.1g}")
