"""`afm-train compare`: several nets, each with several seeds, on one split of one log."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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
from training.data.examples import EncodedRows
from training.data.log import Log
from training.data.parts import weigh_negatives
from training.evaluation.predicted import predicted
from training.fit.fit import fit, fit_streamed
from training.fit.material import Streamed
from training.fit.prepare import check_settings, encoded_rows, held_out
from training.fit.step.watcher import Watcher
from training.jobs import Doing, here
from training.report.score_sections import Scored
from training.state.checkpoint import CheckpointOptions


def compare(
    log: Log | Streamed,
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
        log: the rows to fit; where they are streamed, by `fit_streamed`.
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
        check_settings(config, schema)
        cut = _cut(log, valid, schema, config, seeds[0])
        part, judged = ("valid", cut.valid) if test is None else ("test", test)
        judged = weigh_negatives(judged, config.negatives_kept)
        rows = None if test is not None or cut.encoded is None else cut.encoded(judged)
        of_all = cut.train, cut.given, test, schema, config, directory.absolute(), watcher
        split = _Split(*of_all, part, judged, rows)
        runs = split.runs([(net, seed) for net in nets for seed in seeds], doing, began)
        tested = 0 if test is None else len(test)
        sizes = {"train": cut.rows, "valid": len(cut.valid), "test": tested}
        peer = None
        if against is not None and isinstance(cut.train, Log):
            began(against)
            how = judged, schema, config.negatives_kept, seeds[0]
            peer = fit_peer(against, cut.train, cut.valid, *how)
        compared = Comparison(tuple(nets), tuple(seeds), part, sizes, tuple(runs), peer)
        _write(directory, compared)
    return compared


class _Cut(NamedTuple):
    # what is fitted, and how many rows it has; the rows held out, as a fit is given them, None
    # where it finds them itself, and as they are; what has them encoded for all runs
    train: Log | Streamed
    rows: int
    given: Log | None
    valid: Log
    encoded: Callable[[Log], EncodedRows] | None


def _cut(log: Log | Streamed, valid: Log | None, schema: Schema, config: Config, seed: int) -> _Cut:
    if isinstance(log, Log):
        train, held = held_out(log, valid, schema, config)
        return _Cut(train, len(train), held, held, None)
    found = log.encoded(schema, config, seed, holds_out=valid is None)
    rows = len(found.all_labels())
    if valid is not None:
        return _Cut(log, rows, valid, valid, None)
    # where negatives are drawn, each seed has vocabularies of its own
    encoded = found.held_out_rows if config.negatives_rate == 1 else None
    return _Cut(log, rows, None, found.held_out(), encoded)


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
    # what all runs share; they are judged on the rows `judged`, called `part`, which may be encoded
    # already as `rows`
    train: Log | Streamed
    valid: Log | None
    test: Log | None
    schema: Schema
    config: Config
    directory: Path
    watcher: Watcher
    part: str
    judged: Log
    rows: EncodedRows | None = None

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
        how = split.valid, split.test, split.schema, chosen, place, seed, split.watcher
        kept = CheckpointOptions(resume=True)
        if isinstance(split.train, Streamed):
            fitted = fit_streamed(split.train, *how, checkpointing=kept)
        else:
            fitted = fit(split.train, *how, checkpointing=kept)
        if fitted.interrupted:
            raise KeyboardInterrupt
    bundle, log, task = Bundle.open(place), split.judged, split.schema.task
    rows = split.rows or encoded_rows(bundle.read_encoder(), log, task)
    predictions = predicted(bundle.read_scorer(), rows)
    resampled = resample(log.labels, predictions, log.weights, log.group, task=task)
    return Scored.of(split.part, log, predictions, task), resampled
