"""Writes a version into Redis: staged first, then revealed in one transaction.

A version is written under `staging:` and appears in one transaction, which renames it, lists it and
flips `active`. What a killed publisher leaves under `staging:` the next one sweeps.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from model.values.packed_ids import DIGEST_BYTES
from service.errors import StoreError, VersionError
from service.store.records import Record
from service.store.version_store import VersionStore, executed, text

TURN_MS = 5_000  # renewed with each field; a killed publisher keeps the next one waiting so long
TURN_WAIT_SECONDS = 15.0
STAGING_SECONDS = 3600
VALUES_AT_ONCE = 10_000
CHUNK_BYTES = (1 << 20) - 64  # with what Redis keeps beside it 1 MiB, a size that allocators have
NO_FIELDS: Mapping[str, Sequence[str]] = {}


PACKED = ""  # beside the live fields, of which none has this name


class _Hash(NamedTuple):
    # what a staged hash becomes

    name: str
    size: int


class Publication:
    """A publisher's half of the store: it needs more rights than the service has."""

    def __init__(self, store: VersionStore) -> None:
        self._store = store
        self._redis = store.redis
        self._key = store.key

    def publish(
        self,
        record: Record,
        vocabularies: Mapping[str, bytes],
        live: Mapping[str, Sequence[str]] = NO_FIELDS,
        packed: bytes | bytearray = b"",
        *,
        activate: bool = True,
        force: bool = False,
    ) -> None:
        """Write a version, and make it the active one; a reader sees all of it or nothing. `live`:
        the values of its live fields, which have no other vocabulary, as those in `packed` have
        none. `force` as in VersionStore.activate.

        Raises:
            StoreError: the server's policy evicts, or another publisher intervened.
            StoreUnavailable: Redis does not answer.
        """
        if policy := self._store.evicts():
            raise StoreError(
                f"{self._store.url}: its maxmemory-policy {policy} may drop published "
                "vocabularies; set noeviction"
            )
        token = secrets.token_hex(8)
        with self._store.reaching():
            self._take_turn(token)
            self._sweep()
            hashes = {
                field: _Hash(self._store.values_key(record.version, field), len(values))
                for field, values in live.items()
            }
            if packed:
                chunks = -(-len(packed) // CHUNK_BYTES)
                hashes[PACKED] = _Hash(self._store.packed_key(record.version), chunks + 1)
            self._redis.sadd(self._key("staged"), token, *(f"{token}:{one}" for one in hashes))
            self._stage(token, vocabularies, live, memoryview(packed))
            self._reveal(token, record, len(vocabularies), hashes, activate=activate, force=force)

    def withdraw(self, record: Record) -> None:
        """Remove a version, and all that Redis has of it but a refusal.

        Raises:
            VersionError: it is active.
            StoreError, StoreUnavailable: see VersionStore.
        """
        version, active = record.version, self._key("active")
        values = [self._store.values_key(version, field) for field in record.live]
        values.append(self._store.packed_key(version))
        with self._store.reaching(), self._redis.pipeline() as pipe:
            while True:
                pipe.watch(active)
                if text(pipe.get(active)) == version:
                    raise VersionError(f"version {version!r} is active and stays")
                pipe.multi()
                pipe.zrem(self._key("versions"), version)
                pipe.lrem(self._key("previous"), 0, version)
                pipe.delete(
                    self._key("version", version), self._key("vocabulary", version), *values
                )
                if executed(pipe):
                    return

    def _take_turn(self, token: str) -> None:
        deadline = time.monotonic() + TURN_WAIT_SECONDS
        while not self._redis.set(self._key("publishing"), token, nx=True, px=TURN_MS):
            if time.monotonic() > deadline:
                raise StoreError(f"model {self._store.model!r}: another publish is under way")
            time.sleep(0.05)

    def _sweep(self) -> None:
        for token in self._redis.smembers(self._key("staged")):
            pipe = self._redis.pipeline()
            pipe.delete(self._key("staging", token.decode()))
            pipe.srem(self._key("staged"), token)
            pipe.execute()

    def _stage(
        self,
        token: str,
        vocabularies: Mapping[str, bytes],
        live: Mapping[str, Sequence[str]],
        packed: memoryview,
    ) -> None:
        for field, data in vocabularies.items():
            self._put(self._key("staging", token), {field: data})
        for field, values in live.items():
            for start in range(0, len(values), VALUES_AT_ONCE):
                some = enumerate(values[start : start + VALUES_AT_ONCE], start)
                self._put(self._key("staging", token, field), {value: at for at, value in some})
        if packed:
            digest = packed[-DIGEST_BYTES:]
            self._put(self._key("staging", token, PACKED), {"sha256": digest})
        for start in range(0, len(packed), CHUNK_BYTES):
            chunk = packed[start : start + CHUNK_BYTES]
            self._put(self._key("staging", token, PACKED), {str(start // CHUNK_BYTES): chunk})

    def _put(self, staging: str, items: Mapping[str, Any]) -> None:
        pipe = self._redis.pipeline()
        pipe.hset(staging, mapping=items)
        pipe.expire(staging, STAGING_SECONDS)
        pipe.pexpire(self._key("publishing"), TURN_MS)
        pipe.execute()

    def _reveal(
        self,
        token: str,
        record: Record,
        fields: int,
        hashes: "Mapping[str, _Hash]",
        *,
        activate: bool,
        force: bool,
    ) -> None:
        staging, turn = self._key("staging", token), self._key("publishing")
        vocabulary = self._key("vocabulary", record.version)
        with self._redis.pipeline() as pipe:
            while True:
                kept = {self._key("staging", token, name): one for name, one in hashes.items()}
                pipe.watch(staging, turn, self._key("active"), *kept)
                whole = pipe.hlen(staging) == fields and all(
                    pipe.hlen(key) == one.size for key, one in kept.items()
                )
                if not whole:  # this publisher's turn was over, and another one swept
                    raise StoreError(
                        f"model {self._store.model!r}: another publish interrupted this one; "
                        "run it again"
                    )
                active = text(pipe.get(self._key("active")))
                has_turn = text(pipe.get(turn)) == token
                pipe.multi()
                if fields:  # else all of them are live or packed
                    kept[staging] = _Hash(vocabulary, fields)
                for key, one in kept.items():
                    pipe.rename(key, one.name)
                    pipe.persist(one.name)
                pipe.srem(self._key("staged"), token, *(f"{token}:{name}" for name in hashes))
                pipe.set(self._key("version", record.version), msgspec.json.encode(record))
                pipe.zadd(self._key("versions"), {record.version: time.time()}, nx=True)
                if has_turn:
                    pipe.delete(turn)
                if activate:
                    self._store.flip(pipe, active, record.version, force=force)
                if executed(pipe):
                    return
