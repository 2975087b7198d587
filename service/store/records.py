"""What is stored in Redis, and what workers say of themselves: plain values."""

from typing import Any

import msgspec

FORCED = "forced"  # the code of a refusal that a user lifted


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a published version without its bundle; times are ISO 8601, UTC.

    `bundle`: its place within the bundle store. `live`: fields whose values are looked up.
    """

    version: str
    net: str
    created: str
    published: str
    bundle: str
    metrics: dict[str, Any] = {}
    live: tuple[str, ...] = ()


class RefusalNote(msgspec.Struct, frozen=True):
    """A version that a worker may not serve: `code` says why in a word, `reason` in a line."""

    version: str
    code: str
    reason: str


class SkipShadow(msgspec.Struct, frozen=True):
    """Who wants a version live whatever recent requests say of it; `why`: rollback or force."""

    version: str
    why: str
    by: str


class WorkerState(msgspec.Struct, frozen=True):
    """One worker that is connected: the version it answers by, and the one it refuses."""

    worker: str
    live: str | None = None
    refused: RefusalNote | None = None
