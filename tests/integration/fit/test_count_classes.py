"""Fields of many rare values have count classes while FFM is fitted, folded into its vectors."""

from typing import Any

import numpy as np
import pytest
import torch

from model.encoding import Encoder
from model.nets import Net, NetSizes
from model.schema import Schema
from model.values.ids import FIRST, UNKNOWN
from model.vocabulary import fit_vocabulary
from training.config import (
    FEWEST_TO_CHOOSE,
    FOLDED,
    Config,
    SizedStep,
    Step,
)
from training.data.examples import Examples
from training.fit.step.count_classes import LEAST_RARE, RARE, CountClasses
from training.fit.step.logits import logits
from training.fit.step.unknown_drop import UnknownDrop
from training.fit.step.watcher import Watcher
from training.fit.steps import Steps, Trained, fit_net
from training.state.adam_moments import Moments

SCHEMA = Schema.parse("""
label = "y"
[fields.hour]
kind = "categorical"
[fields.query]
kind = "categorical"
[fields.tags]
kind = "multivalue"
max_values = 2
[fields.price]
kind = "numeric"
[fields.ad]
kind = "categorical"
missing = "absent"
""")
MANY = 2000
CLASSED_SIZE = Config().of_classed_ffm(len(SCHEMA.fields))
FOLDED_SIZE = FOLDED * CLASSED_SIZE


def log_of(rows: int, seed: int = 1) -> tuple[Encoder, Examples]:
    """Ads and queries of long tails, some missing; an ad is clicked the more the rarer it is."""
    rng = np.random.default_rng(seed)
    ad, query = rng.zipf(1.2, rows) % MANY, rng.zipf(1.25, rows) % MANY
    tags = [[f"t{n}" for n in rng.integers(0, 4, size)] for size in rng.integers(0, 3, rows)]
    columns: dict[str, Any] = {
        "hour": [f"h{n}" for n in rng.integers(0, 24, rows)],
        "query": [None if n % 11 == 0 else f"q{n}" for n in query],
        "tags": tags,
        "price": rng.normal(size=rows).tolist(),
        "ad": [None if n % 7 == 0 else f"a{n}" for n in ad],
    }
    chance = np.where(np.bincount(ad)[ad] < 8, 0.6, 0.2)
    clicks = (rng.random(rows) < chance).astype(np.float32)
    known = {name: fit_vocabulary(f, columns[name]) for name, f in SCHEMA.fields.items()}
    encoder = Encoder(SCHEMA, known)
    return encoder, Examples.of(encoder.encode_columns(columns, rows), clicks, None)


def classes_of(encoder: Encoder, train: Examples) -> CountClasses:
    found = CountClasses.of(encoder, train)
    assert found is not None
    return found


def trained_on(
    encoder: Encoder, rows: Examples, config: Config, moments: Moments | None = None
) -> Trained:
    torch.manual_seed(1)
    return fit_net(Steps(config, encoder, rows, rows, Watcher(), moments=moments))


def config_with(**settings: Any) -> Config:
    step = Step.model_validate({"epochs": 2, "l2_embedding": 1e-4, **settings})
    return Config(fit=step)


