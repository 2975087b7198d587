"""A version that can be served: verified, its golden rows scored again, warm."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from model.bundle import Bundle
from model.encoding import Encoder
from model.errors import BundleError
from model.explanation import Explainer
from model.golden import GoldenCase, replay
from model.schema import Schema
from model.scorer import Scorer
from model.values import Row
from model.vocabulary import from_bytes

WARM_ROWS = 128


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Live:
    """One version of one model, with all that scoring needs; they go live and go as one."""

    model: str
    bundle: Bundle
    encoder: Encoder
    scorer: Scorer
    explainer: Explainer

    @property
    def version(self) -> str:
        """The version that answers name."""
        return self.bundle.version


def make_live(model: str, bundle: Bundle, vocabularies: Mapping[str, bytes]) -> Live:
    """Join a bundle with its `vocabularies` from Redis, and prove that they score as they should.

    Raises:
        BundleError: a vocabulary that is not the bundle's, or golden rows that differ.
    """
    checked = {}
    for field in bundle.schema.fields:
        source = f"vocabulary of {field!r} in Redis"
        data = vocabularies.get(field)
        if data is None:
            raise BundleError(f"{source}: missing")
        if hashlib.sha256(data).hexdigest() != bundle.vocabulary_sha256(field):
            raise BundleError(f"{source}: its sha256 is not the manifest's")
        checked[field] = from_bytes(data, source)
    encoder, scorer = bundle.encoder(checked), bundle.scorer()
    live = Live(model, bundle, encoder, scorer, Explainer(encoder, scorer))
    golden = bundle.golden()
    replay(golden, encoder, scorer)
    rows = [row for case in golden for row in case.request["instances"]]
    # the first runs of a session are slow: they lay out its memory
    for count in (1, WARM_ROWS):
        warm = (rows * (count // len(rows) + 1))[:count]
        live.explainer.explain(warm, encoder.encode(warm), None)
    scorer.choose_graphs(encoder.encode_request(*_as_request(golden[0], bundle.schema)))
    return live


def _as_request(case: GoldenCase, schema: Schema) -> tuple[Row, list[Row]]:
    # the first row's context with the ads of all rows
    rows = case.request["instances"]
    ads = {name for name, field in schema.fields.items() if field.role == "candidate"}
    context = {name: rows[0].get(name) for name in schema.fields if name not in ads}
    return context, [{n: value for n, value in row.items() if n in ads} for row in rows]
