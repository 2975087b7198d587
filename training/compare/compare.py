"""`afm-train compare`: several nets, each with several seeds, on one split of one log."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.bundle.bundle import Bundle
from model.bundle.write import new_bundle
from model.errors import ConfigError
from model.metrics.bootstrap import Resampled, resample
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
from training.jobs import Doing, here
from training.report.score_sections import Scored
from training.state.checkpoint import CheckpointOptions


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
    doing: Doing = here,
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
        doing: does the runs; where it is not this process, it sees the same folders.

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
        split = _Split(
            train, valid, test, schema, config, directory.absolute(), watcher, part, judged
        )
        runs = split.runs([(net, seed) for net in nets for seed in seeds], doing, began)
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


@dataclass(frozen=True)
class _Split:
    # what all runs share; they are judged on the rows `judged`, called `part`
    train: Log
    valid: Log
    test: Log | None
    schema: Schema
    config: Config
    directory: Path
    watcher: Watcher
    part: str
    judged: Log

    def place(self, net: str, seed: int) -> Path:
        return self.directory / f"{net}-{seed}"

    def runs(
        self, asked: Sequence[tuple[str, int]], doing: Doing, began: Callable[[str], None]
    ) -> list[Run]:
        found = dict(doing(_fitted, self, _announced(asked, began)))
        return [
            Run(net, seed, Bundle.open(self.place(net, seed)), *found[number])
            for number, (net, seed) in enumerate(asked)
        ]


def _announced(
    asked: Sequence[tuple[str, int]], began: Callable[[str], None]
) -> Iterator[tuple[str, int]]:
    for net, seed in asked:
        began(f"{net}, seed {seed}")
        yield net, seed


def _fitted(split: _Split, run: tuple[str, int]) -> tuple[Scored, Resampled]:
    net, seed = run
    place = split.place(net, seed)
    if not place.exists():  # else by a job that was lost after it
        chosen = split.config.model_copy(update={"net": net})
        parts = split.train, split.valid, split.test, split.schema
        kept = CheckpointOptions(resume=True)
        fitted = fit(*parts, chosen, place, seed, split.watcher, checkpointing=kept)
        if fitted.interrupted:
            raise KeyboardInterrupt
    bundle, log, task = Bundle.open(place), split.judged, split.schema.task
    predictions = bundle.read_scorer().predict(encode(bundle.read_encoder(), log)).predictions
    resampled = resample(log.labels, predictions, log.weights, log.group, task=task)
    return Scored.of(split.part, log, predictions, task), resampled
