"""Encoded rows to scores: a bundle's graphs in onnxruntime, in slices that fit the cache."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model.encoding import Encoded, Slate
from model.errors import BundleError
from model.manifest import Dimensions

Floats = NDArray[np.float32]

# Slices of pair vectors of about 2 MB: measured on 39 slots, K = 16, 1000 rows in one run take six
# times as long a row as slices of 50, which also keep the memory arena small.
SLICE_BYTES = 2 << 20
FEWEST_ROWS = 16
# The rank graph's largest temporary, T floats for each pair across, is read twice, not five times.
RANK_SLICE_BYTES = 1 << 20
TILE_ROWS = 16
MEASURED_ROWS = (1, 2, 4, 8, 16, 32, 64)
MEASURED_RUNS = 7
PARTIALS = "alone"  # the partials of the ads, as the graphs of every bundle name them
OF_CONTEXT = frozenset(("context_ids", "context_values"))  # inputs that all runs of a slate share


class Scores(NamedTuple):
    """`probabilities` and `logits`, both float32 [B].

    A task without probabilities has None of them, and its scores are the logits themselves.
    """

    probabilities: Floats | None
    logits: Floats

    @property
    def predictions(self) -> Floats:
        """What a row is answered with: its probability, or its score where the task has none."""
        return self.logits if self.probabilities is None else self.probabilities

    def slice(self, start: int, stop: int) -> "Scores":
        """Rows start..stop."""
        probabilities = None if self.probabilities is None else self.probabilities[start:stop]
        return Scores(probabilities, self.logits[start:stop])


class ScoreTerms(NamedTuple):
    """The terms of B logits: `linear` [B, F], `interaction` and `attention` [B, P].

    No attention where the net has none, and then each pair adds its interaction; no interaction
    where the net is no sum over pairs.
    """

    linear: Floats
    interaction: Floats | None
    attention: Floats | None

    @property
    def contribution(self) -> Floats | None:
        """What each pair adds to the logit, [B, P]; None where the net is no sum over pairs."""
        if self.interaction is None or self.attention is None:
            return self.interaction
        return self.attention * self.interaction


class Scorer:
    """The graphs of one bundle directory, which must have been verified.

    `bias` is what a logit has beside its terms; `candidate` [F] which slots the ads give.
    `slice_rows`: rows that go into one run. `rank_from`: how many ads of one context are scored by
    the rank graph, which costs a few more calls than the plain one and saves the context's share of
    the work; None for no number, which is so until `choose_graphs` has measured it.
    `has_probabilities`: whether the task has them. `has_attention`: whether the net does.
    """

    def __init__(
        self, directory: Path, dimensions: Dimensions, bias: float, candidate: Sequence[bool]
    ) -> None:
        self.bias = bias
        self.rank_from: int | None = None
        self._dimensions = dimensions
        of_ads = sum(candidate)
        across = of_ads * (dimensions.slots - of_ads)
        self._ad_slots = _place(np.flatnonzero(candidate))
        self._context_slots = _place(np.flatnonzero(~np.array(candidate, dtype=bool)))
        row_bytes = 4 * max(across * max(dimensions.attention, 1), 1)
        self.rank_slice_rows = max(FEWEST_ROWS, RANK_SLICE_BYTES // row_bytes)
        pairs = dimensions.slots * (dimensions.slots - 1) // 2
        row_bytes = 4 * max(pairs * dimensions.embedding, dimensions.slots)
        self.slice_rows = max(FEWEST_ROWS, SLICE_BYTES // row_bytes)
        self._predict = _session(directory / "predict.onnx")
        rank, ads = directory / "rank.onnx", directory / "ads.onnx"
        self._rank = _session(rank) if rank.exists() and ads.exists() else None
        self._ads = None if self._rank is None else _session(ads)
        # a graph has the inputs that its net needs
        self._rank_inputs = () if self._rank is None else tuple(_names(self._rank))
        # a graph without probabilities has only the logits
        self.has_probabilities = len(self._predict.get_outputs()) > 1
        self._explain = _session(directory / "explain.onnx")
        self.has_attention = len(self._explain.get_outputs()) > 2

    def predict(self, rows: Encoded | Slate) -> Scores:
        """Scores of B rows.

        Raises:
            BundleError: an id outside the table, which no encoder of this bundle makes.
        """
        if not isinstance(rows, Slate):
            return self.predict_plainly(rows)
        return self.rank(rows) if self.ranks(len(rows)) else self.predict_plainly(self.joined(rows))

    def predict_plainly(self, encoded: Encoded) -> Scores:
        """Scores of B rows, each by itself. Raises as `predict` does."""
        self._check_ids(encoded)
        parts = [_run(self._predict, part) for part in _slices(encoded, self.slice_rows)]
        if not parts:
            return Scores(_none() if self.has_probabilities else None, _none())
        return self._scores(parts)

    def _scores(self, parts: list[list[Floats]]) -> Scores:
        *probabilities, logits = _joined(parts)
        return Scores(probabilities[0] if probabilities else None, logits)

    @property
    def has_rank(self) -> bool:
        """Whether the bundle has the graphs for one context with N ads."""
        return self._rank is not None

    @property
    def partials_width(self) -> int:
        """D, what `ad_partials` gives an ad; 0 without `has_rank`."""
        return 0 if self._ads is None else int(self._ads.get_outputs()[0].shape[1])

    def ranks(self, ads: int) -> bool:
        """Whether one context with so many ads goes through the rank graph."""
        return self.rank_from is not None and ads >= self.rank_from

    def rank(self, slate: Slate) -> Scores:
        """Scores of N >= 1 ads, whose context's share of the work is done once a run; needs
        `has_rank`. Raises as `predict` does.
        """
        assert self._rank is not None  # noqa: S101  what the caller has made sure of
        context, ads = slate.context, slate.ads
        self._check_ids(context)
        # those whose `ad_partials` is known were checked for it
        partials = self.ad_partials(ads) if slate.ad_partials is None else slate.ad_partials
        whole: dict[str, NDArray[Any]] = {
            "context_ids": context.ids,
            "context_values": context.values,
            "ids": ads.ids,
            "values": ads.values,
            PARTIALS: partials,
        }
        whole = {name: whole[name] for name in self._rank_inputs}
        parts = []
        for start in range(0, len(ads), self.rank_slice_rows):
            some = slice(start, start + self.rank_slice_rows)
            feed = {n: part if n in OF_CONTEXT else part[some] for n, part in whole.items()}
            parts.append(self._rank.run(None, feed))
        return self._scores(parts)

    def ad_partials(self, ads: Encoded) -> Floats:
        """What `rank` needs of each ad whatever the context is [N, D]; needs `has_rank`. Raises as
        `predict` does.

        Rows go in whole tiles: a row of one has the same bits wherever it stands and whatever the
        rows beside it are, and so an ad scores the same whether its part was kept or has just been
        computed.
        """
        assert self._ads is not None  # noqa: S101  what the caller has made sure of
        self._check_ids(ads)
        tiles = np.minimum(np.arange(-(-len(ads) // TILE_ROWS) * TILE_ROWS), len(ads) - 1)
        whole = Encoded(ads.ids[tiles], ads.values[tiles])
        rows = -(-self.rank_slice_rows // TILE_ROWS) * TILE_ROWS
        parts = [_run(self._ads, part) for part in _slices(whole, rows)]
        return _joined(parts)[0][: len(ads)]

    def joined(self, slate: Slate) -> Encoded:
        """A slate as whole rows [N, F]."""
        shape = (len(slate), self._dimensions.slots)
        ids, values = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        for slots, side in ((self._context_slots, slate.context), (self._ad_slots, slate.ads)):
            ids[:, slots], values[:, slots] = side.ids, side.values
        return Encoded(ids, values)

    def choose_graphs(self, slate: Slate) -> None:
        """Set `rank_from` by measuring both graphs on this machine, with the ads' own parts known,
        as they mostly are; the first ads are repeated to as many as are needed.
        """
        if not self.has_rank:
            return
        self.rank_from = None
        for rows in reversed(MEASURED_ROWS):
            repeated = np.resize(np.arange(len(slate)), rows)
            ads = Encoded(slate.ads.ids[repeated], slate.ads.values[repeated])
            some = Slate(slate.context, ads, self.ad_partials(ads))
            if _fastest(self.rank, some) >= _fastest(self._joined_and_plain, some):
                return
            self.rank_from = rows

    def _joined_and_plain(self, slate: Slate) -> Scores:
        return self.predict_plainly(self.joined(slate))

    def explain(self, encoded: Encoded) -> ScoreTerms:
        """The terms of B >= 1 rows; where there are pairs, the terms and `bias` add up to the
        logits that `predict` gives.

        Raises:
            BundleError: see `predict`.
        """
        self._check_ids(encoded)
        parts = [_run(self._explain, part) for part in _slices(encoded, self.slice_rows)]
        linear, *found = _joined(parts)
        pairs: list[Floats | None] = [*found, None, None]  # the graph has the outputs that it needs
        return ScoreTerms(linear, pairs[0], pairs[1])

    def _check_ids(self, encoded: Encoded) -> None:
        # onnxruntime takes -1 for the last row without a word, and fails the run on a larger id;
        # a negative one is the largest of all without its sign
        ids = encoded.ids
        if ids.size and int(ids.view(np.uint64).max()) >= self._dimensions.rows:
            raise BundleError(
                "an id outside the embedding table: encoder and graph do not match", "dimensions"
            )


def _slices(encoded: Encoded, rows: int) -> Iterator[Encoded]:
    if len(encoded) <= rows:
        return iter([encoded] if len(encoded) else [])
    return (encoded.slice(start, start + rows) for start in range(0, len(encoded), rows))


def _fastest(score: Callable[[Slate], Scores], slate: Slate) -> float:
    # seconds of the fastest of a few calls: the one that nothing else got in the way of
    seconds = []
    for _ in range(MEASURED_RUNS):
        began = perf_counter()
        score(slate)
        seconds.append(perf_counter() - began)
    return min(seconds)


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # one thread for a small graph; a service scales by processes, and a spinning one would eat them
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no class of their own
        raise BundleError(f"{path}: onnxruntime refuses the graph: {error}", "graph") from error


def _place(slots: NDArray[np.int64]) -> NDArray[np.int64] | slice:
    # neighbours as a slice, which is several times as fast to write to
    if len(slots) and slots[-1] - slots[0] == len(slots) - 1:
        return slice(int(slots[0]), int(slots[-1]) + 1)
    return slots


def _names(session: onnxruntime.InferenceSession) -> list[str]:
    return [given.name for given in session.get_inputs()]


def _run(session: onnxruntime.InferenceSession, encoded: Encoded) -> list[Floats]:
    outputs: list[Floats] = session.run(None, {"ids": encoded.ids, "values": encoded.values})
    return outputs


def _joined(parts: list[list[Floats]]) -> list[Floats]:
    return (
        parts[0] if len(parts) == 1 else [np.concatenate(part) for part in zip(*parts, strict=True)]
    )


def _none() -> Floats:
    return np.empty(0, dtype=np.float32)
