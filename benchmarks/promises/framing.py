"""Streams of requests, valid, odd and broken, in random pieces, against a plain, slow reading of
the same bytes (tests/support/plain_http.py): never more answers than requests, never one to bytes
of a body.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from bundles import tiny_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(
    0, str(Path(__file__).parents[2] / "tests/support")
)  # what makes and reads the streams
from commands import Commands
from service.http.access.api_keys import make_key
from streams import MOST_BODY, Asked, streams

STREAMS, AT_ONCE = 20_000, 40


def measure() -> list[tuple[str, str, str]]:
    """Send them all to one worker that asks for API keys."""
    sent = answers = 0
    with tempfile.TemporaryDirectory(prefix="afm-framing-") as folder:
        home = Path(folder)
        commands = Commands(home)
        keys = {right: make_key(home / "keys", right, [right]) for right in ("predict", "admin")}
        commands.publish(tiny_bundle(home / "tiny").directory)
        limits: dict[str, Any] = {
            "AFM_API_KEYS": str(home / "keys"),
            "AFM_MAX_BODY_BYTES": str(MOST_BODY),
        }
        with commands.serving(**limits) as served:
            served.wait_until("/readyz", lambda answer: answer.status_code == 200)
            asked = Asked(served.port, keys)

            @settings(
                max_examples=STREAMS // AT_ONCE,
                suppress_health_check=list(HealthCheck),
                database=None,
                deadline=None,
            )
            @given(cases=st.lists(streams(), min_size=AT_ONCE, max_size=AT_ONCE))
            def compare(cases: list[tuple[bytes, list[int]]]) -> None:
                nonlocal sent
                assert asked.differences(cases) == []
                sent += len(cases)

            compare()
            answers = asked.answers
            logged = served.log.read_text()
    assert "Traceback" not in logged, logged
    assert sent >= STREAMS, sent
    return [
        (
            f"{sent:,} streams of 1 to 4 requests in random pieces, {AT_ONCE} at once",
            f"{answers:,} answers, no difference",
            "as a plain parser reads them",
        )
    ]
