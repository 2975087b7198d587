"""A context and its ads are encoded apart where their fields allow it."""

from typing import Any

import pytest

from model.encoding import Encoder, Slate
from model.schema import Schema
from model.vocabulary import fit_vocabulary

SCHEMA = """
label = "click"
[fields.device]
kind = "categorical"
[fields.ad]
kind = "categorical"
role = "candidate"
"""


@pytest.fixture
def encoder() -> Any:
    schema = Schema.parse(SCHEMA)
    seen = {"device": ["phone", "tv"] * 3, "ad": ["a", "b"] * 3}
    return Encoder(
        schema, {name: fit_vocabulary(field, seen[name]) for name, field in schema.fields.items()}
    )


def test_a_context_and_its_ads_come_apart(encoder: Any) -> None:
    context, ads = {"device": "phone", "x": 1}, [{"ad": "a"}, {"ad": "?", "y": 2}]
    apart = Slate(encoder.encode_context(context), encoder.encode_ads(ads))
    whole = encoder.encode_request(context, ads)
    assert apart.context.ids.tolist() == whole.ids[:1, :1].tolist()
    assert apart.ads.ids.tolist() == whole.ids[:, 1:].tolist()
    assert apart.ads.unknown == whole.unknown == {"ad": 1}
    assert apart.context.ignored + apart.ads.ignored == whole.ignored == 2


@pytest.mark.parametrize("context", [{}, {"x": 1}, {"device": "phone", "ad": "a"}, {"ad": "a"}])
def test_a_context_without_fields_of_its_own_or_with_an_ads_does_not(
    encoder: Any, context: Any
) -> None:
    assert encoder.encode_context(context) is None


def test_an_ad_that_overrides_the_context_does_not(encoder: Any) -> None:
    assert encoder.encode_ads([{"ad": "a"}, {"ad": "b", "device": "tv"}]) is None
