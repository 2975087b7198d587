"""`afm-train compare`: several nets, each with several seeds, on one split of one log."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from model.bundle.bundle import Bundle
from model.bundle.write import new_bundle
from model.errors import ConfigError
from model.metrics.bootstrap import resample
from model.nets import NETS
from model.schema import Schema
from training.compare.compare_report import comparison_report
from training.compare.comparison import Comparison, Run, as_json
from training.compare.peer import fit_peer, require_peer
from training.config import Config
from training.data.log import Log, encode
from training.data.parts import weigh_negatives
from training.fit.fit import fit
from training.fit.prepare import held_out
from training.fit.step.objective import objective_of
from training.fit.step.watcher import Watcher
from training.report.score_sections import Scored


def compare(
    log: Log,
    valid: Log | None,
    test: Log | None,
    schema: Schema,
    config: Config,
    nets: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    watcher: Watcher,
    began: Callable[[str], None],
    against: str | None = None,
) -> Comparison:
    """Fit several nets and seeds on one split, and write a bundle NET-SEED of each, results.json
    and report.html: all of it, or nothing.

    Args:
        log: the rows to fit.
        valid: the rows that choose epochs; None: one part of `log` is held out for all runs.
        test: the rows to judge on; None: `valid`, which flatters all of them.
        schema: the fields.
        config: the settings of all runs, but for the net.
        nets: their names; the others are compared with the first.
        seeds: each net is fitted with each.
        out: the folder to write.
        watcher: sees every epoch.
        began: called with the name of each run.
        against: "lightgbm" is fitted on the same split, and stands beside the nets.

    Raises:
        ConfigError: an unknown net, or one given twice, or a seed; see `require_peer`.
        DataError: a log that cannot be trained on.
        BundleError: `out` exists or cannot be written.
        ParityError: see `fit`.
        KeyboardInterrupt: Ctrl-C; a comparison of some runs would be none.
    """
    _check(nets, seeds, against, schema)
    with new_bundle(out) as directory:
        objective_of(config, schema)
        train, valid = held_out(log, valid, schema, config)
        part, judged = ("valid", valid) if test is None else ("test", test)
        judged = weigh_negatives(judged, config.negatives_kept)
        runs = []
        for net in nets:
            for seed in seeds:
                began(f"{net}, seed {seed}")
                chosen = config.model_copy(update={"net": net})
                place = directory / f"{net}-{seed}"
                if fit(train, valid, test, schema, chosen, place, seed, watcher).interrupted:
                    raise KeyboardInterrupt
                runs.append(_judged(net, seed, Bundle.open(place), part, judged))
        sizes = {"train": len(train), "valid": len(valid), "test": 0 if test is None else len(test)}
        peer = None
        if against is not None:
            began(against)
            peer = fit_peer(against, train, valid, judged, schema, config.negatives_kept, seeds[0])
        compared = Comparison(tuple(nets), tuple(seeds), part, sizes, tuple(runs), peer)
        _write(directory, compared)
    return compared


def _write(directory: Path, compared: Comparison) -> None:
    results = json.dumps(as_json(compared), indent=2, ensure_ascii=False) + "\n"
    (directory / "results.json").write_text(results, encoding="utf-8")
    (directory / "report.html").write_text(comparison_report(compared), encoding="utf-8")


def _check(nets: Sequence[str], seeds: Sequence[int], against: str | None, schema: Schema) -> None:
    for net in nets:
        if net not in NETS:
            raise ConfigError(f"--nets: no net {net!r}; there are {', '.join(NETS)}")
    for option, given in (("--nets", nets), ("--seeds", seeds)):
        if not given:
            raise ConfigError(f"{option}: none given")
        twice = next((one for one in given if given.count(one) > 1), None)
        if twice is not None:
            raise ConfigError(f"{option}: {twice} is given twice: {','.join(map(str, given))}")
    if against is not None:
        require_peer(against, schema.task)


def _judged(net: str, seed: int, bundle: Bundle, part: str, log: Log) -> Run:
    predictions = bundle.read_scorer().predict(encode(bundle.read_encoder(), log)).predictions
    task = bundle.schema.task
    resampled = resample(log.labels, predictions, log.weights, log.group, task=task)
    return Run(net, seed, bundle, Scored.of(part, log, predictions, task), resampled)
