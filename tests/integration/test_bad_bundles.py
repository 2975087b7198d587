"""A bad version that came into store and Redis past `publish`: each kind is refused when it is
activated, with its reason in the log, a metric and `afm-serve versions`; the old one answers.
"""

import gc
import json
import os
import shutil
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
import redis
import structlog
from prometheus_client.parser import text_string_to_metric_families

from altered import change_graph, reseal, scale_output
from model.manifest import FORMAT
from service.bundle_store import BundleStore
from service.cli import main
from service.embedded_redis import EmbeddedRedis
from service.errors import StoreError
from service.publish import publish
from service.telemetry import Telemetry
from service.versions import Follower
from service.vocabulary_store import Record, VocabularyStore
from until import until

ROWS = [{"device": "ios", "hour": 21, "ad": f"a{i}", "price": i / 2} for i in range(6)]


def byte_flipped(bad):
    data = bytearray((bad / "weights.bin").read_bytes())
    data[5] ^= 1
    (bad / "weights.bin").write_bytes(data)


def file_missing(bad):
    (bad / "explain.onnx").unlink()


def extra_file(bad):
    (bad / "model.pkl").write_bytes(b"\x80\x04")


def wrong_hash(bad):
    body = json.loads((bad / "manifest.json").read_text())
    body["files"]["golden.jsonl"]["sha256"] = "0" * 64
    (bad / "manifest.json").write_text(json.dumps(body))


def extra_field(bad):
    with (bad / "schema.toml").open("a") as schema:
        schema.write('[fields.more]\nkind = "categorical"\n')
    reseal(bad)


def removed_field(bad):
    schema = bad / "schema.toml"
    before, _, _ = schema.read_text().partition("[fields.price]")
    schema.write_text(before)
    reseal(bad)


def field_removed_with_its_vocabulary(bad):
    (bad / "vocabulary" / "price.json").unlink()
    removed_field(bad)


def unknown_operator(bad):
    def change(graph):
        graph.node[0].op_type = "Teleport"

    change_graph(bad / "rank.onnx", change)
    reseal(bad)


def nan_weights(bad):
    weights = np.fromfile(bad / "weights.bin", dtype=np.float32)
    weights[3] = np.nan
    weights.tofile(bad / "weights.bin")
    reseal(bad)


def half_a_number(bad):
    with (bad / "weights.bin").open("ab") as weights:
        weights.write(b"\0")
    reseal(bad)


def nan_in_a_graph(bad):
    scale_output(bad / "explain.onnx", float("nan"))
    reseal(bad)


def index_beyond_the_table(bad):
    path = bad / "vocabulary" / "ad.json"
    body = json.loads(path.read_text())
    body["values"].append("one more")
    path.write_text(json.dumps(body))
    dimensions = json.loads((bad / "manifest.json").read_text())["dimensions"]
    reseal(bad, dimensions={**dimensions, "rows": dimensions["rows"] + 1})


def external_data_outside(bad):
    def change(graph):
        table = next(t for t in graph.initializer if t.external_data)
        where = next(entry for entry in table.external_data if entry.key == "location")
        where.value = "../../../weights.bin"

    shutil.copyfile(bad / "weights.bin", bad.parents[2] / "weights.bin")
    change_graph(bad / "explain.onnx", change)
    reseal(bad)


def hard_link(bad):
    os.link(bad / "predict.onnx", bad.parents[1] / "elsewhere")


def symbolic_link(bad):
    (bad / "weights.bin").rename(bad.parents[1] / "elsewhere")
    (bad / "weights.bin").symlink_to(bad.parents[1] / "elsewhere")


def newer_format(bad):
    reseal(bad, format=FORMAT + 1)


