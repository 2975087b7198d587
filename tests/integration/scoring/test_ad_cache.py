"""The cache of ads: whatever it holds or has let go of, every answer is the same to the bit."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bundle.bundle import Bundle
from model.errors import InputError
from model.nets import NETS
from narrowing import not_none
from service.limits import CacheLimits
from service.scoring.ad_cache import AdCache

ROOM = CacheLimits(1000, 1 << 20)


def cache_of(bundle: Any, limits: Any = ROOM) -> Any:
    scorer = bundle.read_scorer()
    return AdCache(bundle.read_encoder(), scorer, limits), scorer


def ad(number: Any, **more: Any) -> Any:
    return {"ad": f"a{number}", "price": number / 4, **more}


def asked(cache: AdCache, *ads: dict[str, Any] | bytes) -> tuple[Any, list[int]]:
    """The ads, or their JSON, through the cache, and which of them had to be read."""
    raws = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in ads]
    read: list[int] = []

    def reading(positions: Sequence[int]) -> list[dict[str, Any]]:
        read.extend(positions)
        return [json.loads(raws[position]) for position in positions]

    return cache.encode(raws, reading), read


def same(one: Any, other: Any) -> Any:
    (ads, alone), (others, others_alone) = one, other
    return (
        ads.ids.tolist() == others.ids.tolist()
        and ads.values.tolist() == others.values.tolist()
        and ads.unknown == others.unknown
        and alone.tolist() == others_alone.tolist()
    )


def test_an_ad_that_was_met_is_not_read_again(tiny_bundle: Bundle) -> None:
    cache, _ = cache_of(tiny_bundle)
    first, read = asked(cache, ad(1), ad(2))
    assert read == [0, 1]
    second, read = asked(cache, ad(1), ad(2))
    assert read == []
    assert same(first, second)
    assert cache.take_counts() == (2, 2, 0)
    assert cache.take_counts() == (0, 0, 0)


@pytest.mark.parametrize("net", NETS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_ad_cache_keeps_to_the_bit_what_is_computed_anew(
    make_bundle: Callable[..., Bundle], net: Any, data: Any
) -> None:
    bundle = make_bundle(net)
    cache, scorer = cache_of(bundle, CacheLimits(data.draw(st.integers(0, 20)), 1 << 20))
    numbers = st.lists(st.integers(0, 30), min_size=1, max_size=40)
    for drawn in data.draw(st.lists(numbers, min_size=1, max_size=6)):
        ads = [ad(number) for number in drawn]
        (encoded, alone), _ = asked(cache, *ads)
        new = not_none(bundle.read_encoder().encode_ads(ads))
        assert encoded.ids.tolist() == new.ids.tolist()
        assert encoded.values.tolist() == new.values.tolist()
        assert alone.tolist() == scorer.ad_partials(new).tolist()
        assert encoded.unknown == new.unknown


def test_an_ads_own_part_has_the_same_bits_in_any_company(tiny_bundle: Bundle) -> None:
    scorer = tiny_bundle.read_scorer()
    encoded = not_none(tiny_bundle.read_encoder().encode_ads([ad(number) for number in range(200)]))
    together = scorer.ad_partials(encoded)
    for start, stop in ((0, 1), (3, 5), (7, 30), (31, 48), (50, 200)):
        assert (
            scorer.ad_partials(encoded.slice(start, stop)).tolist() == together[start:stop].tolist()
        )


def test_the_number_of_ads_is_bounded(tiny_bundle: Bundle) -> None:
    cache, _ = cache_of(tiny_bundle, CacheLimits(10, 1 << 20))
    for number in range(50):
        asked(cache, ad(number))
        assert len(cache) <= 10
    assert cache.take_counts() == (0, 50, 40)


def test_ad_cache_keeps_within_its_byte_limit(tiny_bundle: Bundle) -> None:
    cache, _ = cache_of(tiny_bundle, CacheLimits(1000, 20_000))
    for number in range(60):
        asked(cache, ad(number, note="x" * 1000))
    assert 10 <= len(cache) <= 20
    assert asked(cache, ad(59, note="x" * 1000))[1] == []
    held = len(cache)
    assert asked(cache, ad(1, note="x" * 30_000))[1] == [0]  # too large for the whole cache
    assert len(cache) == held


def test_more_ads_in_one_request_than_there_is_room_for_are_all_encoded(
    tiny_bundle: Bundle,
) -> None:
    cache, _ = cache_of(tiny_bundle, CacheLimits(5, 1 << 20))
    ads = [ad(number % 40) for number in range(100)]
    (encoded, _), _ = asked(cache, *ads)
    assert encoded.ids.tolist() == not_none(tiny_bundle.read_encoder().encode_ads(ads)).ids.tolist()
    assert len(cache) == 5


def test_an_ad_that_is_asked_for_again_and_again_outlives_those_that_are_not(
    tiny_bundle: Bundle,
) -> None:
    cache, _ = cache_of(tiny_bundle, CacheLimits(10, 1 << 20))
    asked(cache, ad(0))
    for number in range(1, 100):
        assert asked(cache, ad(0))[1] == []
        asked(cache, ad(number))


@pytest.mark.parametrize("limits", [CacheLimits(0, 1 << 20), CacheLimits(1000, 0)])
def test_ad_cache_without_room_keeps_nothing(tiny_bundle: Bundle, limits: Any) -> None:
    cache, _ = cache_of(tiny_bundle, limits)
    assert [asked(cache, ad(1))[1] for _ in range(2)] == [[0], [0]]
    assert len(cache) == 0


def test_ad_cache_takes_other_bytes_for_another_ad(tiny_bundle: Bundle) -> None:
    cache, _ = cache_of(tiny_bundle)
    expected = not_none(tiny_bundle.read_encoder().encode_ads([{"ad": "a1"}])).ids[0, 0]
    for raw in (b'{"ad":"a1"}', b'{"ad": "a1"}', b'{"ad":"a2","ad":"a1"}'):
        found, read = asked(cache, raw)
        assert found[0].ids[0, 0] == expected
        assert read == [0]
    assert len(cache) == 3


def test_an_ad_with_a_field_of_the_context_is_never_kept(tiny_bundle: Bundle) -> None:
    cache, _ = cache_of(tiny_bundle)
    asked(cache, ad(1))
    for _ in range(2):
        found, read = asked(cache, ad(1), ad(2, device="tv"))
        assert found is None
        assert read == [1]
    assert len(cache) == 1


def test_unknown_values_are_counted_of_kept_ads_as_well(tiny_bundle: Bundle) -> None:
    cache, _ = cache_of(tiny_bundle)
    strangers = [{"ad": "never seen"}, {"ad": "nor this", "other": 1}, ad(1)]
    for _ in range(2):
        (encoded, _), _ = asked(cache, *strangers)
        assert encoded.unknown == {"ad": 2}
        assert encoded.ignored == 1
    (encoded, _), _ = asked(cache, ad(5), strangers[0])
    assert encoded.unknown == {"ad": 1}


def test_a_fault_names_the_ads_place_among_known_ones(tiny_bundle: Bundle) -> None:
    cache, _ = cache_of(tiny_bundle)
    asked(cache, ad(1), ad(2))
    with pytest.raises(InputError, match="expected a number") as caught:
        asked(cache, ad(1), ad(3), ad(2), {"price": "high"})
    assert (caught.value.row, caught.value.field) == (3, "price")
    assert asked(cache, ad(3))[1] == [0]  # nothing of a faulty request is kept