def test_values_seen_about_equally_often_are_of_one_class() -> None:
    encoder, rows = log_of(3000)
    classes = classes_of(encoder, rows)
    assert classes.slots.tolist() == [1, 5]  # query and ad: hour and tags repeat
    fed = torch.bincount(rows.ids[rows.values != 0], minlength=encoder.rows)
    first = int(encoder.offsets[1])
    known = range(first + FIRST, int(encoder.offsets[2]))
    for one in list(known)[:: len(known) // 20]:
        for other in list(known)[:: len(known) // 20]:
            alike = int(fed[one]).bit_length() == int(fed[other]).bit_length()
            assert (classes.classes[one] == classes.classes[other]) == alike
    own = classes.classes[first : first + FIRST]
    assert len(own.unique()) == FIRST
    assert not np.isin(own, classes.classes[known.start : known.stop]).any()
    assert len(classes.classes[classes.classes >= 0].unique()) <= classes.rows - encoder.rows


def test_the_folded_net_has_the_scores_of_the_net_with_classes() -> None:
    encoder, rows = log_of(3000)
    classes = classes_of(encoder, rows)
    torch.manual_seed(2)
    net = classes.net(NetSizes(init_std=0.5, ffm_embedding=CLASSED_SIZE))
    with torch.no_grad():
        net.linear.normal_()
        net.bias.fill_(0.3)
    folded = classes.folded(net, NetSizes(ffm_embedding=FOLDED_SIZE))
    found, wanted = logits(folded, rows), logits(net, classes.fed(rows))
    assert wanted.std() > 1
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert len(folded.linear) == encoder.rows


def test_a_value_fed_as_unknown_has_the_class_of_unknown_ones() -> None:
    encoder, rows = log_of(3000)
    classes = classes_of(encoder, rows)
    all_dropped = classes.dropping(UnknownDrop.of(encoder, 1.0))(classes.fed(rows).ids)
    slots = len(encoder.offsets)
    for place, slot in enumerate(classes.slots.tolist()):
        unknown = int(encoder.offsets[slot]) + UNKNOWN
        dropped = all_dropped[:, slot] == unknown
        assert dropped.float().mean() > 0.5
        assert (all_dropped[dropped, slots + place] == classes.classes[unknown]).all()


def test_a_log_without_rare_values_has_no_classes() -> None:
    encoder, rows = log_of(200)
    few = Examples(
        rows.ids[:1].repeat(RARE, 1),
        *(
            part[:1].repeat(RARE, *([1] * (part.dim() - 1)))
            for part in (rows.values, rows.labels, rows.weights)
        ),
    )
    assert CountClasses.of(encoder, few) is None
    assert 0 < LEAST_RARE < 1


def test_a_fit_with_classes_ends_with_a_net_of_the_encoders_slots() -> None:
    encoder, rows = log_of(3000)
    plain = trained_on(encoder, rows, config_with(count_classes=False))
    found = trained_on(encoder, rows, config_with(count_classes=True))
    assert found.step is not None
    assert found.step.count_classes
    assert found.net.sizes["embedding"] == FOLDED_SIZE
    assert plain.net.sizes["embedding"] == Config().of_ffm(len(SCHEMA.fields))
    assert found.net.slot_fields == plain.net.slot_fields
    settled = config_with(count_classes=True).settled(len(rows), len(SCHEMA.fields), found.step)
    assert settled.ffm_embedding == FOLDED_SIZE
    again = trained_on(encoder, rows, settled)  # what the manifest records is fitted again
    np.testing.assert_array_equal(logits(again.net, rows), logits(found.net, rows))


@pytest.mark.parametrize(
    "other", [{"net": "fm"}, {"ffm_embedding": 3}, {"optimizer": "lazy_adam", "kernels": False}]
)
def test_other_nets_sizes_and_optimisers_have_none(other: Any) -> None:
    encoder, rows = log_of(1000)
    config = config_with(count_classes=True, epochs=1).model_copy(update=other)
    trained = trained_on(encoder, rows, config)
    assert trained.step is not None
    assert not trained.step.count_classes


def test_of_the_settings_tried_those_for_rare_ids_have_classes_and_come_first() -> None:
    seen: list[bool] = []

    class Seen(Watcher):
        def tries(self, step: str, settings: SizedStep) -> None:  # noqa: ARG002  a watcher's
            seen.append(settings.count_classes)

    encoder, rows = log_of(FEWEST_TO_CHOOSE)
    torch.manual_seed(1)
    trained = fit_net(Steps(Config(fit=Step(epochs=1)), encoder, rows, rows, Seen()))
    assert seen == [True, False, False]
    assert trained.step is not None
    assert _has_classes(trained.net) == trained.step.count_classes


def test_a_net_fitted_without_classes_is_seen_to_have_none() -> None:
    encoder, rows = log_of(FEWEST_TO_CHOOSE)
    for count_classes in (True, False):
        net = trained_on(encoder, rows, config_with(count_classes=count_classes, epochs=1)).net
        assert _has_classes(net) is count_classes


def _has_classes(net: Net) -> bool:
    # the last K of a folded vector are those of the classes, which many values have in common
    table = dict(net.named_parameters())["embedding"].view(len(net.linear), len(SCHEMA.fields), -1)
    of_class = table[:, :, -CLASSED_SIZE:].flatten(1)
    return len(torch.unique(of_class, dim=0)) < len(of_class) / 2


def test_moments_that_are_kept_are_the_folded_nets() -> None:
    encoder, rows = log_of(1000)
    moments = Moments()
    trained = trained_on(encoder, rows, config_with(count_classes=True), moments)
    shapes = {name: p.shape for name, p in trained.net.named_parameters()}
    for name, state in moments.states.items():
        assert state["exp_avg"].shape == state["exp_avg_sq"].shape == shapes[name]
        assert (state["exp_avg_sq"] >= 0).all()
