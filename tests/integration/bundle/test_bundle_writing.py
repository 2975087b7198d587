"""A bundle appears whole or not at all."""

from pathlib import Path
from typing import Any

import pytest

from model.bundle.files import vocabulary_file
from model.bundle.write import new_bundle
from model.errors import BundleError


def test_a_bundle_appears_in_one_step_and_leaves_nothing_when_its_making_fails(
    tmp_path: Path,
) -> None:
    out = tmp_path / "deep" / "bundle"

    def failing() -> None:
        with new_bundle(out) as scratch:
            (scratch / "half").write_text("written")
            assert not out.exists()
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        failing()
    assert list(out.parent.iterdir()) == []
    with new_bundle(out) as scratch:
        (scratch / "file").write_text("whole")
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]


def test_an_out_directory_that_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(BundleError, match="exists already"), new_bundle(tmp_path):
        pass
    assert (tmp_path / "kept").read_text() == "mine"


def test_an_out_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BundleError, match="cannot write there"),
        new_bundle(tmp_path / "file" / "out"),
    ):
        pass


@pytest.mark.parametrize("field", ["a/b", "..", ".", "a.b", "é", "%2F", "x" * 50])
def test_any_field_name_gives_a_plain_file_name_of_its_own(field: Any) -> None:
    path = Path(vocabulary_file(field))
    assert path.parent == Path("vocabulary")
    assert ".." not in path.name
    assert vocabulary_file(field) != vocabulary_file(field + "x")
