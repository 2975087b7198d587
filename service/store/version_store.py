"""Every key in Redis: published versions and which one is active.

All keys start with `afm:{model}:`.

    active               string   the active version; absent while there is none
    unjudged             string   JSON of `SkipShadow`: who wants `active` live without a judgement
    previous             list     what was active before, latest first: the way back of `rollback`
    refused              stream   of `RefusalNote`: what live traffic refused, or a user forced
    versions             zset     every whole version by its time of publication (Unix seconds)
    version:{version}    string   JSON of `Record`
    vocabulary:{version} hash     field -> its vocabulary file, byte for byte as in the bundle
    values:{version}:{field}  hash  of a live field instead: value -> its place in the vocabulary
    packed:{version}     hash     of large fields instead: number -> a chunk for `PackedIds`
    publishing           string   the token of the publisher whose turn it is; expires
    staged               set      what follows staging: of publishers that began and did not end
    staging:{token}      hash     what will become vocabulary:{version}; expires
    staging:{token}:{field}  hash   what will become values:{version}:{field}; expires
    staging:{token}:     hash     what will become packed:{version}; expires

This module reads them, and moves the pointer; `publication` writes a version, `refusal_board` has
the refusals. A version never changes once it is listed, so nothing read from here needs to be read
again.
"""

import getpass
import os
import socket
from collections.abc import Sequence
from typing import Any

import msgspec
import redis

from service.errors import VersionError
from service.store.model_keys import ModelKeys
from service.store.records import FORCED, Record, RefusalNote, SkipShadow

WAYS_BACK = 1000
KEPT_REFUSALS = 10_000  # entries of the stream