def golden_rows_that_differ(bad):
    lines = [json.loads(line) for line in (bad / "golden.jsonl").read_text().splitlines()]
    lines[-1]["probabilities"][0] += 1e-3
    (bad / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    reseal(bad)


def rank_graph_that_differs(bad):
    scale_output(bad / "rank.onnx", 1.01)
    reseal(bad)


def explain_graph_that_differs(bad):
    scale_output(bad / "explain.onnx", 1.01)
    reseal(bad)


def another_version(bad):
    reseal(bad, version="v2")


def nothing_there(bad):
    shutil.rmtree(bad)


def missing_vocabulary(client, key):
    client.hdel(key, "ad")


def changed_vocabulary(client, key):
    client.hset(key, "ad", client.hget(key, "ad").replace(b"a1", b"a2"))


IN_THE_STORE = [
    (byte_flipped, "damaged", "weights.bin: damaged"),
    (file_missing, "missing", "explain.onnx: missing"),
    (extra_file, "extra_file", "model.pkl: the manifest does not name it"),
    (wrong_hash, "damaged", "golden.jsonl: damaged"),
    (extra_field, "fields", "lacks vocabulary/more.json"),
    (removed_field, "fields", "has vocabulary/price.json"),
    (field_removed_with_its_vocabulary, "dimensions", "slots"),
    (unknown_operator, "graph", "rank.onnx: onnxruntime refuses the graph"),
    (nan_weights, "weights", "weights.bin: a weight that is not finite"),
    (half_a_number, "weights", "weights.bin: not a file of float32"),
    (nan_in_a_graph, "golden", "explain.onnx: differs from predict.onnx by nan"),
    (index_beyond_the_table, "dimensions", "a table of"),
    (external_data_outside, "outside", "explain.onnx: reads '../../../weights.bin'"),
    (hard_link, "link", "predict.onnx: a hard link"),
    (symbolic_link, "link", "weights.bin: a symbolic link"),
    (newer_format, "format", f"bundle format {FORMAT + 1}"),
    (golden_rows_that_differ, "golden", "a probability differs by 0.001"),
    (rank_graph_that_differs, "golden", "rank.onnx: differs from predict.onnx"),
    (explain_graph_that_differs, "golden", "explain.onnx: differs from predict.onnx"),
    (another_version, "manifest", "holds version 'v2'"),
    (nothing_there, "missing", "no bundle there"),
]
IN_REDIS = [
    (missing_vocabulary, "vocabulary", "vocabulary of 'ad' in Redis: missing"),
    (changed_vocabulary, "vocabulary", "vocabulary of 'ad' in Redis: its sha256"),
]


@dataclass
class House:
    """A Redis, a bundle store, and a follower on which the version `good` is live."""

    url: str
    store: VocabularyStore
    bundles: BundleStore
    telemetry: Telemetry
    follower: Follower
    good: str

    def put(self, bundle, version, harm=lambda _: None):
        """Into store and Redis as it is, unlooked at."""
        place = self.bundles._root / "ads" / version
        shutil.copytree(bundle.directory, place)
        if version != bundle.version:
            reseal(place, version=version)
        harm(place)
        facts = {"net": "afm", "created": "2026-01-01", "published": "2026-01-02"}
        record = Record(version=version, bundle=f"ads/{version}", **facts)
        self.store.publish(record, bundle.vocabulary_bytes(), activate=False)

    def refusals(self):
        return {
            (sample.labels["version"], sample.labels["code"]): sample.value
            for family in text_string_to_metric_families(self.telemetry.scrape().decode())
            for sample in family.samples
            if sample.name == "afm_refused_activations_total"
        }

    def scores(self):
        live = self.follower.require()
        return live.scorer.predict(live.encoder.encode(ROWS)).probabilities.tolist()

    def roll_back(self):
        assert self.store.rollback() == self.good
        until(lambda: self.follower.live.version == self.good and not self.store.told())


@pytest.fixture(scope="module")
def house(make_bundle, tmp_path_factory):
    home = tmp_path_factory.mktemp("house")
    good = make_bundle(seed=1)
    with EmbeddedRedis(home / "redis") as server:
        store, telemetry = VocabularyStore(server.url, "ads"), Telemetry()
        bundles = BundleStore(home / "bundles")
        follower = Follower(VocabularyStore(server.url, "ads"), bundles, telemetry, 0.02)
        made = House(server.url, store, bundles, telemetry, follower, good.version)
        made.put(good, good.version)
        store.activate(good.version)
        follower.start()
        follower.wait(30)
        yield made
        follower.stop()
        store.close()
    gc.unfreeze()


def is_refused_and_told(house, version, code, says, capsys, monkeypatch):
    good, before = house.follower.live, house.scores()
    with structlog.testing.capture_logs() as logged:
        house.store.activate(version)
        until(house.store.told)
    assert house.follower.require() is good
    assert house.scores() == before
    assert house.follower.refusal.version == version
    assert says in house.follower.refusal.reason
    (entry,) = [entry for entry in logged if entry["event"] == "version refused"]
    assert (entry["version"], entry["code"]) == (version, code)
    assert says in entry["reason"]
    assert house.refusals()[version, code] == 1
    monkeypatch.setenv("AFM_REDIS_URL", house.url)
    assert main(["versions", "--model", "ads"]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    assert told.startswith(f"{version} is refused by 1 worker ({code}): ")
    assert says in told
    house.roll_back()
    assert house.follower.require() is good
    assert main(["versions", "--model", "ads"]) == 0
    assert "refused by" not in capsys.readouterr().out


@pytest.mark.parametrize(("harm", "code", "says"), IN_THE_STORE)
def test_a_bad_bundle_never_goes_live(harm, code, says, house, make_bundle, capsys, monkeypatch):
    house.put(make_bundle(seed=2), harm.__name__, harm)
    is_refused_and_told(house, harm.__name__, code, says, capsys, monkeypatch)


@pytest.mark.parametrize(("harm", "code", "says"), IN_REDIS)
def test_a_vocabulary_that_is_not_the_bundle_s_never_goes_live(
    harm, code, says, house, make_bundle, capsys, monkeypatch
):
    house.put(make_bundle(seed=2), harm.__name__)
    with redis.Redis.from_url(house.url) as client:
        harm(client, f"afm:ads:vocabulary:{harm.__name__}")
    is_refused_and_told(house, harm.__name__, code, says, capsys, monkeypatch)


def test_what_is_unharmed_goes_live(house, make_bundle):
    house.put(make_bundle(seed=2), "unharmed")
    house.store.activate("unharmed")
    until(lambda: house.follower.live.version == "unharmed")
    assert house.store.told() == []
    house.roll_back()


def test_a_redis_that_takes_no_writes_is_told_all_the_same(house, make_bundle):
    house.put(make_bundle(seed=2), "told", byte_flipped)
    house.store.activate("told")
    with redis.Redis.from_url(house.url) as client:
        until(house.store.told)
        client.config_set("maxmemory", 1)  # every write fails
        try:
            client.client_kill_filter(_type="normal", skipme=True)
            until(house.store.told)
            with pytest.raises(StoreError, match="maxmemory"):
                house.store.rollback()
        finally:
            client.config_set("maxmemory", 0)
    house.roll_back()


def test_both_workers_refuse_answer_and_follow_the_rollback(commands, make_bundle):
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    with EmbeddedRedis(commands.home / "afm") as server:
        store = VocabularyStore(server.url, "default")
        bundles = BundleStore(commands.home / "afm" / "bundles")
        publish(first.directory, store, bundles)
        publish(second.directory, store, bundles, activate=False)
        nan_weights(commands.home / "afm" / "bundles" / "default" / second.version)
        with commands.serving(workers=2) as served:

            def live_on_both(version):
                told = f'afm_live_version{{model="default",version="{version}"}} 2.0'
                served.wait_until("/metrics", lambda answer: told in answer.text)

            live_on_both(first.version)
            store.activate(second.version)
            until(lambda: len(store.told()) == 2)
            told = commands.run("versions").stdout
            assert f"{second.version} is refused by 2 workers (weights): " in told
            answer = httpx.post(served.url + "/predict", json={"instances": ROWS})
            assert (answer.status_code, answer.json()["version"]) == (200, first.version)
            assert store.rollback() == first.version
            until(lambda: not store.told())
            live_on_both(first.version)
        store.close()
    assert served.log.read_text().count('"event": "version refused"') == 2
