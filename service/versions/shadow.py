"""A worker's last real requests, on which a new version is judged before it goes live.

They stay decoded in memory, and nowhere else. The live version and the new one score them side by
side, off the event loop, in short steps with rests between: a request that comes meanwhile waits
for the end of a step.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter, thread_time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.encoding import Slate
from model.errors import InputError
from model.values.values import Row
from service.errors import ShadowError
from service.limits import NO_SHADOW, ShadowLimits
from service.scoring.live_version import Live
from service.scoring.payloads import ScoringRequest
from service.scoring.slices import encode_context, encode_slice
from service.scoring.unread_rows import UnreadRows

MOST_BYTES = 4 << 20  # of the bodies of what is kept
MOST_ROWS = 100  # of a request
FEWEST_ROWS = 100  # in all, to judge on
PAUSE_FACTOR = 3.0  # a pause takes so many times as long as the step before it
UNREADABLE = 0.01  # of the requests that the live version answers, the new one may refuse
CODES = frozenset(
    f"shadow_{what}" for what in ("schema", "input", "mean", "rank", "unknown", "latency")
)  # of what is refused here


class _ShadowScores(NamedTuple):
    # what one version made of a request
    predictions: NDArray[np.float32]
    seconds: float
    values: int
    unknown: int


class Shadow:
    """Keeps the last requests and judges a new version on them. `record` is called by the event
    loop, `judge` by a thread. After each step of a judgement it pauses for `pause_factor` times as
    long as the step took.
    """

    def __init__(
        self, limits: ShadowLimits = NO_SHADOW, pause_factor: float = PAUSE_FACTOR
    ) -> None:
        self._limits = limits
        self._pause_factor = pause_factor
        self._requests: deque[tuple[ScoringRequest, int]] = deque()
        self._bytes = 0

    def record(self, asked: ScoringRequest, size: int) -> None:
        """Keep a request that was answered, in place of the oldest; `size`: bytes of its body."""
        if size > MOST_BYTES:
            return
        self._requests.append((asked, size))
        self._bytes += size
        while len(self._requests) > self._limits.requests or self._bytes > MOST_BYTES:
            self._bytes -= self._requests.popleft()[1]

    def forget(self) -> None:
        """Drop what is kept: it was asked of another model."""
        self._requests.clear()
        self._bytes = 0

    @property
    def judges(self) -> bool:
        """Whether requests are kept at all."""
        return self._limits.requests > 0

    def suffices(self) -> bool:
        """Whether there are rows enough to judge on."""
        kept = self._requests.copy()
        return sum(min(len(asked.rows), MOST_ROWS) for asked, _ in kept) >= FEWEST_ROWS

    def rows(self) -> list[Row]:
        """The rows kept, each with its context, as far as they can be read."""
        found: list[Row] = []
        for asked, _ in self._requests.copy():
            try:
                found += [{**asked.context, **row} for row in asked.rows[:MOST_ROWS]]
            except InputError:
                continue
        return found

    def judge(
        self, live: Live, new: Live, pause: Callable[[float], Any], *, never_live: bool = True
    ) -> dict[str, float]:
        """Score what is kept with both; returns what was seen, without figures where too few rows
        are kept. `pause` is called with seconds after each step. `never_live`: the new version
        never was live; from then on it knows the ads of what is kept.

        Raises:
            ShadowError: the new version differs by more than the limits, or has no field of the
                live one, whatever is kept.
        """
        if not live.bundle.schema.fields.keys() & new.bundle.schema.fields.keys():
            raise ShadowError(
                f"it has no field of the live version {live.version}: what callers send now would "
                "be of no use to it",
                "shadow_schema",
            )
        kept = self._requests.copy()  # in one step, while the event loop adds to them
        live = live.without_ads()

        def rest(seconds: float) -> None:
            pause(self._pause_factor * seconds)

        judged = new if never_live else new.without_ads()
        live_scores: list[_ShadowScores] = []
        new_scores: list[_ShadowScores] = []
        unreadable = 0
        for asked, _ in kept:
            try:
                found = _score(live, asked, rest)
            except InputError:  # of an older version's making
                continue
            try:
                new_scores.append(_score(judged, asked, rest))
                live_scores.append(found)
            except InputError:
                unreadable += 1
        judged.ads.take_counts()  # no caller asked
        if unreadable > UNREADABLE * len(kept):
            raise ShadowError(
                f"it cannot read {unreadable} of the last {len(kept)} requests", "shadow_input"
            )
        seen: dict[str, float] = {
            "requests": len(kept),
            "rows": sum(len(one.predictions) for one in live_scores),
        }
        if seen["rows"] >= FEWEST_ROWS:
            seen |= _compared(live_scores, new_scores, mean=live.scorer.has_probabilities)
            self._check(seen)
        return seen

    def _check(self, seen: dict[str, float]) -> None:
        limits = self._limits
        of = f"on the last {seen['requests']} requests"
        if not 1 / limits.mean <= seen.get("mean", 1.0) <= limits.mean:
            raise ShadowError(
                f"{of} its mean probability is {seen['mean']:.3f} of the live version's, allowed "
                f"is {1 / limits.mean:.3f} to {limits.mean:.3f}",
                "shadow_mean",
            )
        if not seen["rank"] >= limits.rank:
            raise ShadowError(
                f"{of} its scores have a rank correlation of {seen['rank']:.3f} with the live "
                f"version's, at least {limits.rank:g} is needed",
                "shadow_rank",
            )
        if seen["unknown"] > limits.unknown:
            raise ShadowError(
                f"{of} the share of values that it does not know is larger by "
                f"{seen['unknown']:.3f} than the live version's, allowed is {limits.unknown:g}",
                "shadow_unknown",
            )
        # both: twice a few microseconds is no harm, nor is a slow request that was slow before
        if seen["latency"] > limits.latency and seen["milliseconds"] > limits.latency_ms:
            raise ShadowError(
                f"{of} it takes {seen['latency']:.2f} times as long to score as the live version "
                f"and {seen['milliseconds']:.2f} ms a request, allowed is {limits.latency:g} times "
                f"as long, or {limits.latency_ms:g} ms",
                "shadow_latency",
            )


def _score(live: Live, asked: ScoringRequest, rest: Callable[[float], None]) -> _ShadowScores:
    # as it is served, in two steps: a scheduler may leave a thread its core until it sleeps,
    # whichever thread wakes meanwhile, so shorter steps make for shorter waits
    scorer, rows = live.scorer, asked.rows
    some = rows.part(0, MOST_ROWS) if isinstance(rows, UnreadRows) else rows[:MOST_ROWS]
    with _then_rest(rest):
        encoded = encode_slice(live, asked, encode_context(live, asked), some)
    with _then_rest(rest):
        began = thread_time()  # this thread's own: waiting for a core does not count
        predictions = scorer.predict(encoded).predictions
        seconds = thread_time() - began
    sides = (encoded.context, encoded.ads) if isinstance(encoded, Slate) else (encoded,)
    return _ShadowScores(
        predictions,
        seconds,
        sum(int(np.count_nonzero(side.values)) for side in sides),
        sum(sum(side.unknown.values()) for side in sides),
    )


@contextmanager
def _then_rest(rest: Callable[[float], None]) -> Iterator[None]:
    # also after what could not be read
    began = perf_counter()
    try:
        yield
    finally:
        rest(perf_counter() - began)


def _compared(
    live_scores: Sequence[_ShadowScores], new_scores: Sequence[_ShadowScores], *, mean: bool
) -> dict[str, float]:
    old, new = (
        np.concatenate([one.predictions for one in all_]) for all_ in (live_scores, new_scores)
    )
    seen = {"mean": float(new.mean(dtype=np.float64) / old.mean(dtype=np.float64))} if mean else {}
    return seen | {
        "rank": _rank_correlation(old, new),
        "unknown": _unknown_share(new_scores) - _unknown_share(live_scores),
        "latency": sum(one.seconds for one in new_scores) / sum(one.seconds for one in live_scores),
        "milliseconds": 1000 * sum(one.seconds for one in new_scores) / len(new_scores),
    }


def _unknown_share(found: Sequence[_ShadowScores]) -> float:
    return sum(one.unknown for one in found) / max(sum(one.values for one in found), 1)


def _rank_correlation(old: NDArray[np.float32], new: NDArray[np.float32]) -> float:
    # Spearman's; 0 where one of them is all alike, 1 where both are
    if old.min() == old.max() or new.min() == new.max():
        return float(old.min() == old.max() and new.min() == new.max())
    return float(np.corrcoef(_ranks(old), _ranks(new))[0, 1])


def _ranks(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    # equal scores share the mean of their ranks
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks
