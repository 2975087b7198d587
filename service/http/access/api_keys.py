"""API keys: a file of hashed ones with their rights, read again when it changes.

A line for each: `NAME SHA256 RIGHTS`, as in `shop 9f86d0…0a08 predict,explain`; `#` begins a
comment. A key has 256 random bits, so that its plain SHA-256 is of no use to who reads the file.
"""

import asyncio
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import structlog

from service.errors import SettingsError
from service.setting_groups import NAME

RIGHTS = ("predict", "explain", "admin")
NAME_HAS = "a name has letters, digits, '.', '_', '-'"
KEYS = "keys"  # the name of the file where a folder is given
WATCH_SECONDS = 0.5  # between two looks at the file

log = structlog.get_logger()


class ApiKey(NamedTuple):
    """A key as it is stored: its SHA-256 `digest`, 32 bytes, and its `rights`, some of RIGHTS."""

    name: str
    digest: bytes
    rights: frozenset[str]


class _Stamp(NamedTuple):
    changed: int
    size: int
    number: int
    names: int  # none: the file was replaced or removed, and is still open or mounted


class ApiKeys:
    """The keys in a file.

    Raises:
        SettingsError: it cannot be read, or a line of it is not a key; names only the
            line's number, as what stands there may be a key that somebody forgot to hash.
    """

    def __init__(self, path: Path) -> None:
        self._path = path = key_file(path)
        self._stamp = _stamp(path)
        self._keys = _read(path)
        self._fault: str | None = None

    def find(self, key: bytes) -> ApiKey | None:
        """The holder of a key; takes as long for a wrong key."""
        digest = hashlib.sha256(key).digest()
        found = None
        for known in self._keys:  # to the end: the time taken must not show which one came near
            if hmac.compare_digest(known.digest, digest):
                found = known
        return found

    def refresh(self) -> bool:
        """Read the file again if it changed; returns whether the keys are those of the file.

        A file that cannot be used leaves the keys as they are, and is logged once.
        """
        stamp = _stamp(self._path)
        if stamp is not None and not stamp.names and self._fault is None:
            # a file that a container was given by itself, and that was replaced outside
            self._fault = f"{self._path} was replaced where this process cannot see it"
            log.error("api keys are old; mount their folder, not the file", reason=self._fault)
            return False
        if stamp == self._stamp:
            return self._fault is None
        self._stamp = stamp
        try:
            self._keys = _read(self._path)
        except SettingsError as error:
            self._fault = str(error)
            log.error("api keys stay as they were", reason=self._fault)
        else:
            self._fault = None
            log.info("api keys read again", keys=len(self._keys))
        return self._fault is None

    @asynccontextmanager
    async def watched(self, report: Callable[[bool], object]) -> AsyncIterator[None]:
        """Refresh now and then, and `report` whether it worked, while the block runs."""

        async def watch() -> None:
            while True:
                report(await asyncio.to_thread(self.refresh))
                await asyncio.sleep(WATCH_SECONDS)

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()


def key_file(path: Path) -> Path:
    """The file of keys that a setting names, itself or by its folder."""
    return path / KEYS if path.is_dir() else path


def make_key(path: Path, name: str, rights: list[str]) -> str:
    """Add a new key's hash to the file, which is made when absent, and return the key: it is stored
    nowhere else.

    Raises:
        SettingsError: the file cannot be used, has this name, or name or rights are none.
    """
    path = key_file(path)
    if not re.fullmatch(NAME, name):  # before a line is made of it, which a space would divide
        raise SettingsError(f"NAME: {NAME_HAS}")
    key = f"afm_{secrets.token_urlsafe(32)}"
    line = f"{name} {hashlib.sha256(key.encode()).hexdigest()} {','.join(rights)}"
    _parse(line, "afm-serve key")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "r+", encoding="utf-8") as file:
            before = file.read()
            if name in {known.name for known in _parse(before, str(path))}:
                raise SettingsError(f"{path}: has a key {name!r} already; take its line out first")
            # in one write: a service that reads it now sees a line or none
            file.write(("" if before.endswith("\n") or not before else "\n") + line + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be used for API keys: {_why(error)}") from error
    return key


def _read(path: Path) -> tuple[ApiKey, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"AFM_API_KEYS: {path} cannot be read: {_why(error)}") from error
    return _parse(text, f"AFM_API_KEYS: {path}")


def _parse(text: str, source: str) -> tuple[ApiKey, ...]:
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"{source}, line {number}"
        if len(words) != 3:
            raise SettingsError(f"{where}: not a name, a SHA-256 and rights")
        name, digest, rights = words
        if not re.fullmatch(NAME, name):
            raise SettingsError(f"{where}: {NAME_HAS}")
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise SettingsError(f"{where}: the second word is not a SHA-256 in hexadecimal")
        given = frozenset(rights.split(","))
        if not given <= set(RIGHTS):
            raise SettingsError(f"{where}: rights are some of {','.join(RIGHTS)}")
        if name in keys:
            raise SettingsError(f"{where}: a second key of this name")
        keys[name] = ApiKey(name, bytes.fromhex(digest), given)
    return tuple(keys.values())


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Stamp(found.st_mtime_ns, found.st_size, found.st_ino, found.st_nlink)


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else "not UTF-8"
