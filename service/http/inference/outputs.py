"""What an infer request is answered with: the numbers of each row, and the tensors made of them."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw, Struct
from numpy.typing import NDArray

from model.encoding import Encoded, Slate
from model.errors import InputError
from model.scorer import Scores
from model.values.values import Row
from service.http.inference.infer_request import LENGTH, Inference
from service.observe.metrics import INFER
from service.scoring.live_version import Live
from service.scoring.payloads import ScoringRequest
from service.scoring.unread_rows import shown
from service.scoring.views import Errors, Explanations, NumbersOfRows

PROBABILITY, SCORE, LOGIT, ATTENTION = "probability", "score", "logit", "attention"

Headers = list[tuple[bytes, bytes]]
Numbers = NDArray[np.float32]
_json = msgspec.json.Encoder()


class _Numbered(Struct):
    # what a predictor gives: the numbers of each row

    model: str
    version: str
    degraded: bool
    rows: Any


_numbered = msgspec.json.Decoder(_Numbered)


class ScoreNumbers(NumbersOfRows):
    """What each row is answered with, and its logit."""

    route = INFER
    key = "rows"

    @staticmethod
    def listed(scores: Scores) -> list[Any]:
        """A pair of numbers a row."""
        found: list[Any] = np.stack([scores.predictions, scores.logits], axis=1).tolist()
        return found

    def answer(self, live: Live, items: Raw, errors: Errors, *, degraded: bool) -> _Numbered:  # noqa: ARG002  none without `strict`
        """The rows, for `tensors_of`."""
        return _Numbered(live.model, live.version, degraded, items)


class AttentionNumbers(ScoreNumbers):
    """The same, and the attention of each of the P pairs, which takes as long as an explanation."""

    step_rows = Explanations.step_rows
    low_priority = Explanations.low_priority

    def score(
        self,
        live: Live,
        asked: ScoringRequest,  # noqa: ARG002  as above
        rows: Sequence[Row],
        encoded: Encoded | Slate,
    ) -> Iterator[list[Any]]:
        """`step_rows` rows a step."""
        scores = live.scorer.predict(encoded)
        whole = live.scorer.joined(encoded) if isinstance(encoded, Slate) else encoded
        heads = np.stack([scores.predictions, scores.logits], axis=1)
        for start in range(0, len(rows), self.step_rows):
            some = slice(start, start + self.step_rows)
            attention = live.scorer.explain(whole.slice(some.start, some.stop)).attention
            assert attention is not None  # noqa: S101  else the output is not there
            yield np.concatenate([heads[some], attention], axis=1).tolist()


def output_shapes(live: Live) -> dict[str, list[int]]:
    """The outputs that a version has, each with its shape; -1 for the rows."""
    main = PROBABILITY if live.scorer.has_probabilities else SCORE
    shapes = {main: [-1], LOGIT: [-1]}
    if live.scorer.has_attention:
        slots = len(live.bundle.schema.slots)
        shapes[ATTENTION] = [-1, slots * (slots - 1) // 2]
    return shapes


def wanted(inference: Inference, live: Live) -> dict[str, bool]:
    """The outputs of an answer, and whether each comes as bytes; the first one where none is named.

    Raises:
        InputError: a name that is no output.
    """
    known = output_shapes(live)
    for name in inference.outputs:
        if name not in known:
            text = f"{shown(name)} is no output here; known: {', '.join(known)}"
            raise InputError("bad_output", text)
    return inference.outputs or {next(iter(known)): inference.binary}


def answer_of(numbered: bytes, outputs: dict[str, bool], request_id: str) -> tuple[bytes, Headers]:
    """The body of an answer and its headers, of what a predictor gave."""
    found = _numbered.decode(numbered)
    numbers = np.array(found.rows, np.float32)
    tensors, raws = [], []
    for name, binary in outputs.items():
        column = _column(name, numbers)
        tensor: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(column.shape)}
        if binary:
            raws.append(column.astype("<f4").tobytes())
            tensor["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            tensor["data"] = column.ravel().tolist()
        tensors.append(tensor)
    answer: dict[str, Any] = {"model_name": found.model, "model_version": found.version}
    if request_id:
        answer["id"] = request_id
    if found.degraded:
        answer["parameters"] = {"degraded": True}
    head = _json.encode({**answer, "outputs": tensors})
    if not raws:
        return head, [(b"content-type", b"application/json")]
    kind = (b"content-type", b"application/octet-stream")
    return b"".join((head, *raws)), [kind, (LENGTH, b"%d" % len(head))]


def _column(name: str, numbers: Numbers) -> Numbers:
    if name == ATTENTION:
        return numbers[:, 2:]
    return numbers[:, 1 if name == LOGIT else 0]
