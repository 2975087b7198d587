"""report.html of real fits: whole, of one file, escaped, and true to the manifest."""

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle.bundle import Bundle
from model.bundle.files import REPORT
from model.errors import BundleError
from model.schema import Schema
from tiny import tiny_rows
from training.config import Config, Step
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher
from training.report.learning_section import stage_words

VOID = {"meta", "br", "hr", "img", "link", "input"}
HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Reads a page; every element must be closed in its turn."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str | None] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: Any, attributes: Any) -> None:
        self.seen.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href", "srcset", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: Any, attributes: Any) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: Any) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: Any) -> None:
        self.words.append(data)

    @property
    def text(self) -> Any:
        return re.sub(r"\s+", " ", " ".join(self.words))


def text_of(bundle: Any) -> Any:
    return (bundle.directory / REPORT).read_text(encoding="utf-8")


def fitted(
    out: Any,
    rows: Any,
    schema: Any,
    net: Any = "fm",
    test: Any = None,
    valid: Any = None,
    **step: Any,
) -> Any:
    def log(rows: Any) -> Any:
        columns = {name: [row[name] for row in rows] for name in schema.fields}
        return Log(columns, np.array([row[schema.label] for row in rows], np.float32))

    settings = Step(**{"epochs": 1, "batch": 256} | step)
    config = Config(net=net, embedding=4, attention_size=4, fit=settings, attention=settings)
    fit(log(rows), valid and log(valid), test and log(test), schema, config, out, 1, Watcher())
    return Bundle.open(out)


@pytest.mark.parametrize("net", ["lr", "fm", "afm"])
def test_a_report_is_one_balanced_page_without_outside_assets(
    make_bundle: Callable[..., Bundle], net: str
) -> None:
    text = text_of(make_bundle(net))
    page = Page(text)
    assert page.links == []
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(page.seen)
    assert not re.search(r"https?:|url\(|@import", text)
    assert not re.search(r"\b(nan|inf)\b", text, re.IGNORECASE)
    assert page.seen.count("svg") >= 6
    assert len(text) < 300_000


def test_a_report_says_what_the_manifest_says(tiny_bundle: Bundle) -> None:
    text = Page(text_of(tiny_bundle)).text
    for value in tiny_bundle.manifest.metrics["valid"].values():
        if value is None:
            continue  # a figure that this task or log has not
        assert (f"{value:.4f}" if isinstance(value, float) else str(value)) in text
    for title in ("Learning", "Ranking", "Calibration", "Pairs", "Timings", "Settings", "Missing"):
        assert title in text
    assert "config.attention.learning_rate 0.02" in text
    assert "This model's attention" in text
    assert "attention stage" in text
    for field in tiny_bundle.schema.fields:
        assert field in text


def test_the_planted_pair_is_among_the_strongest(tmp_path: Path, tiny_schema: Schema) -> None:
    settings = {"epochs": 20, "learning_rate": 0.02, "dropout": 0.0}
    test = tiny_rows(1500, seed=3)
    bundle = fitted(tmp_path / "out", tiny_rows(3000), tiny_schema, test=test, **settings)
    text = Page(text_of(bundle)).text
    assert "move the score most: device × ad" in text
    rows = re.findall(r"device (ios|android|web) ad (a\d+) ([+-][0-9.]+)", text)
    first = {(device, ad): float(size) for device, ad, size in rows}
    liked = [size for (device, ad), size in first.items() if device == "ios" and ad in "a1 a2 a3"]
    assert liked
    assert min(liked) > 0


def test_the_report_is_a_file_of_the_bundle_and_its_digest_is_checked(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    assert REPORT in tiny_bundle.manifest.files
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle.directory, copy)
    Bundle.open(copy)
    report = copy / REPORT
    report.write_text(report.read_text().replace("Figures", "Fingers"))
    with pytest.raises(BundleError, match=r"report\.html: damaged"):
        Bundle.open(copy)


