"""The rows of the table in a warm start: those that stay, and where new ones start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle_parts import values_of
from model.bundle.bundle import Bundle
from model.nets.net import TABLES
from model.values.ids import FIRST, MISSING, UNKNOWN
from model.values.scales import Scaler
from model.vocabulary import Vocabulary
from training.state.warm_start import WarmStart
from warm_starts import STEP, go_on, newer_rows


def table_row(bundle: Any, table: Any, field: Any, number: Any) -> Any:
    """One row of a table by its id within the field."""
    first = bundle.read_encoder().offsets[bundle.schema.slots.index(field)]
    return WarmStart.open(bundle.directory).parameters[table][first + number].tolist()


def test_known_values_keep_their_ids_and_new_ones_stand_behind_them(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old = make_bundle("fm")
    newer = go_on(old, tmp_path / "new", newer_rows())
    new = newer.read_vocabularies()
    learnt = [name for name, known in new.items() if isinstance(known, Vocabulary)]
    grown = {name: values_of(newer, name) for name in learnt}
    for name, known in old.read_vocabularies().items():
        if isinstance(known, Scaler):
            assert new[name] == known
        else:
            assert grown[name][: len(values_of(old, name))] == values_of(old, name)
    added = {
        name: grown[name][len(values_of(old, name)) :]
        for name, known in old.read_vocabularies().items()
        if not isinstance(known, Scaler)
    }
    assert added == {"device": ("glasses",), "hour": (), "interests": (), "ad": ("a-new", "b-new")}


@pytest.mark.parametrize("net", ["lr", "ffm", "afm+"])
def test_a_new_value_starts_from_the_trained_unknown_row(
    make_bundle: Callable[..., Bundle], tmp_path: Path, net: str
) -> None:
    old = make_bundle(net)
    new = go_on(old, tmp_path / "new", newer_rows())
    ads = new.read_vocabularies()["ad"].values
    for table in TABLES[: 1 if net == "lr" else 2]:
        unknown = table_row(old, table, "ad", UNKNOWN)
        assert any(unknown), "it must be trained for this test to mean anything"
        for value in ("a-new", "b-new"):
            assert table_row(new, table, "ad", FIRST + ads.index(value)) == unknown


def test_a_row_that_the_new_log_does_not_feed_stays_to_the_bit_whatever_its_penalty(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old = make_bundle("fm")
    strong = STEP.model_copy(update={"l2_embedding": 0.01, "l2_linear": 0.01})
    new = go_on(old, tmp_path / "new", newer_rows(), strong)
    golf = FIRST + values_of(old, "interests").index("golf")
    food = FIRST + values_of(old, "interests").index("food")
    for table in TABLES:
        assert table_row(new, table, "interests", golf) == table_row(old, table, "interests", golf)
        assert table_row(new, table, "interests", food) != table_row(old, table, "interests", food)
        # nobody's device is null, in either log, yet this row holds what training settled it at
        kept = table_row(old, table, "device", MISSING)
        assert table_row(new, table, "device", MISSING) == kept


def test_without_dropped_values_and_without_unknown_ones_their_row_stays_too(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old = make_bundle("fm")
    for rate, stays in ((0.0, True), (0.2, False)):
        step = STEP.model_copy(update={"unknown_rate": rate})
        new = go_on(old, tmp_path / f"new-{rate}", newer_rows(), step)
        row = table_row(new, "embedding", "interests", UNKNOWN)
        assert (row == table_row(old, "embedding", "interests", UNKNOWN)) is stays
