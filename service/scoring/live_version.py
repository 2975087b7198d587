"""A version that can be served: verified, its golden rows scored again, warm."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.bundle.bundle import NONE_KNOWN, Bundle, Vocabularies
from model.bundle.golden import GoldenCase, replay
from model.encoding import Encoded, Encoder, Slate
from model.errors import BundleError
from model.explanation import Explainer
from model.scorer import Scorer
from model.vocabulary import FieldVocabulary, PackedVocabulary, from_bytes
from service.limits import NO_CACHE, CacheLimits
from service.scoring.ad_cache import AdCache
from service.scoring.remote.remote_fields import LiveValues
from service.scoring.unread_rows import RawRows

WARM_ROWS = 128
GRAPH_TOLERANCE = 1e-4  # between two graphs of a bundle, relative to max(1, |score|)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Live:
    """One version of one model, with all that scoring needs; they go live and go as one."""

    model: str
    bundle: Bundle
    encoder: Encoder
    scorer: Scorer
    explainer: Explainer
    ads: AdCache
    values: LiveValues | None = None

    @property
    def version(self) -> str:
        """The version that answers name."""
        return self.bundle.version

    def slate(self, context: Encoded, rows: RawRows) -> Slate | None:
        """One context with N ads, by what is known of them; None where one of them has a field of
        the context.

        Raises:
            InputError: an ad that cannot be read or encoded.
        """
        if not self.scorer.ranks(len(rows)):  # the ads' own parts are of no use then
            few = self.encoder.encode_ads(rows[:])
            return None if few is None else Slate(context, few)
        found = self.ads.encode(rows.raws(), rows.read)
        return None if found is None else Slate(context, *found)

    def without_ads(self) -> "Live":
        """The same, which knows no ad and learns none: for another thread than the event loop,
        which the cache belongs to once it is live.
        """
        return replace(self, ads=AdCache(self.encoder, self.scorer, NO_CACHE))


def make_live(
    model: str,
    bundle: Bundle,
    vocabularies: Mapping[str, bytes],
    cache: CacheLimits = NO_CACHE,
    values: LiveValues | None = None,
    like: Live | None = None,
    known: Vocabularies = NONE_KNOWN,
) -> Live:
    """Join a bundle with its `vocabularies` from Redis, and prove that they score as they should.
    `values`: those of the live fields, which have no vocabulary there; they know the golden rows'.
    `like`: a version that may have the same net in the same sizes; which of its graphs is the
    faster one is then known. `known`: vocabularies of the bundle that were read and verified: the
    bytes in Redis are compared with them by digest and not parsed; large fields have none there.

    Raises:
        BundleError: a vocabulary that is not the bundle's, or golden rows that differ.
    """
    checked: dict[str, FieldVocabulary] = {}
    for field in bundle.schema.fields:
        if values is not None and field in values.vocabularies:
            checked[field] = values.vocabularies[field]
            continue
        source = f"vocabulary of {field!r} in Redis"
        read, data = known.get(field), vocabularies.get(field)
        if isinstance(read, PackedVocabulary):
            digest = read.sha256
        elif data is None:
            raise BundleError(f"{source}: missing", "vocabulary")
        else:
            digest = hashlib.sha256(data).hexdigest()
        if digest != bundle.vocabulary_sha256(field):
            raise BundleError(f"{source}: its sha256 is not the manifest's", "vocabulary")
        checked[field] = read or from_bytes(data or b"", source)
    encoder, scorer = Encoder(bundle.schema, checked), bundle.read_scorer()
    ads = AdCache(encoder, scorer, cache)
    live = Live(model, bundle, encoder, scorer, Explainer(encoder, scorer), ads, values)
    golden = bundle.read_golden()
    replay(golden, encoder, scorer)
    _check_graphs(encoder, scorer, golden)
    rows = [row for case in golden for row in case.request["instances"]]
    # the first runs of a session are slow: they lay out its memory
    for count in (1, WARM_ROWS):
        warm = (rows * (count // len(rows) + 1))[:count]
        encoded = encoder.encode(warm)
        scorer.predict(encoded)
        scorer.explain(encoded)  # without the explainer, whose texts would keep requests waiting
    if like is not None and _shape(like) == _shape(live):
        scorer.rank_from = like.scorer.rank_from
    else:
        scorer.choose_graphs(_slate(encoder, golden[0]))
    return live


def _shape(live: Live) -> tuple[object, ...]:
    # what the time to score depends on
    manifest = live.bundle.manifest
    sizes = manifest.dimensions.model_copy(update={"rows": 0})
    return manifest.net, sizes, live.bundle.schema.candidate_slots, live.scorer.has_rank


def _check_graphs(encoder: Encoder, scorer: Scorer, golden: Sequence[GoldenCase]) -> None:
    # golden rows prove one graph: the others must say the same
    for case in golden:
        encoded = encoder.encode(case.request["instances"])
        logits, terms = scorer.predict_plainly(encoded).logits, scorer.explain(encoded)
        parts = [terms.linear] if terms.contribution is None else [terms.linear, terms.contribution]
        stacked = np.concatenate(parts, axis=1).astype(np.float64)
        # of a net that is no sum over pairs it can only be said that its terms are numbers
        summed = logits if terms.contribution is None else scorer.bias + stacked.sum(1)
        _check_agree("explain.onnx", np.where(np.isfinite(stacked).all(1), summed, np.nan), logits)
    if scorer.has_rank:
        slate = _slate(encoder, golden[0])
        plain = scorer.predict_plainly(scorer.joined(slate))
        _check_agree("rank.onnx", scorer.rank(slate).predictions, plain.predictions)


def _check_agree(graph: str, found: Any, expected: Any) -> None:
    worst = float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())
    if not worst <= GRAPH_TOLERANCE:  # NaN is refused as well
        raise BundleError(f"{graph}: differs from predict.onnx by {worst:.2g}", "golden")


def _slate(encoder: Encoder, case: GoldenCase) -> Slate:
    # the first row's context with the ads of all rows
    rows = case.request["instances"]
    ads = encoder.encode_ads([{n: row.get(n) for n in encoder.ads.names} for row in rows])
    assert ads is not None  # noqa: S101  they have no field of the context
    return Slate(encoder.context.rows(rows[:1]), ads)
