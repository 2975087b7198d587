"""`afm-train compare`, `folds` and `tune`: many fits of one log."""

from pathlib import Path
from typing import Annotated

from typer import Option

from training.commands import options
from training.commands.ray_options import Ray, Workers, done_by


def compare(
    data: options.LogFiles,
    schema: options.SchemaFile,
    out: options.OutFolder,
    nets: Annotated[
        str, Option(metavar="NAMES", help="Nets; the others are compared with the first.")
    ] = "fm,nfm,afm,afm+",
    seeds: Annotated[
        str, Option(metavar="S,S", help="Each net is fitted with each seed.")
    ] = "1,2,3",
    against: Annotated[
        str | None,
        Option(
            metavar="lightgbm",
            help="Fit LightGBM on the same split, too.",
        ),
    ] = None,
    valid: options.ValidFiles = None,
    test: options.TestFiles = None,
    config: options.ConfigFile = None,
    separator: options.Separator = None,
    stream: options.Stream = False,
    readers: options.Readers = None,
    ray: Ray = None,
    workers: Workers = None,
) -> None:
    """Compare nets on one split, each fitted with several seeds."""
    from training.compare.compare import compare as compare_nets
    from training.compare.compare_report import printed
    from training.fit.step.progress import watcher
    from training.fit.step.watcher import Watcher
    from training.stream.asked import check_stream

    numbers = [options.seed("--seeds")(text) for text in seeds.split(",")]
    names = [name.strip() for name in nets.split(",")]
    check_stream(stream, readers, {"--ray": ray, "--against": against})
    shown = watcher() if ray is None else Watcher()  # many fits at once show no progress
    given = data, schema, config, None, separator
    fields, settings, log = options.fit_inputs(*given, stream, readers, shown.said)
    held_out = options.optional_log(valid, fields, separator)
    tested = options.optional_log(test, fields, separator)
    how = settings, names, numbers, out, shown, options.print_progress, against
    with done_by(ray, workers) as doing:
        compared = compare_nets(log, held_out, tested, fields, *how, doing)
    print(printed(compared))
    print(f"{out}: report.html, results.json and {len(compared.runs)} bundles")


def folds(
    data: options.LogFiles,
    schema: options.SchemaFile,
    out: options.OutFolder,
    net: options.Net = None,
    folds: Annotated[
        int,
        Option(
            parser=options.at_least("--folds", int, 2),
            metavar="K",
            help="How many; with a time in the schema each is tested on later rows.",
        ),
    ] = 5,
    seed: options.Seed = 1,
    config: options.ConfigFile = None,
    separator: options.Separator = None,
) -> None:
    """Fit one net on several parts of a log, and test it on the rest."""
    from training.compare.folded import RESULTS, fit_folds, printed
    from training.fit.step.progress import watcher

    fields, settings, log = options.read_inputs(data, schema, config, net, separator)
    figures = fit_folds(log, fields, settings, folds, out, seed, watcher(), options.print_progress)
    print(printed(figures))
    print(f"{out}: {RESULTS} and {folds} bundles")


def tune(
    data: options.LogFiles,
    schema: options.SchemaFile,
    out: Annotated[
        Path,
        Option(metavar="DIR", help="The folder to write; a search that is in it is continued."),
    ],
    net: options.Net = None,
    trials: Annotated[
        int | None, Option(metavar="N", help="The trials of all runs together.")
    ] = None,
    minutes: Annotated[
        float | None,
        Option(metavar="M", help="The time of this run; a trial that is cut is continued."),
    ] = None,
    valid: options.ValidFiles = None,
    seed: options.Seed = 1,
    config: options.ConfigFile = None,
    separator: options.Separator = None,
    together: Annotated[
        int,
        Option(
            "--round",
            parser=options.at_least("--round", int, 1),
            metavar="N",
            help="Trials of a round: drawn from what the rounds before came to.",
        ),
    ] = 5,
    stream: options.Stream = False,
    readers: options.Readers = None,
    ray: Ray = None,
    workers: Workers = None,
) -> None:
    """Search for the settings of a net."""
    from training.search.tune import BEST, REPORT, material_for
    from training.search.tune import tune as search
    from training.search.tune_report import format_trial, printed
    from training.stream.asked import check_stream

    check_stream(stream, readers, {"--ray": ray})
    given = data, schema, config, net, separator
    said = options.print_progress
    fields, settings, log = options.fit_inputs(*given, stream, readers, said)
    held_out = options.optional_log(valid, fields, separator)
    material = material_for(log, held_out, fields, settings, seed)
    with done_by(ray, workers) as doing:
        tuned = search(
            *(material, settings, out, seed, trials, minutes),
            ended=lambda trial: options.print_progress(format_trial(trial)),
            warned=lambda line: options.print_warnings([line]),
            size=together,
            doing=doing,
        )
    print(printed(tuned))
    if tuned.interrupted:
        options.print_progress("interrupted: run the same command again to continue")
    if tuned.best is not None:
        print(f"{out / BEST}: trial {tuned.best.number}; see {out / REPORT}")
