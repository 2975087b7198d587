"""`afm-train fit`: a log to a bundle."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from model.errors import ConfigError
from training.commands.options import (
    ConfigFile,
    LogFiles,
    Net,
    Readers,
    SchemaFile,
    Seed,
    Separator,
    Stream,
    TestFiles,
    ValidFiles,
    at_least,
    device,
    rate,
)
from training.commands.ray_options import without_ray

if TYPE_CHECKING:
    from training.fit.fit import Fitted
    from training.fit.request import CheckedRequest
    from training.fit.step.watcher import Watcher

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
        help="Save BUNDLE.checkpoint at most this often; 0: after each epoch, not within.",
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
OnePass = Annotated[
    bool,
    Option(
        "--one-pass",
        help="With --stream: one epoch in DATA's order, each row scored before it is trained on.",
    ),
]
Device = Annotated[
    str | None,
    Option(
        parser=device("--device"),
        metavar="NAME",
        help="Fit on this CUDA device: cuda, or cuda:1. Default: the configuration's, else cpu.",
    ),
]
Mlflow = Annotated[
    str | None,
    Option(metavar="URI", help="Log a run with the bundle to this MLflow server, or folder."),
]
TensorBoard = Annotated[
    Path | None, Option(metavar="DIR", help="Write event files for TensorBoard there.")
]
Ray = Annotated[
    str | None,
    Option(metavar="ADDRESS", help="Fit on this Ray cluster; local: one of this machine alone."),
]
Workers = Annotated[
    int,
    Option(
        parser=at_least("--workers", int, 1),
        metavar="N",
        help="With --ray, how many processes share the fit, each on one core.",
    ),
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
    stream: Stream = False,
    readers: Readers = None,
    one_pass: OnePass = False,
    device: Device = None,
    mlflow: Mlflow = None,
    tensorboard: TensorBoard = None,
    ray: Ray = None,
    workers: Workers = 1,
) -> None:
    """Train, evaluate and export a bundle."""
    from training.fit.request import request_of
    from training.state.checkpoint import CheckpointOptions
    from training.tracking.tracked import tracked

    checked = request_of(
        *(data, valid, test, replay, separator),
        schema=schema,
        out=out,
        net=net,
        test_share=test_share,
        seed=seed,
        config=config,
        drop_field=drop_field or (),
        negatives_rate=negatives_rate,
        negatives_kept=negatives_kept,
        start=start,
        replay_share=replay_share,
        optimiser=optimiser,
        keep_optimiser=keep_optimiser,
        checkpointing=CheckpointOptions(resume, checkpoint_seconds),
        stream=stream,
        readers=readers,
        one_pass=one_pass,
        device=device,
    ).checked()
    with tracked(mlflow, tensorboard, out.name) as tracking:
        fitted = _fitted(checked, ray, workers, tracking.watcher)
        said = tracking.ended(fitted, out)
    _print_figures(fitted, checked.summary(fitted), said, out)


def _fitted(
    checked: "CheckedRequest", address: str | None, workers: int, watcher: "Watcher"
) -> "Fitted":
    if address is None:
        return checked.fit(watcher)
    if checked.request.one_pass:  # whose rows are scored by the whole tables, before each batch
        raise ConfigError("--one-pass: not with --ray")
    try:
        from training.cluster.ray_fit import fit_on_ray
    except ModuleNotFoundError as error:
        raise without_ray(error) from None
    return fit_on_ray(checked.request, address, workers, watcher)


def _print_figures(
    fitted: "Fitted", summary: Sequence[str], said: Sequence[str], out: Path
) -> None:
    for line in summary:
        print(line)
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
    print(*said, f"{out}: {fitted.manifest.net}, version {fitted.manifest.version}", sep="\n")
