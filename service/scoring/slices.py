"""One slice of a request's rows: encoded, scored, written. Errors count rows within the slice."""

from collections.abc import Iterator, Sequence
from time import perf_counter

import msgspec

from model.encoding import Encoded, Slate
from model.errors import InputError
from model.values.values import Row
from service.scoring.live_version import Live
from service.scoring.payloads import ScoringRequest
from service.scoring.unread_rows import RawRows, UnreadRows
from service.scoring.views import View

_json = msgspec.json.Encoder()


class Tally:
    """What one request took and named: seconds by stage, unknown values by field, keys ignored."""

    def __init__(self) -> None:
        self.encode_seconds = self.score_seconds = self.write_seconds = 0.0
        self.unknown: dict[str, int] = {}
        self.ignored = 0

    def note(self, encoded: Encoded) -> None:
        """Count what was found in encoding."""
        for field, count in encoded.unknown.items():
            self.unknown[field] = self.unknown.get(field, 0) + count
        self.ignored = max(self.ignored, encoded.ignored)


def encode_context(live: Live, asked: ScoringRequest) -> Encoded | None:
    """A request's context by itself; None where it has to be encoded with the rows.

    Raises:
        InputError: a value of the context that its field cannot hold.
    """
    if not isinstance(asked.rows, RawRows):
        return None
    return live.encoder.encode_context(asked.context)


def encode_slice(
    live: Live, asked: ScoringRequest, context: Encoded | None, rows: Sequence[Row]
) -> Encoded | Slate:
    """Some rows of a request with its context, which `encode_context` gave, as they are served.

    Raises:
        InputError: a row that cannot be read or encoded.
    """
    if context is not None and isinstance(rows, RawRows):
        slate = live.slate(context, rows)
        if slate is not None:
            return slate
    return live.encoder.encode_request(asked.context, rows[:])


def score_slice(
    live: Live,
    view: View,
    asked: ScoringRequest,
    context: Encoded | None,
    rows: Sequence[Row],
    tally: Tally,
) -> Iterator[bytes]:
    """The items of a slice of rows in steps, each as JSON without the brackets of a list.

    Args:
        live: The version that scores.
        view: What an item is.
        asked: The request that the rows are of.
        context: Its context, as `encode_context` gave it.
        rows: The slice.
        tally: Is added to.

    Raises:
        InputError: a row that cannot be read or encoded.
    """
    begun = perf_counter()
    encoded = encode_slice(live, asked, context, rows)
    tally.note(encoded.ads if isinstance(encoded, Slate) else encoded)
    encoded_at = perf_counter()
    tally.encode_seconds += encoded_at - begun
    begun = encoded_at
    for items in view.score(live, asked, rows, encoded):
        scored_at = perf_counter()
        part = _json.encode(items)[1:-1]
        tally.score_seconds += scored_at - begun
        tally.write_seconds += perf_counter() - scored_at
        yield part
        begun = perf_counter()


def slice_faults(live: Live, asked: ScoringRequest, rows: Sequence[Row]) -> dict[int, InputError]:
    """Why each row of a slice that cannot be scored cannot, by its place."""
    found = rows.faults() if isinstance(rows, UnreadRows) else {}
    places = [place for place in range(len(rows)) if place not in found]
    some = [rows[place] for place in places]
    if not some or _fault(live, asked, some) is None:
        return found
    for place, row in zip(places, some, strict=True):
        fault = _fault(live, asked, [row])
        if fault is not None:
            found[place] = fault
    return found


def _fault(live: Live, asked: ScoringRequest, rows: Sequence[Row]) -> InputError | None:
    # why one of the rows cannot be encoded
    try:
        live.encoder.encode_request(asked.context, rows)
    except InputError as error:
        if error.row is None:
            raise
        return error
    return None
