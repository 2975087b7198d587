"""Every key in Redis, with its reader and its writer: published versions and which one is active.

All keys start with `afm:{model}:`.

    active               string   the active version; absent while there is none
    unjudged             string   JSON of `Unjudged`: who wants `active` live without a judgement
    previous             list     what was active before, latest first: the way back of `rollback`
    versions             zset     every whole version by its time of publication (Unix seconds)
    version:{version}    string   JSON of `Record`
    vocabulary:{version} hash     field -> its vocabulary file, byte for byte as in the bundle
    values:{version}:{field}  hash  of a live field instead: value -> its place in the vocabulary
    publishing           string   the token of the publisher whose turn it is; expires
    staged               set      what follows staging: of publishers that began and did not end
    staging:{token}      hash     what will become vocabulary:{version}; expires
    staging:{token}:{field}  hash   what will become values:{version}:{field}; expires

A worker that refuses the active version says so in the name of its connection (CLIENT SETNAME): it
needs no right to write, works where Redis takes no writes, and is gone with the worker. The name is
`afm:{model}:refused:` and `Refused` as JSON in base64.

A version is written under `staging:` and appears in one transaction, which renames it, lists it and
flips `active`. What a killed publisher leaves under `staging:` the next one sweeps. A version never
changes once it is listed, so nothing read from here needs to be read again.
"""

import base64
import getpass
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import redis

from service.errors import StoreError, StoreUnavailable, VersionError
from service.settings import without_password
from service.store.redis_client import redis_client

TURN_MS = 5_000  # renewed with each field; a killed publisher keeps the next one waiting so long
TURN_WAIT_SECONDS = 15.0
STAGING_SECONDS = 3600
WAYS_BACK = 1000
VALUES_AT_ONCE = 10_000
NO_FIELDS: Mapping[str, Sequence[str]] = {}
LOOK_SECONDS = 0.02
LONGEST_REASON = 500  # characters of it that a connection's name holds


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


class Refused(msgspec.Struct, frozen=True):
    """A version that a worker may not serve: `code` says why in a word, `reason` in a line."""

    version: str
    code: str
    reason: str


class Unjudged(msgspec.Struct, frozen=True):
    """Who wants a version live whatever recent requests say of it; `why`: rollback or force."""

    version: str
    why: str
    by: str


