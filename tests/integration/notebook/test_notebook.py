"""docs/from-log-to-explanation.ipynb runs, cell by cell, without Jupyter."""

import ast
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[3] / "docs/from-log-to-explanation.ipynb"


def run_cell(source: Any, names: Any) -> Any:
    """Run a cell, and return the value of its last expression, which Jupyter would show."""
    *body, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        body, last = [*body, last], None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)  # noqa: S102  the cell is of this repository
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307  likewise


def test_cells_of_the_notebook_run_and_show_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert book["nbformat"] == 4
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells)  # what is kept could be out of date
    names = {"__name__": "notebook"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = [run_cell("".join(cell["source"]), names) for cell in cells]
    log, bundle, measured, terms, sums, moved, scores = shown
    assert len(log) == 5
    assert "<b>fm</b>" in bundle._repr_html_()
    assert measured["rows of"].to_list()[0] == "all"
    assert measured["auc"][0] > 0.65
    assert "hour x category" in terms["of"].to_list()
    assert abs(sums[0] - sums[1]) < 1e-5
    assert "hour x category" in moved
    assert scores.min() > 0.6
