"""What must hold of any parameters, asked over HTTP: explanations that add up and give the
probability served, and nets that are other nets when some of their parameters are fixed.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app_server import client_of
from model.bundle.bundle import Bundle
from model.encoding import Encoder
from model.manifest import Calibration
from model.nets import NETS, Net, NetSizes, build
from model.schema import Schema
from model.vocabulary import fit_vocabulary
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from tiny import TINY_SCHEMA, tiny_rows
from training.data.examples import examples
from training.data.log import Log
from training.export.pack import pack
from training.fit.calibration import apply, calibrate
from training.fit.step.logits import logits

CONTEXT: dict[str, Any] = {
    "device": "ios",
    "interests": ["cars", "golf"],
}  # without an hour: its pairs are absent
ADS: list[dict[str, Any]] = [
    {"ad": "a1", "price": 3.5},
    {"ad": "a2"},
    {"ad": "never seen", "price": 0},
    {"hour": 21},
]
ROWS = [{**CONTEXT, **ad} for ad in ADS] + [{"device": "web", "hour": 3, "ad": "a7", "price": 9.5}]
TASKS = {"click": "", "regression": 'task = "regression"\n', "ranking": 'task = "ranking"\n'}
GROUP = {"ranking": 'group = "visit"\n'}


class Made:
    """An encoder for a task, and nets over its table with parameters at random."""

    def __init__(self, task: Any) -> None:
        self.schema = Schema.parse(TASKS[task] + GROUP.get(task, "") + TINY_SCHEMA)
        rows = tiny_rows(300)
        columns = {name: [row[name] for row in rows] for name in self.schema.fields}
        labels = np.array([row["click"] for row in rows], np.float32)
        group = np.arange(300) // 5 if task == "ranking" else None
        self.log = Log(columns, labels, group=group)
        fields = self.schema.fields.items()
        self.vocabularies = {n: fit_vocabulary(field, columns[n]) for n, field in fields}
        self.encoder = Encoder(self.schema, self.vocabularies)

    def fresh(self, name: Any, **more: Any) -> Any:
        # sizes of the shared bundles, so that a session traces their graphs once
        settings = NetSizes(embedding=4, attention=4, **more)
        return build(name, self.encoder.rows, self.encoder.slot_fields, settings).eval()

    def net(self, name: Any) -> Any:
        torch.manual_seed(0)
        net = self.fresh(name)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.normal_(std=0.4)
        return net

    def inputs(self) -> Any:
        encoded = self.encoder.encode(ROWS)
        return torch.from_numpy(encoded.ids), torch.from_numpy(encoded.values)

    def examples(self) -> Any:
        encoded = self.encoder.encode_columns(self.log.columns, len(self.log))
        return encoded, examples(encoded, self.log, self.schema.task)

    def bundle(self, directory: Any, net: Any, name: Any, calibration: Any = None) -> Any:
        directory.mkdir()
        _, rows = self.examples()
        parts = {"valid": (rows, self.log)}
        how: Any = calibration, parts, {"epochs": []}, rows
        pack(directory, net, name, self.vocabularies, self.encoder, *how)
        return Bundle.open(directory)


@pytest.fixture
def ask(redis_url: str, store: VersionStore, bundles: BundleStore, tmp_path: Path) -> Any:
    """`ask(bundle)`: the answers of /predict and /explain to ROWS; the first of /predict to the ads
    as candidates of their context as well.
    """

    def asked(bundle: Any) -> Any:
        publish(bundle.directory, store, bundles)
        with client_of(redis_url, tmp_path) as client:
            every = {"instances": ROWS, "top": None}
            ranked = client.post("/predict", json={"context": CONTEXT, "candidates": ADS})
            bodies: Any = {"json": {"instances": ROWS}}, {"json": every}
            answers = (client.post("/predict", **bodies[0]), client.post("/explain", **bodies[1]))
            return [answer.json() for answer in (*answers, ranked)]

    return asked


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
@pytest.mark.parametrize("name", [name for name in NETS if name != "nfm"])
def test_terms_add_up_to_the_logit_whose_calibration_is_the_probability(
    ask: Any, tmp_path: Path, name: Any, kind: str
) -> None:
    made = Made("click")
    net = made.net(name)
    _, seen = made.examples()
    labels = seen.labels.double().numpy()
    raw = logits(net, seen).astype(np.float64)
    found = calibrate(raw + 2 * labels, labels, np.ones(300), kind, rate=0.1).calibration
    assert found.rate == 0.1
    assert found != Calibration(rate=0.1)
    assert bool(found.knots) == (kind == "isotonic")
    predicted, explained, _ = ask(made.bundle(tmp_path / "made", net, name, found))
    assert len(explained["explanations"]) == len(ROWS)
    for one, probability in zip(explained["explanations"], predicted["probabilities"], strict=True):
        linear, pairs = (
            sum(term["contribution"] for term in one[part]) for part in ("linear", "pairs")
        )
        total = one["bias"] + linear + pairs + one["rest"]["contribution"]
        assert total == pytest.approx(one["logit"], abs=1e-5)
        honest = 1 / (1 + np.exp(-apply(found, np.array([one["logit"]]))))
        assert one["probability"] == probability == pytest.approx(float(honest[0]), abs=1e-5)


# Each reduction: the name of a net, and of the net that it then is; a net of that kind with
# parameters at random; what the first must answer.


def started(made: Any, name: Any, fitted: Any, **more: Any) -> Any:
    """A net that has taken over all that `fitted` has as well; the rest is as it starts."""
    net = made.fresh(name, **more)
    Net.start_from(net, fitted, *made.inputs())
    return net


def fm_by_equal_vectors(made: Any, fitted: Any) -> Any:
    net = made.fresh("ffm")
    same = fitted.embedding.repeat(1, net.fields)
    net.load_state_dict(fitted.state_dict() | {"embedding": same})
    return net


def uniform_afm(made: Any, fitted: Any) -> Any:
    net = started(made, "afm", fitted)
    with torch.no_grad():
        net.h.zero_()
        net.p.fill_(1.0)
    return net


def over_pairs(logit: Any, first_order: Any, pairs: Any) -> Any:
    return first_order + (logit - first_order) / pairs.clamp_min(1)


def times_pairs(logit: Any, first_order: Any, pairs: Any) -> Any:
    return first_order + (logit - first_order) * pairs


def itself(logit: Any, first_order: Any, pairs: Any) -> Any:  # noqa: ARG001  like the others
    return logit


REDUCTIONS: dict[str, Any] = {
    "afm with uniform attention is fm over the pairs": ("afm", "fm", uniform_afm, over_pairs),
    "afm+ as it starts is fm": ("afm+", "fm", partial(started, name="afm+"), itself),
    "afm+ with uniform attention is fwfm": ("afm+", "fwfm", partial(started, name="afm+"), itself),
    "afm+ without fields' parts is afm times the pairs": (
        *("afm+", "afm", partial(started, name="afm+"), times_pairs),
    ),
    "fwfm with weights of one is fm": ("fwfm", "fm", partial(started, name="fwfm"), itself),
    "ffm with equal vectors is fm": ("ffm", "fm", fm_by_equal_vectors, itself),
    "nfm without layers is fm": ("nfm", "fm", partial(started, name="nfm", hidden=()), itself),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_net_is_another_in_torch_in_onnxruntime_and_over_http(
    ask: Any, tmp_path: Path, task: Any, reduction: Any
) -> None:
    made = Made(task)
    name, other, make, change = REDUCTIONS[reduction]
    fitted = made.net(other)
    ids, values = made.inputs()
    present = (values != 0).sum(1)
    assert present.unique().numel() > 1, "rows must differ in their pairs to tell the scales apart"
    with torch.no_grad():
        first_order = fitted.bias + fitted.linear_terms(ids, values).sum(1)
        pairs = present * (present - 1) / 2
        expected = change(fitted(ids, values), first_order, pairs).double()
        net = make(made=made, fitted=fitted)
        in_torch = net(ids, values)
    assert float((expected - first_order).abs().max()) > 0.01
    assert in_torch.tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    calibration = Calibration() if task == "click" else None
    bundle = made.bundle(tmp_path / "made", net, name, calibration)
    by_onnxruntime = bundle.read_scorer().predict(bundle.read_encoder().encode(ROWS)).logits
    assert by_onnxruntime.tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    predicted, explained, ranked = ask(bundle)
    given = [one["logit"] for one in explained["explanations"]]
    assert given == pytest.approx(expected.tolist(), abs=1e-5)
    key, wanted = ("scores", expected)
    if task == "click":
        key, wanted = ("probabilities", torch.sigmoid(expected))
    assert predicted[key] == pytest.approx(wanted.tolist(), abs=1e-5)
    assert ranked[key] == pytest.approx(wanted.tolist()[: len(ADS)], abs=1e-5)
