"""The description of one metric, from which the metric is made."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar, overload

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (
    *(2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2),
    *(0.1, 0.2, 0.5, 1.0, 5.0),
)

Kind = TypeVar("Kind", bound=Counter | Gauge | Histogram)


class Spec(Generic[Kind]):
    """One metric: its `kind`, `name`, `help` and `labels`; `known`: the labels that are there from
    the first scrape on; `mode`: how a gauge is put together of several workers.

    In a class it describes an attribute, which holds the metric in each instance.
    """

    def __init__(
        self,
        kind: type[Kind],
        name: str,
        help: str,  # noqa: A002  as Prometheus calls it
        labels: Sequence[str] = (),
        known: Iterable[Sequence[str]] = (),
        *,
        mode: Any = "livesum",
    ) -> None:
        self.kind = kind
        self.name = name
        self.help = help
        self.labels = labels
        self.known = list(known)
        self.mode = mode

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute

    @overload
    def __get__(self, instance: None, owner: type) -> "Spec[Kind]": ...

    @overload
    def __get__(self, instance: object, owner: type) -> Kind: ...

    def __get__(self, instance: object | None, owner: type) -> "Spec[Kind] | Kind":
        # of an instance only before it is made: from then on its own attribute hides this one
        if instance is None:
            return self
        raise AttributeError(self.attribute)

    def made(self, registry: CollectorRegistry) -> Kind:
        """The metric, in a registry."""
        further: dict[str, Any] = {}
        if self.kind is Histogram:
            further["buckets"] = SECONDS
        if self.kind is Gauge:
            further["multiprocess_mode"] = self.mode
        make: Any = self.kind
        made: Kind = make(self.name, self.help, self.labels, registry=registry, **further)
        for labels in self.known:
            made.labels(*labels)
        return made