class VersionStore(ModelKeys):
    """The versions of one model in Redis. Each method may raise StoreUnavailable."""

    def active(self) -> str | None:
        """The active version."""
        with self.reaching():
            return text(self.redis.get(self.key("active")))

    def unjudged(self) -> SkipShadow | None:
        """Who wanted the active version live whatever recent requests say of it."""
        with self.reaching():
            data = self.redis.get(self.key("unjudged"))
        try:
            return None if data is None else msgspec.json.decode(data, type=SkipShadow)
        except msgspec.MsgspecError:
            return None

    def previous(self) -> list[str]:
        """What was active before, latest first."""
        with self.reaching():
            found = self.redis.lrange(self.key("previous"), 0, -1)
            return [version.decode() for version in found]

    def refusals(self) -> dict[str, RefusalNote]:
        """What live traffic refused, by version; where a user forced it since, the code is
        FORCED.
        """
        with self.reaching():
            entries = self.redis.xrange(self.key("refused"))
        latest = {}
        for _, entry in entries:
            said = {key.decode(): value.decode(errors="replace") for key, value in entry.items()}
            latest[said["version"]] = RefusalNote(said["version"], said["code"], said["reason"])
        return latest

    def refused(self) -> dict[str, RefusalNote]:
        """What live traffic refused and no user forced since, by version."""
        return {name: one for name, one in self.refusals().items() if one.code != FORCED}

    def versions(self) -> list[Record]:
        """Every published version, latest first."""
        with self.reaching():
            found = self.redis.zrevrange(self.key("versions"), 0, -1)
            return [self.record(version.decode()) for version in found]

    def record(self, version: str) -> Record:
        """The record of a published version.

        Raises:
            VersionError: it was never published, or its record cannot be read.
        """
        with self.reaching():
            data = self.redis.get(self.key("version", version))
        if data is None:
            raise VersionError(f"no version {version!r} of model {self.model!r} is published")
        try:
            return msgspec.json.decode(data, type=Record)
        except msgspec.MsgspecError as error:
            raise VersionError(f"{self.key('version', version)} in Redis: {error}") from error

    def vocabularies(self, version: str) -> dict[str, bytes]:
        """Field -> vocabulary of a version, as published; empty where there is none.

        The bytes are to be checked against the digests of the bundle's manifest.
        """
        with self.reaching():
            found = self.redis.hgetall(self.key("vocabulary", version))
            return {field.decode(): data for field, data in found.items()}

    def values_key(self, version: str, field: str) -> str:
        """The hash of a live field."""
        return self.key("values", version, field)

    def packed_key(self, version: str) -> str:
        """The hash of the chunks of a version's packed values."""
        return self.key("packed", version)

    def packed_digest(self, version: str) -> bytes | None:
        """The digest of a version's packed values; None where it has none."""
        with self.reaching():
            digest: bytes | None = self.redis.hget(self.packed_key(version), "sha256")
            return digest

    def packed_chunks(self, version: str) -> int:
        """How many chunks a version's packed values are."""
        with self.reaching():
            return int(self.redis.hlen(self.packed_key(version))) - 1

    def packed_chunk(self, version: str, number: int) -> bytes:
        """One of these chunks; empty where it is gone."""
        with self.reaching():
            return self.redis.hget(self.packed_key(version), str(number)) or b""

    def places(self, version: str, field: str, values: Sequence[str]) -> list[int | None]:
        """Where values stand in the vocabulary of a live field; None for those it lacks."""
        with self.reaching():
            found = self.redis.hmget(self.values_key(version, field), values) if values else []
            return [None if place is None else int(place) for place in found]

    def count(self, version: str, field: str) -> int:
        """How many values a live field has."""
        with self.reaching():
            return int(self.redis.hlen(self.values_key(version, field)))

    def activate(self, version: str, *, force: bool = False) -> None:
        """Make a published version the active one. With `force` it goes live whatever recent
        requests say of it, or said before.

        Raises:
            VersionError: it is not published.
        """
        active = self.key("active")
        with self.reaching(), self.redis.pipeline() as pipe:
            while True:
                pipe.watch(active, self.key("versions"))
                if pipe.zscore(self.key("versions"), version) is None:
                    raise VersionError(
                        f"no version {version!r} of model {self.model!r} is published; "
                        "afm-serve versions lists them"
                    )
                live = text(pipe.get(active))
                pipe.multi()
                self.flip(pipe, live, version, force=force)
                if executed(pipe):
                    return

    def rollback(self) -> str:
        """Make the version active that was so before, and return it; again goes further back. What
        live traffic refused is passed over.

        Raises:
            VersionError: nothing was active before.
        """
        previous, active = self.key("previous"), self.key("active")
        with self.reaching(), self.redis.pipeline() as pipe:
            while True:
                pipe.watch(previous, active, self.key("refused"))
                refused = self.refused()
                ways = [version.decode() for version in pipe.lrange(previous, 0, -1)]
                good = next((at for at, one in enumerate(ways) if one not in refused), None)
                if good is None:
                    passed = "; live traffic refused each" if ways else ""
                    raise VersionError(
                        f"model {self.model!r}: no earlier version to go back to{passed}"
                    )
                version: str = ways[good]
                pipe.multi()
                for _ in range(good + 1):
                    pipe.lpop(previous)
                pipe.set(active, version)
                self._leave_unjudged(pipe, version, "rollback")
                if executed(pipe):
                    return version

    def flip(self, pipe: Any, live: str | None, version: str, *, force: bool) -> None:
        """Queue what makes `version` the active one in the place of `live`."""
        if force:
            self._leave_unjudged(pipe, version, "force")
            lifted = {"version": version, "code": FORCED, "reason": f"by {_who()}"}
            pipe.xadd(self.key("refused"), lifted, maxlen=KEPT_REFUSALS)
        elif live != version:
            pipe.delete(self.key("unjudged"))
        if live == version:
            return
        if live is not None:
            pipe.lpush(self.key("previous"), live)
            pipe.ltrim(self.key("previous"), 0, WAYS_BACK - 1)
        pipe.set(self.key("active"), version)

    def _leave_unjudged(self, pipe: Any, version: str, why: str) -> None:
        said = SkipShadow(version, why, _who())
        pipe.set(self.key("unjudged"), msgspec.json.encode(said))


def executed(pipe: Any) -> bool:
    """Run a transaction; False: a watched key changed meanwhile, so what was decided on it must be
    decided again.
    """
    try:
        pipe.execute()
    except redis.WatchError:
        return False
    return True


def text(data: Any) -> str | None:
    """A reply as text."""
    return None if data is None else data.decode()


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