def test_names_and_values_of_the_log_are_shown_as_text(tmp_path: Path) -> None:
    name = f'"{HOSTILE}'
    schema = Schema.parse(
        'label = "click"\n'
        f'[fields."\\"{HOSTILE}"]\nkind = "categorical"\n'
        '[fields.ad]\nkind = "categorical"\n'
    )
    rng = np.random.default_rng(0)
    values = [f"{HOSTILE}&{i}" for i in range(3)]
    rows = [
        {name: values[rng.integers(3)], "ad": f"'\"<b>{rng.integers(3)}", "click": rng.integers(2)}
        for _ in range(400)
    ]
    text = text_of(fitted(tmp_path / "out", rows, schema, test=rows))
    assert "<script" not in text
    assert "<b>" not in text
    page = Page(text)
    assert f"{HOSTILE}&1" in page.text
    assert "'\"<b>2" in page.text


def test_a_value_of_any_length_is_cut(tmp_path: Path) -> None:
    schema = Schema.parse(
        'label = "click"\n[fields.page]\nkind = "categorical"\n[fields.ad]\nkind = "categorical"\n'
    )
    rng = np.random.default_rng(0)
    rows = [
        {"page": "x" * 5000, "ad": f"a{rng.integers(3)}", "click": rng.integers(2)}
        for _ in range(300)
    ]
    text = text_of(fitted(tmp_path / "out", rows, schema, test=rows))
    assert max(map(len, re.findall("x+", text))) == 59


def test_rare_values_are_not_shown(tmp_path: Path) -> None:
    schema = Schema.parse(
        'label = "click"\n'
        '[fields.user]\nkind = "categorical"\nmin_count = 60\n'
        '[fields.ad]\nkind = "categorical"\n'
    )
    rng = np.random.default_rng(0)
    users = ["often"] * 400 + ["sometimes"] * 45 + [f"person-{i}" for i in range(155)]
    rows = [{"user": user, "ad": f"a{rng.integers(4)}", "click": rng.integers(2)} for user in users]
    text = Page(text_of(fitted(tmp_path / "out", rows, schema, test=rows))).text
    assert "often" in text
    assert "sometimes" not in text
    assert "person-" not in text


def test_test_rows_are_what_the_charts_show(tmp_path: Path, tiny_schema: Schema) -> None:
    rows = tiny_rows()
    bundle = fitted(tmp_path / "out", rows, tiny_schema, test=rows[:200])
    text = Page(text_of(bundle)).text
    assert "Ranking (test)" in text
    assert "On test (200 rows)" in text
    assert "Unknown" in text


def test_one_field_alone_has_no_pairs_and_a_report(tmp_path: Path) -> None:
    schema = Schema.parse('label = "click"\n[fields.device]\nkind = "categorical"\n')
    text = text_of(fitted(tmp_path / "out", tiny_rows(), schema))
    assert "no terms of single pairs" in Page(text).text


def test_a_log_without_values_has_a_report(tmp_path: Path, tiny_schema: Schema) -> None:
    rows = [dict.fromkeys(row) | {"click": row["click"]} for row in tiny_rows(300)]
    # rows that are all alike cannot be split by what they hold
    Page(text_of(fitted(tmp_path / "out", rows, tiny_schema, valid=rows)))


def epoch(step: Any, loss: Any, best: Any, auc: Any = 0.7) -> Any:
    return {"step": step, "valid_loss": loss, "valid_auc": auc, "best": best}


def test_the_report_says_what_the_attention_stage_changed() -> None:
    before = [epoch("fm", 0.5, True), epoch("fm", 0.4, True), epoch("fm", 0.45, False)]

    def said(*after: Any) -> Any:
        (sentence,) = stage_words({"epochs": [*before, *after]})
        return sentence

    better = said(epoch("afm", 0.39, True, 0.72), epoch("afm", 0.41, False))
    assert better.startswith("The attention stage lowered valid logloss by 0.0100")
    assert "fm reached valid logloss 0.4000, AUC 0.7000, afm 0.3900, AUC 0.7200" in better
    raised = "The attention stage raised valid logloss by 0.0300"
    assert said(epoch("afm", 0.43, True)).startswith(raised)
    assert "no epoch of afm improved" in said(epoch("afm", 0.6, False))
    assert stage_words({"epochs": before}) == []
    assert stage_words({}) == []
