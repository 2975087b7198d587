"""Packed values: the same ids as a dictionary's, whatever the values are; no two have one key."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.encoding import Encoder
from model.errors import BundleError
from model.schema import Schema
from model.values import packed_ids
from model.values.ids import FIRST
from model.values.packed_ids import FEW, PackedField, PackedIds, pack
from model.vocabulary import PackedVocabulary, Vocabulary

SCHEMA = Schema.parse("""
label = "click"
[fields.user]
kind = "categorical"
[fields.code]
kind = "categorical"
as_text = true
[fields.tags]
kind = "multivalue"
max_values = 4
""")

texts = st.one_of(
    st.text(max_size=12),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["true", "false", "Yes", "no", "t", "1.50", "1.5", "007", "", " ", "é", "e\u0301"]
    ),
)
scalars = st.one_of(
    texts,
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["\ud800", 21.0, 21, "21", True, 1]),
)


def packed(vocabularies: dict[str, Vocabulary]) -> dict[str, PackedVocabulary]:
    fields = {
        name: (one.values, PackedField(len(one.values), one.words(-FIRST)))
        for name, one in vocabularies.items()
    }
    table = PackedIds(pack(fields))
    return {name: PackedVocabulary((), table, name) for name in fields}


@given(
    learnt=st.lists(st.lists(scalars, max_size=30), min_size=3, max_size=3),
    asked=st.lists(scalars, min_size=1, max_size=3 * FEW),
    cells=st.lists(st.lists(texts, max_size=4) | scalars, min_size=1, max_size=5),
)
def test_packed_values_encode_as_a_dictionary_does(
    learnt: list[list[Any]], asked: list[Any], cells: list[Any]
) -> None:
    vocabularies = {
        name: Vocabulary.fit(
            [one for one in values if one != "\ud800"], 1, SCHEMA.fields[name].reading
        )
        for name, values in zip(SCHEMA.fields, learnt, strict=True)
    }
    if not any(one.values for one in vocabularies.values()):
        return
    plain, large = Encoder(SCHEMA, vocabularies), Encoder(SCHEMA, packed(vocabularies))
    assert large.rows == plain.rows
    known = [value for one in vocabularies.values() for value in one.values]
    asked = [*asked, *known]
    rows = [
        {"user": one, "code": one, "tags": cells[i % len(cells)]} for i, one in enumerate(asked)
    ]
    for some in (rows, rows[:1]):  # by column, and row by row
        ours, theirs = large.encode(some), plain.encode(some)
        assert ours.ids.tolist() == theirs.ids.tolist()
        assert ours.values.tolist() == theirs.values.tolist()
        assert ours.unknown == theirs.unknown


def test_values_of_one_text_in_two_fields_have_their_own_rows() -> None:
    fields = {"a": (["x", "y"], PackedField(2)), "b": (["y", "x"], PackedField(2))}
    table = PackedIds(pack(fields))
    assert table.ids("a", 3).find(["x", "y", "z"] * FEW) == [3, 4, None] * FEW
    assert table.ids("b", 10).find(["x", "y", "z"] * FEW) == [11, 10, None] * FEW
    assert table.ids("b", 10).get("x") == 11


def test_values_whose_keys_collide_are_packed_with_another_salt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = packed_ids._hash

    def short(prefix: bytes, text: str) -> bytes:  # of 16 bits: 400 values of it mostly collide
        return bytes(6) + whole(prefix, text)[:2]

    values = [f"v{i}" for i in range(400)]
    monkeypatch.setattr(packed_ids, "_hash", short)
    assert len({short(packed_ids._prefix(0, "user"), value) for value in values}) < len(values)
    table = PackedIds(pack({"user": (values, PackedField(len(values)))}))
    assert table.salt > 0
    ids = table.ids("user", 0)
    assert [ids.get(value) for value in values] == list(range(400))
    assert len(set(table.keys.tolist())) == len(values)
    assert table.keys[0] > 0


def test_a_file_is_mapped_and_takes_at_most_16_bytes_a_value(tmp_path: Path) -> None:
    values = [f"user-{i}" for i in range(100_000)]
    path = tmp_path / "values"
    path.write_bytes(pack({"user": (values, PackedField(len(values)))}))
    assert path.stat().st_size <= 16 * len(values)
    ids = PackedIds.map(path).ids("user", FIRST)
    asked = [*values[:100], "user-100000", *values[-100:]]
    assert ids.find(asked) == [*range(3, 103), None, *range(99_903, 100_003)]
    assert list(map(ids.get, asked)) == ids.find(asked)


@pytest.mark.parametrize("at", [0, 5, 4096, 4100, -40, -1])
def test_a_changed_byte_is_found(at: int) -> None:
    data = pack({"a": (["x", "y"], PackedField(2))})
    data[at] ^= 1
    with pytest.raises(BundleError, match="sha256"):
        PackedIds(data)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"[]\n",
        b"{}\n",
        json.dumps({"salt": 0, "values": 9, "bits": 1, "span": 1, "fields": {}}).encode() + b"\n",
        json.dumps({"salt": 0, "values": 0, "bits": 1, "span": 1, "fields": {"a": []}}).encode(),
    ],
)
def test_what_is_no_such_file_is_refused(head: bytes) -> None:
    with pytest.raises(BundleError, match="not packed values"):
        PackedIds(head + hashlib.sha256(head).digest())
