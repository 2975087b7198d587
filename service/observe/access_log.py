"""One line for each request, if the settings want it, without its values and unknown paths."""

from collections.abc import Mapping
from types import MappingProxyType

import structlog

log = structlog.get_logger("access")
NOTHING: Mapping[str, str] = MappingProxyType({})


def note_access(
    status: str,
    route: str,
    seconds: float,
    rows: int | None = None,
    more: Mapping[str, str] = NOTHING,
) -> None:
    """Log an answer. `status`: "none" where the caller left before it. `rows`: where they were
    read. `more`: what the request is found by, where the log's context does not have it.
    """
    known = {} if rows is None else {"rows": rows}
    log.info("request", status=status, route=route, seconds=round(seconds, 6), **known, **more)
