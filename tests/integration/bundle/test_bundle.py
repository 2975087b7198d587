"""A bundle is whole or refused: each kind of damage of its files, on a copy of a real one."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from bundle_damage import refused
from model.bundle.bundle import Bundle
from model.schema import Schema


def test_a_whole_bundle_opens(copy: Any, tiny_schema: Schema) -> None:
    bundle = Bundle.open(copy)
    assert bundle.schema == tiny_schema
    assert bundle.manifest.net == "afm"
    assert bundle.version == bundle.manifest.version
    assert list(bundle.read_vocabularies()) == list(tiny_schema.fields)


def test_each_vocabularys_digest_is_that_of_its_bytes(copy: Any) -> None:
    bundle = Bundle.open(copy)
    for field, data in bundle.read_vocabulary_bytes().items():
        assert hashlib.sha256(data).hexdigest() == bundle.vocabulary_sha256(field)


@pytest.mark.parametrize(
    "name",
    [
        "predict.onnx",
        "explain.onnx",
        "weights.bin",
        "schema.toml",
        "golden.jsonl",
        "vocabulary/device.json",
    ],
)
def test_a_changed_byte_is_found_in_every_file(copy: Any, name: str) -> None:
    path = copy / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(copy, f"{name}: damaged")


def test_a_file_that_is_too_short_is_named(copy: Any) -> None:
    (copy / "weights.bin").write_bytes((copy / "weights.bin").read_bytes()[:-1])
    refused(copy, "weights.bin: .* bytes, the manifest says")


@pytest.mark.parametrize("name", ["predict.onnx", "vocabulary/ad.json", "manifest.json"])
def test_a_missing_file_is_named(copy: Any, name: str) -> None:
    (copy / name).unlink()
    refused(copy, f"{name}: missing")


def test_a_file_that_the_manifest_does_not_name_is_refused(copy: Any) -> None:
    (copy / "extra.bin").write_bytes(b"")
    refused(copy, "extra.bin: the manifest does not name it")


def test_a_symbolic_link_is_refused_also_when_it_leads_to_the_right_bytes(
    copy: Any, tiny_bundle: Bundle
) -> None:
    (copy / "weights.bin").unlink()
    (copy / "weights.bin").symlink_to(tiny_bundle.directory / "weights.bin")
    refused(copy, "weights.bin: a symbolic link")


def test_an_extra_link_is_refused(copy: Any) -> None:
    (copy / "vocabulary" / "more.json").symlink_to("device.json")
    refused(copy, "more.json: the manifest does not name it")


def test_a_linked_directory_is_refused(copy: Any, tiny_bundle: Bundle) -> None:
    shutil.rmtree(copy / "vocabulary")
    (copy / "vocabulary").symlink_to(tiny_bundle.directory / "vocabulary")
    refused(copy, "vocabulary: ")


def test_a_hard_link_is_refused(copy: Any, tmp_path: Path) -> None:
    os.link(copy / "weights.bin", tmp_path / "elsewhere")
    refused(copy, "weights.bin: a hard link")


def test_a_pipe_is_refused_without_waiting_for_it(copy: Any) -> None:
    (copy / "golden.jsonl").unlink()
    os.mkfifo(copy / "golden.jsonl")
    refused(copy, "golden.jsonl: not a plain file")


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "none", "none: not a bundle")
