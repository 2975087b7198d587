"""Several watchers as one."""

from typing import Any

from training.fit.step.watcher import Forwarding, Watcher


def together(*watchers: Watcher) -> Watcher:
    """One that calls each of them, in their order."""
    return _Several(*watchers)


class _Several(Forwarding):
    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def forward(self, name: str, *given: Any) -> None:
        for one in self._watchers:
            getattr(one, name)(*given)
