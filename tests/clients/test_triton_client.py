"""NVIDIA's client of the Open Inference Protocol, unchanged: equal to /predict to the bit."""

import json
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest

from commands import Serving
from tiny import tiny_rows

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "scripts" / "tritonclient_.py"
PYTHON = ROOT / ".venv" / "clients" / "bin" / "python"


@pytest.fixture
def python() -> str:
    """The Python that has the client."""
    if subprocess.run([PYTHON, "-c", "import tritonclient.http"], check=False).returncode:
        pytest.skip("no tritonclient: make clients INSTALL=1")
    return str(PYTHON)


def test_a_thousand_rows_by_json_and_bytes_are_as_predict_says(
    python: str, service: Serving, tmp_path: Path
) -> None:
    rows = [{key: row[key] for key in row if key != "click"} for row in tiny_rows(1000, seed=5)]
    for row in rows:
        row["price"] = row["price"] or None  # the script sends no text for 0
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    address = f"127.0.0.1:{service.port}"
    run = [python, str(SCRIPT), address, str(tmp_path / "rows.json"), "default"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    with httpx.Client(base_url=service.url, timeout=60) as client:
        answer = client.post("/predict", json={"instances": rows}).json()
        explained = client.post("/explain", json={"instances": rows, "top": None}).json()
    assert found["version"] == answer["version"]
    assert found["error"][0] == "404"
    assert "'default'" in found["error"][1]
    expected = answer["probabilities"]
    assert found["bytes"] == found["probability True"] == found["probability False"] == expected
    logits = [float(np.float32(one["logit"])) for one in explained["explanations"]]
    assert found["logit True"] == found["logit False"] == logits
    assert found["attention True"] == found["attention False"]
    for weights, one in zip(found["attention True"], explained["explanations"], strict=True):
        listed = sorted(pair["attention"] for pair in one["pairs"])
        assert sorted(weight for weight in weights if weight) == listed
