"""The files of the pages: small, complete, and of nothing from elsewhere."""

import gzip
import re

import pytest

from model.bundle.golden import GoldenCase
from model.page import files
from model.page.beginning import example, shown_fields
from model.schema import Schema

NAMES = files.names()
TEXTS = {name: files.read(name).decode() for name in NAMES}
SVG = "http://www.w3.org/2000/svg"
PRIVATE = """
label = "click"
[fields.user]
kind = "categorical"
private = true
[fields.at_hour]
kind = "categorical"
source = "at"
part = "hour"
private = true
[fields.at_day]
kind = "categorical"
source = "at"
part = "day"
[fields.ad]
kind = "categorical"
role = "candidate"
"""


def test_page_files_are_at_most_100_kb_gzipped() -> None:
    assert sum(len(gzip.compress(text.encode())) for text in TEXTS.values()) <= 100_000


@pytest.mark.parametrize("name", NAMES)
def test_a_page_file_names_nothing_elsewhere(name: str) -> None:
    code = re.sub(r"(?m)(^|\s)// .*", "", TEXTS[name])
    found = set(re.findall(r"(?:https?:)?//[\w.-]+[^\s\"'`]*", code))
    assert found <= {SVG, "http://127.0.0.1:8000"}


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".html")])
def test_a_page_has_no_script_or_style_within(name: str) -> None:
    assert not re.search(r"<style|\bstyle=|<script(?![^>]*\bsrc=)|\bon\w+=", TEXTS[name])


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".js")])
def test_a_page_module_imports_what_is_there(name: str) -> None:
    for names, module in re.findall(r'import \{([^}]*)\} from "\./([\w-]+\.js)"', TEXTS[name]):
        for one in names.split(","):
            declared = rf"export (?:async )?(?:function|class|const) {one.strip()}\b"
            assert not one.strip() or re.search(declared, TEXTS[module]), (module, one)


def test_a_private_field_is_not_shown_nor_one_of_the_same_source() -> None:
    schema = Schema.parse(PRIVATE)
    assert list(shown_fields(schema)) == ["ad"]
    row = {"user": "u1", "at": "2024-05-04", "ad": "a1"}
    golden = [GoldenCase("real rows", {"instances": [row, {**row, "ad": "a2"}]}, [0.1, 0.2])]
    assert example(schema, golden) == {"context": {}, "candidates": [{"ad": "a1"}, {"ad": "a2"}]}
