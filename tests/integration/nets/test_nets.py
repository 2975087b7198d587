"""The nets against the slow and obvious form of their papers' equations."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from model.nets import AFM, NETS, AFMPlus, Net, NetSizes, build
from model.nets.afm import masked_softmax
from model.pairs import pair_slots
from narrowing import not_none
from nested_loops import by_nested_loops
from random_nets import FIELDS, B, F, K, P, T, V, random_net, random_rows

ADDITIVE = [name for name in NETS if name != "nfm"]
WITH_ATTENTION = ["afm", "afm+"]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("absent", [0.0, 0.3, 0.8, 1.0])
def test_the_fast_form_equals_nested_loops(name: Any, absent: float) -> None:
    net = random_net(name)
    ids, values = random_rows(absent=absent)
    expected = [by_nested_loops(name, net, i, x)[0] for i, x in zip(ids, values, strict=True)]
    assert net(ids, values).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", ["fm", "fwfm", "ffm", "afm", "afm+"])
def test_each_pair_contributes_what_nested_loops_say_and_absent_pairs_nothing(name: str) -> None:
    net = random_net(name)
    ids, values = random_rows()
    _, interaction, attention = net.terms(ids, values)
    contribution = (interaction if attention is None else attention * interaction).detach()
    slots = list(zip(*map(np.ndarray.tolist, pair_slots(F)), strict=True))
    for row in range(B):
        _, expected, _ = by_nested_loops(name, net, ids[row], values[row])
        found = contribution[:, row].tolist()
        wanted = [expected.get(pair, 0.0) for pair in slots]
        assert found == pytest.approx(wanted, rel=1e-4, abs=1e-5)
        assert all(f == 0 for f, pair in zip(found, slots, strict=True) if pair not in expected)


@pytest.mark.parametrize("name", WITH_ATTENTION)
def test_attention_equals_nested_loops_and_absent_pairs_have_none(name: Any) -> None:
    net = random_net(name)
    ids, values = random_rows()
    attention = net.terms(ids, values).attention.detach()
    first, second = pair_slots(F)
    for row in range(B):
        _, _, expected = by_nested_loops(name, net, ids[row], values[row])
        for at, pair in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
            found = float(attention[at, row])
            if pair in expected:
                assert found == pytest.approx(expected[pair], rel=1e-4)
            else:
                assert found == 0.0


@pytest.mark.parametrize("name", WITH_ATTENTION)
def test_attention_sums_to_one_over_the_pairs_and_differs_between_them(name: Any) -> None:
    attention = random_net(name).terms(*random_rows(absent=0.0)).attention
    assert attention.shape == (P, B)
    assert attention.sum(0).tolist() == pytest.approx([1.0] * B)
    assert (attention.amax(0) > 2 * attention.amin(0)).all()


@pytest.mark.parametrize("name", ADDITIVE)
def test_the_terms_and_the_bias_add_up_to_the_logit(name: Any) -> None:
    net = random_net(name)
    ids, values = random_rows()
    linear, interaction, attention = net.terms(ids, values)
    pairs = interaction if attention is None else attention * interaction
    total = net.bias + linear.sum(1) + pairs.sum(0)
    torch.testing.assert_close(total, net(ids, values), atol=1e-5, rtol=1e-5)


def test_afm_with_uniform_attention_and_p_of_ones_is_fm_over_the_number_of_pairs() -> None:
    afm, fm = random_net("afm"), random_net("fm")
    ids, values = random_rows(absent=0.4)
    with torch.no_grad():
        afm.load_state_dict(fm.state_dict(), strict=False)
        afm.h.zero_()
        afm.p.fill_(1.0)
    first_order = afm.bias + afm.linear_terms(ids, values).sum(1)
    present = (values != 0).sum(1)
    pairs = (present * (present - 1) / 2).clamp_min(1)
    expected = first_order + (fm(ids, values) - first_order) / pairs
    torch.testing.assert_close(afm(ids, values), expected, atol=1e-5, rtol=1e-5)


def test_afm_started_from_a_fitted_fm_gives_its_logits_where_all_is_present() -> None:
    fm = random_net("fm")
    ids, values = random_rows(absent=0.0)
    afm = AFM(V, FIELDS, NetSizes(embedding=K, attention=T))
    afm.start_from(fm, ids, values)
    torch.testing.assert_close(afm(ids, values), fm(ids, values), atol=0.05, rtol=0.02)
    attention = not_none(afm.terms(ids, values).attention)
    assert attention.std() > 0, "attention must not start exactly flat: its gradient would vanish"


def test_afm_can_start_from_a_sample_in_which_nothing_is_present() -> None:
    fm = random_net("fm")
    ids, values = random_rows(absent=1.0)
    afm = AFM(V, FIELDS, NetSizes(embedding=K, attention=T))
    afm.start_from(fm, ids, values)
    assert all(torch.isfinite(parameter).all() for parameter in afm.parameters())


@pytest.mark.parametrize("name", NETS)
def test_permuting_the_slots_with_their_fields_permutes_attention_and_leaves_the_logit(
    name: Any,
) -> None:
    net = random_net(name)
    ids, values = random_rows()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    permuted = random_net(name, [FIELDS[slot] for slot in order])
    permuted.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(ids, values), permuted(ids[:, order], values[:, order]))
    if name in WITH_ATTENTION:
        before = net.terms(ids, values).attention
        after = permuted.terms(ids[:, order], values[:, order]).attention
        first, second = pair_slots(F)
        place = {(int(a), int(b)): at for at, (a, b) in enumerate(zip(first, second, strict=True))}
        for at, (a, b) in enumerate(zip(first, second, strict=True)):
            low, high = sorted((int(order[a]), int(order[b])))
            torch.testing.assert_close(after[at], before[place[low, high]])


@pytest.mark.parametrize("name", NETS)
def test_a_feature_of_value_zero_is_as_if_its_slot_did_not_exist(name: Any) -> None:
    net = random_net(name)
    ids, values = random_rows(absent=0.0)
    values[:, 2] = 0.0
    keep = [0, 1, 3, 4, 5]
    narrow = random_net(name, [FIELDS[slot] for slot in keep])
    narrow.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(ids, values), narrow(ids[:, keep], values[:, keep]))
    if name in WITH_ATTENTION:
        first, second = pair_slots(F)
        touched = torch.from_numpy((first == 2) | (second == 2))
        assert (net.terms(ids, values).attention[touched] == 0).all()


@pytest.mark.parametrize("name", ADDITIVE)
@pytest.mark.parametrize("present", [0, 1])
def test_fewer_than_two_present_features_give_a_zero_pair_term_and_never_nan(
    name: Any, present: int
) -> None:
    net = random_net(name)
    ids, values = random_rows(absent=1.0)
    values[:, :present] = 2.0
    linear, _, attention = net.terms(ids, values)
    assert attention is None or (attention == 0).all()
    torch.testing.assert_close(net(ids, values), net.bias + linear.sum(1))


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_finite_where_nothing_is_present_or_scores_are_huge(name: Any) -> None:
    net = random_net(name)
    ids, values = random_rows(absent=0.5)
    values[0] = 0.0
    values[1] *= 1e3
    net(ids, values).sum().backward()
    found = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    assert len(found) == (2 if name == "lr" else len(list(net.parameters())))
    assert all(torch.isfinite(gradient).all() for gradient in found)


def test_masked_softmax_is_torchs_softmax_where_all_is_present() -> None:
    scores = torch.randn(7, 3) * 50
    found = masked_softmax(scores, torch.ones(7, 3, dtype=torch.bool))
    torch.testing.assert_close(found, functional.softmax(scores, dim=0))


def test_fm_gives_the_same_logit_by_pairs_and_by_rendles_lemma() -> None:
    fm = random_net("fm")
    ids, values = random_rows()
    fm.dropout.set_rate(0.5)
    by_lemma = fm(ids, values)
    by_pairs = fm.terms(ids, values)
    total = fm.bias + by_pairs.linear.sum(1) + by_pairs.interaction.sum(0)
    torch.testing.assert_close(by_lemma, total, atol=1e-5, rtol=1e-5)


def same_start(name: Any, fitted: Any) -> Any:
    """A net that has taken over all that `fitted` has as well; the rest is as it starts."""
    net = build(name, V, FIELDS, NetSizes(embedding=K, attention=T)).eval()
    Net.start_from(net, fitted, *random_rows())
    return net


def test_fwfm_with_weights_of_one_is_fm() -> None:
    fitted, (ids, values) = random_net("fm"), random_rows()
    fwfm = same_start("fwfm", fitted)
    torch.testing.assert_close(fwfm(ids, values), fitted(ids, values), atol=1e-5, rtol=1e-6)


def test_ffm_with_the_same_vector_for_every_field_is_fm() -> None:
    fitted, (ids, values) = random_net("fm"), random_rows()
    ffm = build("ffm", V, FIELDS, NetSizes(ffm_embedding=K)).eval()
    with torch.no_grad():
        ffm.load_state_dict(fitted.state_dict() | {"embedding": fitted.embedding.repeat(1, 5)})
    torch.testing.assert_close(ffm(ids, values), fitted(ids, values), atol=1e-5, rtol=1e-6)


def test_nfm_without_layers_and_with_h_of_ones_is_fm() -> None:
    fitted, (ids, values) = random_net("fm"), random_rows()
    nfm = build("nfm", V, FIELDS, NetSizes(embedding=K, hidden=())).eval()
    Net.start_from(nfm, fitted, ids, values)
    torch.testing.assert_close(nfm(ids, values), fitted(ids, values), atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("absent", [0.0, 0.4, 1.0])
def test_afm_plus_as_it_starts_is_the_fm_that_was_fitted(absent: float) -> None:
    fitted, (ids, values) = random_net("fm"), random_rows(absent=absent)
    with torch.no_grad():
        fitted.embedding.mul_(0.3)  # logits of the usual size
    net = AFMPlus(V, FIELDS, NetSizes(embedding=K, attention=T)).eval()
    net.start_from(fitted, ids, values)
    torch.testing.assert_close(net(ids, values), fitted(ids, values), atol=1e-6, rtol=1e-6)
    pairs = (values != 0).sum(1, keepdim=True).T
    pairs = pairs * (pairs - 1) / 2
    attention = not_none(net.terms(ids, values).attention)
    assert torch.equal(attention > 0, present_mask(values))
    uniform = (1 / pairs).expand_as(attention)
    torch.testing.assert_close(attention[attention > 0], uniform[attention > 0])


def present_mask(values: Any) -> Any:
    first, second = map(torch.from_numpy, pair_slots(F))
    present = (values != 0).T
    return present[first] & present[second]


def test_afm_plus_with_uniform_attention_is_fwfm() -> None:
    fitted, (ids, values) = random_net("fwfm"), random_rows()
    net = same_start("afm+", fitted)
    torch.testing.assert_close(net(ids, values), fitted(ids, values), atol=1e-5, rtol=1e-5)


def test_afm_plus_without_its_field_parts_is_afm_times_the_number_of_pairs() -> None:
    fitted, (ids, values) = random_net("afm"), random_rows()
    net = same_start("afm+", fitted)
    expected_terms, terms = fitted.terms(ids, values), net.terms(ids, values)
    torch.testing.assert_close(terms.attention, expected_terms.attention)
    pairs = present_mask(values).sum(0)
    torch.testing.assert_close(terms.interaction, expected_terms.interaction * pairs)


@pytest.mark.parametrize(
    ("part", "parameters"),
    [
        ("pair_scores", {"h", "attention.weight", "attention.bias"}),
        ("field_scores", {"field_scores"}),
        ("field_weights", {"field_weights"}),
    ],
)
def test_a_part_of_afm_plus_that_is_switched_off_is_not_fitted(part: str, parameters: Any) -> None:
    off: dict[str, Any] = {part: False}
    net = build("afm+", V, FIELDS, NetSizes(**off))
    still = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert still == parameters
