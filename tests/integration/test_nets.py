"""The nets against the slow and obvious form of their papers' equations."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from model.nets import AFM, FM, Settings, build
from model.nets.afm import masked_softmax
from model.nets.dropout import Dropout
from model.pairs import pair_slots

V, F, K, T, B = 40, 6, 5, 4, 9
P = F * (F - 1) // 2


def random_net(name, slots=F, seed=0):
    torch.manual_seed(seed)
    net = build(name, V, slots, Settings(embedding=K, attention=T)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.7)
    return net


def random_rows(slots=F, absent=0.3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, V, (B, slots), generator=generator)
    values = torch.randn(B, slots, generator=generator)
    values[torch.rand(B, slots, generator=generator) < absent] = 0.0
    return ids, values


def by_nested_loops(net, ids, values):
    """Logit and attention of one row, pair by pair, over the present features alone."""
    number = {name: p.detach().double().numpy() for name, p in net.named_parameters()}
    present = [i for i in range(len(ids)) if values[i] != 0]
    logit = float(number["bias"][0])
    logit += sum(float(number["linear"][ids[i], 0]) * float(values[i]) for i in present)
    if "embedding" not in number:
        return logit, {}
    vectors, scores = {}, {}
    for at, i in enumerate(present):
        for j in present[at + 1 :]:
            v_i, v_j = number["embedding"][ids[i]], number["embedding"][ids[j]]
            vectors[i, j] = v_i * v_j * float(values[i]) * float(values[j])
    if "p" not in number:
        return logit + sum(vector.sum() for vector in vectors.values()), {}
    for pair, e in vectors.items():
        hidden = np.maximum(number["attention.weight"] @ e + number["attention.bias"], 0)
        scores[pair] = float(number["h"] @ hidden)
    total = sum(math.exp(score) for score in scores.values())
    attention = {pair: math.exp(score) / total for pair, score in scores.items()}
    return logit + sum(a * float(number["p"] @ vectors[x]) for x, a in attention.items()), attention


@pytest.mark.parametrize("name", ["lr", "fm", "afm"])
@pytest.mark.parametrize("absent", [0.0, 0.3, 0.8, 1.0])
def test_the_fast_form_equals_nested_loops(name, absent):
    net = random_net(name)
    ids, values = random_rows(absent=absent)
    expected = [by_nested_loops(net, i, x)[0] for i, x in zip(ids, values, strict=True)]
    assert net(ids, values).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_attention_equals_nested_loops_and_absent_pairs_have_none():
    net = random_net("afm")
    ids, values = random_rows()
    attention = net.terms(ids, values).attention.detach()
    first, second = pair_slots(F)
    for row in range(B):
        _, expected = by_nested_loops(net, ids[row], values[row])
        for at, pair in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
            found = float(attention[at, row])
            if pair in expected:
                assert found == pytest.approx(expected[pair], rel=1e-4)
            else:
                assert found == 0.0


def test_attention_sums_to_one_over_the_pairs_and_differs_between_them():
    attention = random_net("afm").terms(*random_rows(absent=0.0)).attention
    assert attention.shape == (P, B)
    assert attention.sum(0).tolist() == pytest.approx([1.0] * B)
    assert (attention.amax(0) > 2 * attention.amin(0)).all()


@pytest.mark.parametrize("name", ["lr", "fm", "afm"])
def test_the_terms_and_the_bias_add_up_to_the_logit(name):
    net = random_net(name)
    ids, values = random_rows()
    linear, interaction, attention = net.terms(ids, values)
    pairs = interaction if attention is None else attention * interaction
    total = net.bias + linear.sum(1) + pairs.sum(0)
    torch.testing.assert_close(total, net(ids, values), atol=1e-5, rtol=1e-5)


def test_afm_with_uniform_attention_and_p_of_ones_is_fm_over_the_number_of_pairs():
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


def test_afm_started_from_a_fitted_fm_gives_its_logits_where_all_is_present():
    fm = random_net("fm")
    ids, values = random_rows(absent=0.0)
    afm = AFM(V, F, Settings(embedding=K, attention=T))
    afm.start_from(fm, ids, values)
    torch.testing.assert_close(afm(ids, values), fm(ids, values), atol=0.05, rtol=0.02)
    attention = afm.terms(ids, values).attention
    assert attention.std() > 0, "attention must not start exactly flat: its gradient would vanish"


def test_afm_can_start_from_a_sample_in_which_nothing_is_present():
    fm = random_net("fm")
    ids, values = random_rows(absent=1.0)
    afm = AFM(V, F, Settings(embedding=K, attention=T))
    afm.start_from(fm, ids, values)
    assert all(torch.isfinite(parameter).all() for parameter in afm.parameters())


@pytest.mark.parametrize("name", ["fm", "afm"])
def test_permuting_the_slots_permutes_attention_and_leaves_the_logit(name):
    net = random_net(name)
    ids, values = random_rows()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(net(ids, values), net(ids[:, order], values[:, order]))
    if name == "afm":
        before, after = (
            net.terms(ids, values).attention,
            net.terms(ids[:, order], values[:, order]).attention,
        )
        first, second = pair_slots(F)
        place = {(int(a), int(b)): at for at, (a, b) in enumerate(zip(first, second, strict=True))}
        for at, (a, b) in enumerate(zip(first, second, strict=True)):
            was = tuple(sorted((int(order[a]), int(order[b]))))
            torch.testing.assert_close(after[at], before[place[was]])


@pytest.mark.parametrize("name", ["lr", "fm", "afm"])
def test_a_feature_of_value_zero_is_as_if_its_slot_did_not_exist(name):
    net = random_net(name)
    ids, values = random_rows(absent=0.0)
    values[:, 2] = 0.0
    narrow = random_net(name, slots=F - 1)
    narrow.load_state_dict(net.state_dict())
    keep = [0, 1, 3, 4, 5]
    torch.testing.assert_close(net(ids, values), narrow(ids[:, keep], values[:, keep]))
    if name == "afm":
        first, second = pair_slots(F)
        touched = torch.from_numpy((first == 2) | (second == 2))
        assert (net.terms(ids, values).attention[touched] == 0).all()


@pytest.mark.parametrize("present", [0, 1])
def test_fewer_than_two_present_features_give_a_zero_pair_term_and_never_nan(present):
    net = random_net("afm")
    ids, values = random_rows(absent=1.0)
    values[:, :present] = 2.0
    linear, _, attention = net.terms(ids, values)
    assert (attention == 0).all()
    torch.testing.assert_close(net(ids, values), net.bias + linear.sum(1))


def test_gradients_are_finite_where_nothing_is_present_or_scores_are_huge():
    net = random_net("afm")
    ids, values = random_rows(absent=0.5)
    values[0] = 0.0
    values[1] *= 1e3
    net(ids, values).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


def test_masked_softmax_is_torchs_softmax_where_all_is_present():
    scores = torch.randn(7, 3) * 50
    found = masked_softmax(scores, torch.ones(7, 3, dtype=torch.bool))
    torch.testing.assert_close(found, functional.softmax(scores, dim=0))


def test_fm_gives_the_same_logit_by_pairs_and_by_rendles_lemma():
    fm = random_net("fm")
    ids, values = random_rows()
    fm.dropout.set_rate(0.5)
    by_lemma = fm(ids, values)
    by_pairs = super(FM, fm).forward(ids, values)
    torch.testing.assert_close(by_lemma, by_pairs, atol=1e-5, rtol=1e-5)


def test_dropout_keeps_the_mean_and_drops_its_share():
    torch.manual_seed(0)
    dropout = Dropout(0.25).train()
    dropped = dropout(torch.ones(1000, 333))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.005)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.005)
    assert dropped.max() == pytest.approx(1 / 0.75)


def test_dropout_does_nothing_outside_training_or_at_rate_zero():
    x = torch.randn(3, 5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x


def test_dropout_drops_elements_independently():
    torch.manual_seed(0)
    kept = (Dropout(0.5).train()(torch.ones(4096, 64)) != 0).double()
    shares = kept.mean(0)
    assert shares.sub(0.5).abs().max() < 0.05, "each of the eight bytes of a draw must be fair"
    neighbours = np.corrcoef(kept[:, :-1].flatten(), kept[:, 1:].flatten())[0, 1]
    assert abs(neighbours) < 0.01
