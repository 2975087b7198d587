"""The Python of docs/notebook.md runs as it stands, on the tutorial's log."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from doc_blocks import blocks

LOG = next(block for block in blocks("python") if block.page == "docs/tutorial.md")
SHOWN = [block for block in blocks("python") if block.page == "docs/notebook.md"]


def run(block: Any, rows: Any = "4000") -> None:
    text = block.text.replace("4000", rows)
    exec(compile(text, str(block), "exec"), {"__name__": "block"})  # noqa: S102 the block is of docs/


def test_python_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(LOG, rows="1200")
    with pytest.warns(UserWarning, match="LEAK.*(\n.*)*impression_id|impression_id.*(\n.*)*LEAK"):
        run(SHOWN[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for block in SHOWN[1:]:
            run(block)
    assert "<Bundle " in capsys.readouterr().out
    assert Path("notebook-bundle/manifest.json").exists()
