"""The reference pages name what the code has, and nothing else."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from doc_tables import table
from model.bundle import files
from model.held_out import HeldOut
from model.manifest import Calibration, Dimensions, Manifest
from model.schema import CategoricalField, MultivalueField, NumericField, Schema
from model.values.scales import Bins, Scaler
from model.vocabulary import Buckets, Vocabulary
from service.http.access.auth import OPEN, needed
from service.http.endpoints.request_bodies import (
    ExplainInstancesRequest,
    InstancesRequest,
    WhatIfInstancesRequest,
)
from service.http.openapi import document

ROOT = Path(__file__).parents[3]
PAGES_FOR_PEOPLE = {"/", "/model.html", "/docs", "/openapi.json"}
KINDS: list[Any] = [CategoricalField, NumericField, MultivalueField]


def written(default: Any) -> str:
    """A default as TOML has it."""
    if default is None or default is PydanticUndefined:
        return "none"
    return f"`{json.dumps(list(default) if isinstance(default, tuple) else default)}`"


def test_schema_page_has_every_key_with_its_default() -> None:
    shown = table("schema.md", "key", "default", "meaning")
    assert {name: cells[0] for name, cells in shown.items()} == {
        name: written(field.default) for name, field in Schema.model_fields.items()
    }


def test_schema_page_has_every_key_of_a_field_with_its_default_and_its_kinds() -> None:
    expected: dict[str, list[str]] = {}
    for kind in KINDS:
        of = kind.model_fields["kind"].annotation.__args__[0]
        for name, field in kind.model_fields.items():
            expected.setdefault(name, [written(field.default)]).append(of)
    shown = table("schema.md", "key", "default", "fields")
    assert {name: cells[:2] for name, cells in shown.items()} == {
        name: [default, "all" if len(of) == len(KINDS) else ", ".join(of)]
        for name, (default, *of) in expected.items()
    }


@pytest.mark.parametrize(
    ("head", "part"),
    [
        ("key", Manifest),
        ("key of `dimensions`", Dimensions),
        ("key of `calibration`", Calibration),
        ("key of `held_out`", HeldOut),
    ],
)
def test_bundle_page_has_every_key_of_the_manifest(head: str, part: Any) -> None:
    assert table("bundle.md", head).keys() == part.model_fields.keys()


def test_bundle_page_has_every_file() -> None:
    names = {value for name, value in vars(files).items() if name.isupper() and name[0] != "_"}
    shown = table("bundle.md", "file", "content", "always there")
    assert shown.keys() == {*names, files.vocabulary_file("FIELD")}
    required = {name for name, cells in shown.items() if cells[1] == "yes"}
    assert required - {files.MANIFEST, files.vocabulary_file("FIELD")} == files._REQUIRED


def test_bundle_page_has_every_kind_of_a_vocabulary_with_its_keys() -> None:
    shown = table("bundle.md", "`kind`", "other keys")
    expected = {
        kind.kind: {"refused" if name == "rare_counts" else name for name in kind.__annotations__}
        - {"kind"}
        for kind in (Vocabulary, Buckets, Bins, Scaler)
    }
    assert shown.keys() == expected.keys()
    for kind, keys in expected.items():
        assert keys <= set(re.findall(r"`(\w+)`", shown[kind][0]))


def test_http_page_has_every_path_with_its_method_and_right() -> None:
    paths = document("x")["paths"]
    expected = {path: next(iter(methods)).upper() for path, methods in paths.items()}
    shown = table("http.md", "path", "method", "right")
    assert {name: cells[0] for name, cells in shown.items()} == {
        **expected,
        **dict.fromkeys(PAGES_FOR_PEOPLE, "GET"),
    }
    for path, cells in shown.items():
        right = "none" if path in OPEN else f"`{needed(path)}`"
        assert cells[1] == right, path


def test_http_page_has_every_key_of_a_request_beside_the_rows() -> None:
    structs = (InstancesRequest, ExplainInstancesRequest, WhatIfInstancesRequest)
    keys = {name for struct in structs for name in struct.__struct_fields__} - {"instances"}
    assert table("http.md", "key", "default", "meaning").keys() == keys


def test_cli_page_is_what_its_script_writes() -> None:
    spec = importlib.util.spec_from_file_location("cli_page", ROOT / "docs/cli_page.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert page == script.page(), "renew it: python docs/cli_page.py"
