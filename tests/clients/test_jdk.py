"""The JDK's HttpClient by its defaults, which offers h2c in every request."""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from commands import Serving
from proxies import needed

SCRIPT = Path(__file__).parent / "scripts" / "JdkClient.java"
LARGE = 4500  # candidates, of some 450 bytes each


@pytest.mark.parametrize(
    ("rows", "times", "how"), [(2, 1000, "sync"), (2, 1000, "async"), (LARGE, 30, "sync")]
)
def test_the_jdk_s_client_gets_200_alone(
    service: Serving, tmp_path: Path, rows: Any, times: int, how: str
) -> None:
    body = tmp_path / "body.json"
    row = {"ad": "a1", "price": 1.5, "interests": None} | (
        {"nothing": "x" * 400} if rows > 2 else {}
    )
    body.write_text(json.dumps({"context": {"device": "ios"}, "candidates": [row] * rows}))
    assert rows == 2 or body.stat().st_size > 2_000_000
    run = [needed("java"), str(SCRIPT), service.url, str(body), str(times), how]
    done = subprocess.run(run, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert Counter(done.stdout.split()) == {"200": times}
    assert "pgrade" not in service.log.read_text()