class VocabularyStore:
    """The versions of one model in Redis. Each method may raise StoreUnavailable.

    Connects when first used; `timeout` in seconds is for one command. Not shared between threads.
    """

    def __init__(self, url: str, model: str, timeout: float = 1.0) -> None:
        self.url = without_password(url)
        self.model = model
        self._redis = redis_client(url, timeout)

    def close(self) -> None:
        """Close the connection; it is made anew when next used."""
        self._redis.close()

    def active(self) -> str | None:
        """The active version."""
        with self._reaching():
            return _text(self._redis.get(self._key("active")))

    def unjudged(self) -> Unjudged | None:
        """Who wanted the active version live whatever recent requests say of it."""
        with self._reaching():
            data = self._redis.get(self._key("unjudged"))
        try:
            return None if data is None else msgspec.json.decode(data, type=Unjudged)
        except msgspec.MsgspecError:
            return None

    def versions(self) -> list[Record]:
        """Every published version, latest first."""
        with self._reaching():
            found = self._redis.zrevrange(self._key("versions"), 0, -1)
            return [self.record(version.decode()) for version in found]

    def record(self, version: str) -> Record:
        """The record of a published version.

        Raises:
            VersionError: it was never published, or its record cannot be read.
        """
        with self._reaching():
            data = self._redis.get(self._key("version", version))
        if data is None:
            raise VersionError(f"no version {version!r} of model {self.model!r} is published")
        try:
            return msgspec.json.decode(data, type=Record)
        except msgspec.MsgspecError as error:
            raise VersionError(f"{self._key('version', version)} in Redis: {error}") from error

    def vocabularies(self, version: str) -> dict[str, bytes]:
        """Field -> vocabulary of a version, as published; empty where there is none.

        The bytes are to be checked against the digests of the bundle's manifest.
        """
        with self._reaching():
            found = self._redis.hgetall(self._key("vocabulary", version))
            return {field.decode(): data for field, data in found.items()}

    def values_key(self, version: str, field: str) -> str:
        """The hash of a live field."""
        return self._key("values", version, field)

    def places(self, version: str, field: str, values: Sequence[str]) -> list[int | None]:
        """Where values stand in the vocabulary of a live field; None for those it lacks."""
        with self._reaching():
            found = self._redis.hmget(self.values_key(version, field), values) if values else []
            return [None if place is None else int(place) for place in found]

    def count(self, version: str, field: str) -> int:
        """How many values a live field has."""
        with self._reaching():
            return int(self._redis.hlen(self.values_key(version, field)))

    def evicts(self) -> str | None:
        """The server's eviction policy where it may drop what is published, else None."""
        with self._reaching():
            memory = self._redis.info("memory")
        policy = str(memory.get("maxmemory_policy", ""))
        # the volatile- policies drop what expires, and nothing that is published does
        return policy if memory.get("maxmemory") and policy.startswith("allkeys") else None

    def tell(self, refused: Refused | None) -> None:
        """Say that this worker refuses a version, or that it does no longer."""
        name = ""
        if refused is not None:
            cut = msgspec.structs.replace(refused, reason=refused.reason[:LONGEST_REASON])
            name = self._key("refused", base64.b64encode(msgspec.json.encode(cut)).decode())
        with self._reaching():
            self._redis.client_setname(name)

    def told(self) -> list[Refused]:
        """What each connected worker refuses that does refuse; in no order."""
        before = self._key("refused", "")
        database = str(self._redis.connection_pool.connection_kwargs.get("db") or 0)
        with self._reaching():
            looks = [self._redis.client_list()]
            # a worker renews its connection now and then, and is nameless for a moment
            time.sleep(LOOK_SECONDS)
            looks.append(self._redis.client_list())
        return max((self._refused(clients, before, database) for clients in looks), key=len)

    def _refused(self, clients: list[dict[str, str]], before: str, database: str) -> list[Refused]:
        found = []
        for client in clients:
            if client["db"] == database and client["name"].startswith(before):
                try:
                    said = base64.b64decode(client["name"].removeprefix(before))
                    found.append(msgspec.json.decode(said, type=Refused))
                except ValueError:
                    continue  # of a service of another version
        return found

    def publish(
        self,
        record: Record,
        vocabularies: Mapping[str, bytes],
        live: Mapping[str, Sequence[str]] = NO_FIELDS,
        *,
        activate: bool = True,
        force: bool = False,
    ) -> None:
        """Write a version, and make it the active one; a reader sees all of it or nothing. `live`:
        the values of its live fields, which have no other vocabulary. With `force` it goes live
        whatever recent requests say of it.

        Raises:
            StoreError: the server's policy evicts, or another publisher intervened.
        """
        if policy := self.evicts():
            raise StoreError(
                f"{self.url}: its maxmemory-policy {policy} may drop published vocabularies; "
                "set noeviction"
            )
        token = secrets.token_hex(8)
        with self._reaching():
            self._take_turn(token)
            self._sweep()
            self._stage(token, vocabularies, live)
            counts = {field: len(values) for field, values in live.items()}
            self._reveal(token, record, len(vocabularies), counts, activate, force)

    def activate(self, version: str, *, force: bool = False) -> None:
        """Make a published version the active one. `force` as in `publish`.

        Raises:
            VersionError: it is not published.
        """
        active = self._key("active")
        with self._reaching(), self._redis.pipeline() as pipe:
            while True:
                pipe.watch(active, self._key("versions"))
                if pipe.zscore(self._key("versions"), version) is None:
                    raise VersionError(
                        f"no version {version!r} of model {self.model!r} is published; "
                        "afm-serve versions lists them"
                    )
                live = _text(pipe.get(active))
                pipe.multi()
                self._flip(pipe, live, version, force)
                if _executed(pipe):
                    return

    def rollback(self) -> str:
        """Make the version active that was so before, and return it; again goes further back.

        Raises:
            VersionError: nothing was active before.
        """
        previous, active = self._key("previous"), self._key("active")
        with self._reaching(), self._redis.pipeline() as pipe:
            while True:
                pipe.watch(previous, active)
                version = _text(pipe.lindex(previous, 0))
                if version is None:
                    raise VersionError(f"model {self.model!r}: no earlier version to go back to")
                pipe.multi()
                pipe.lpop(previous)
                pipe.set(active, version)
                self._leave_unjudged(pipe, version, "rollback")
                if _executed(pipe):
                    return version

    def _take_turn(self, token: str) -> None:
        deadline = time.monotonic() + TURN_WAIT_SECONDS
        while not self._redis.set(self._key("publishing"), token, nx=True, px=TURN_MS):
            if time.monotonic() > deadline:
                raise StoreError(f"model {self.model!r}: another publish is under way")
            time.sleep(0.05)

    def _sweep(self) -> None:
        for token in self._redis.smembers(self._key("staged")):
            pipe = self._redis.pipeline()
            pipe.delete(self._key("staging", token.decode()))
            pipe.srem(self._key("staged"), token)
            pipe.execute()

    def _stage(
        self, token: str, vocabularies: Mapping[str, bytes], live: Mapping[str, Sequence[str]]
    ) -> None:
        staged = [token, *(f"{token}:{field}" for field in live)]
        self._redis.sadd(self._key("staged"), *staged)
        for field, data in vocabularies.items():
            self._put(self._key("staging", token), {field: data})
        for field, values in live.items():
            for start in range(0, len(values), VALUES_AT_ONCE):
                some = enumerate(values[start : start + VALUES_AT_ONCE], start)
                self._put(self._key("staging", token, field), {value: at for at, value in some})

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
        live_counts: Mapping[str, int],
        activate: bool,
        force: bool,
    ) -> None:
        staging, turn = self._key("staging", token), self._key("publishing")
        vocabulary = self._key("vocabulary", record.version)
        with self._redis.pipeline() as pipe:
            while True:
                kept = {field: self._key("staging", token, field) for field in live_counts}
                pipe.watch(staging, turn, self._key("active"), *kept.values())
                whole = pipe.hlen(staging) == fields and all(
                    pipe.hlen(kept[field]) == count for field, count in live_counts.items()
                )
                if not whole:  # our turn was over, and another one swept
                    raise StoreError(f"model {self.model!r}: another publish came between; again")
                active = _text(pipe.get(self._key("active")))
                ours = _text(pipe.get(turn)) == token
                pipe.multi()
                pipe.rename(staging, vocabulary)
                pipe.persist(vocabulary)
                for field, key in kept.items():
                    values = self.values_key(record.version, field)
                    pipe.rename(key, values)
                    pipe.persist(values)
                pipe.srem(self._key("staged"), token, *(f"{token}:{field}" for field in kept))
                pipe.set(self._key("version", record.version), msgspec.json.encode(record))
                pipe.zadd(self._key("versions"), {record.version: time.time()}, nx=True)
                if ours:
                    pipe.delete(turn)
                if activate:
                    self._flip(pipe, active, record.version, force)
                if _executed(pipe):
                    return

    def _flip(self, pipe: Any, live: str | None, version: str, force: bool) -> None:
        if force:
            self._leave_unjudged(pipe, version, "force")
        elif live != version:
            pipe.delete(self._key("unjudged"))
        if live == version:
            return
        if live is not None:
            pipe.lpush(self._key("previous"), live)
            pipe.ltrim(self._key("previous"), 0, WAYS_BACK - 1)
        pipe.set(self._key("active"), version)

    def _leave_unjudged(self, pipe: Any, version: str, why: str) -> None:
        said = Unjudged(version, why, _who())
        pipe.set(self._key("unjudged"), msgspec.json.encode(said))

    def _key(self, *parts: str) -> str:
        return ":".join(("afm", self.model, *parts))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except redis.ResponseError as error:
            raise StoreError(f"Redis at {self.url} refuses: {error}") from error
        except (redis.RedisError, OSError) as error:
            raise StoreUnavailable(f"Redis at {self.url} cannot be reached: {error}") from error


def _executed(pipe: Any) -> bool:
    # False: a watched key changed meanwhile, so what was decided on it must be decided anew
    try:
        pipe.execute()
    except redis.WatchError:
        return False
    return True


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _text(data: Any) -> str | None:
    return None if data is None else data.decode()
