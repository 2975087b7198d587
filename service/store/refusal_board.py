"""What workers serve and refuse while they are connected, and what live traffic refused for good.

A worker says what it answers by, and what it refuses, in the name of its connection (CLIENT
SETNAME): that needs no right to write, works where Redis takes no writes, and is ends with the
worker. The name is `afm:{model}:worker:` and `WorkerState` as JSON in base64.

What live traffic refused outlives the workers: it is added to the stream `afm:{model}:refused`, the
one key that the service writes. A stream, since the right to XADD harms no key of another type.
"""

import base64
import secrets
import time

import msgspec

from service.store.records import RefusalNote, WorkerState
from service.store.version_store import KEPT_REFUSALS, VersionStore

LOOK_SECONDS = 0.02
LONGEST_REASON = 500  # characters of it that a connection's name holds


class RefusalBoard:
    """The refusals of one model's versions, on the connection of a store; each method may raise
    StoreError and StoreUnavailable.
    """

    def __init__(self, store: VersionStore) -> None:
        self._store = store
        self._worker = secrets.token_hex(8)

    def announce(self, live: str | None, refused: RefusalNote | None) -> None:
        """Publish which version this worker serves, and which one it refuses."""
        if refused is not None:
            refused = msgspec.structs.replace(refused, reason=refused.reason[:LONGEST_REASON])
        state = msgspec.json.encode(WorkerState(self._worker, live, refused))
        name = self._store.key("worker", base64.b64encode(state).decode())
        with self._store.reaching():
            self._store.redis.client_setname(name)

    def workers(self) -> list[WorkerState]:
        """Each connected worker, in no order."""
        found: dict[str, WorkerState] = {}
        with self._store.reaching():
            for look in range(2):
                # a worker renews its connection now and then, and is nameless for a moment
                time.sleep(LOOK_SECONDS * look)
                found |= self._named(self._store.redis.client_list())
        return list(found.values())

    def refusals_of_workers(self) -> list[RefusalNote]:
        """What each connected worker refuses that does refuse; in no order."""
        return [one.refused for one in self.workers() if one.refused is not None]

    def record(self, refused: RefusalNote) -> None:
        """Keep that live traffic refused a version: until a user forces it, no worker serves it,
        neither now nor after it was started again.
        """
        if refused.version in self._store.refused():
            return
        entry = msgspec.structs.asdict(refused)
        with self._store.reaching():
            self._store.redis.xadd(self._store.key("refused"), entry, maxlen=KEPT_REFUSALS)

    def _named(self, clients: list[dict[str, str]]) -> dict[str, WorkerState]:
        before = self._store.key("worker", "")
        database = str(self._store.redis.connection_pool.connection_kwargs.get("db") or 0)
        found = {}
        for client in clients:
            if client["db"] == database and client["name"].startswith(before):
                try:
                    said = base64.b64decode(client["name"].removeprefix(before))
                    state = msgspec.json.decode(said, type=WorkerState)
                except ValueError:
                    continue  # of a service of another version
                found[state.worker] = state
        return found
