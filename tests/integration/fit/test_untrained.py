"""Rows of the table that training never fed: what they get, and which stay as they are."""

from typing import Any

import numpy as np
import pytest
import torch

from model.encoding import Encoder
from model.nets import NetSizes, build
from model.schema import Schema
from model.values.ids import MISSING, UNKNOWN
from model.values.scales import Scaler
from model.vocabulary import Vocabulary
from training.data.examples import Examples
from training.fit.untrained_rows import fill_untrained_rows

SCHEMA = Schema.parse("""
label = "click"
[fields.device]
kind = "categorical"
[fields.tags]
kind = "multivalue"
max_values = 2
[fields.price]
kind = "numeric"
""")
VOCABULARIES: dict[str, Any] = {
    "device": Vocabulary(("a", "b")),
    "tags": Vocabulary(("x",)),
    "price": Scaler(0, 9),
}
DEVICE, TAGS, PRICE = 0, 5, 9


def settled(rows: Any, *, unknown_fed: Any, name: Any = "fm") -> Any:
    encoder = Encoder(SCHEMA, VOCABULARIES)
    train = Examples.of(encoder.encode(rows), np.zeros(len(rows), np.float32), None)
    torch.manual_seed(0)
    settings = NetSizes(embedding=3)
    net: Any = build(name, encoder.rows, encoder.slot_fields, settings)
    torch.nn.init.normal_(net.linear)
    before = net.embedding.detach().clone()
    fill_untrained_rows(net, encoder, train, unknown_fed=unknown_fed)
    return net, before


FULL = [{"device": d, "tags": ["x"], "price": 3.0} for d in ("a", "a", "a", "b")]


def test_a_null_never_seen_is_scored_as_an_unknown_value() -> None:
    net, _ = settled(FULL, unknown_fed=True)
    for offset in (DEVICE, TAGS):
        assert torch.equal(net.embedding[offset + MISSING], net.embedding[offset + UNKNOWN])
        assert torch.equal(net.linear[offset + MISSING], net.linear[offset + UNKNOWN])


def test_a_missing_number_never_seen_adds_nothing() -> None:
    net, _ = settled(FULL, unknown_fed=True)
    assert not net.embedding[PRICE + MISSING].any()
    assert not net.linear[PRICE + MISSING].any()


@pytest.mark.parametrize("name", ["fm", "ffm", "nfm", "afm+"])
def test_an_unknown_value_never_fed_is_the_mean_of_the_values_as_often_as_seen(name: str) -> None:
    net, before = settled(FULL, unknown_fed=False, name=name)
    expected = 0.75 * before[DEVICE + 3] + 0.25 * before[DEVICE + 4]
    torch.testing.assert_close(net.embedding[DEVICE + UNKNOWN].detach(), expected)


@pytest.mark.parametrize("unknown_fed", [True, False])
def test_rows_that_were_fed_stay_as_they_were_trained(unknown_fed: bool) -> None:
    strange = {"device": None, "tags": ["?"], "price": None}
    net, before = settled([*FULL, strange, {"device": "?", "tags": None}], unknown_fed=unknown_fed)
    assert torch.equal(net.embedding.detach(), before)


def test_the_values_themselves_never_move() -> None:
    net, before = settled(FULL, unknown_fed=False)
    values = [DEVICE + 3, DEVICE + 4, TAGS + 3, PRICE + 3]
    assert torch.equal(net.embedding[values].detach(), before[values])
