"""ARTF 1.0 over a real gRPC channel: messages are written by the specification's numbers, and what
is answered is what /predict answers to the same bid request.
"""

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from app_server import client_of
from bid_requests import bid_request
from commands import Commands
from model.bundle.bundle import Bundle
from protobuf_wire import openrtb, read, written
from service.http.access.api_keys import make_key
from service.http.wire.connection import Connection
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish

SERVICE = "com.iabtechlab.bidstream.mutation.services.v1.RTBExtensionPoint"
OF_THE_DOCUMENT = "com.iabtechlab.bidstream.mutation.v1.RTBExtensionPoint"
ADD_METRICS, ACTIVATE_DEALS, BOTH = 7, 2, "\x02\x07"


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def asked(bid: dict[str, Any], tmax: int = 60_000, *more: tuple[int, Any]) -> bytes:
    """An RTBRequest: lifecycle 1, id 2, tmax 3, bid_request 4, applicable_intents 7."""
    return written(
        [
            (1, 1),
            (2, "call-1"),
            (3, tmax),
            (4, openrtb("BidRequest", bid)),
            *more,
            (99, [(600, "x")]),
        ]
    )


def call(
    channel: grpc.Channel, data: bytes, service: str = SERVICE, key: str | None = None
) -> tuple[dict[str, float], dict[int, Any]]:
    """The score of each impression by its id, and the metadata."""
    method = channel.unary_unary(f"/{service}/GetMutations")
    given = [("authorization", f"Bearer {key}")] if key else []
    found = read(method(data, metadata=given, timeout=60))
    assert found[0] == (1, b"call-1")
    metadata = {n: value.decode() for n, value in read(dict(found)[3])}
    scores = {}
    for number, mutation in found[1:]:
        if number == 2:
            parts = dict(read(mutation))
            assert (parts[1], parts[2], sorted(parts)) == (7, 1, [1, 2, 3, 103])
            ((one, metric),) = read(parts[103])
            assert one == 1
            named = dict(read(metric))
            assert (named[1], named[3]) == (b"click_through_rate", b"ctr-afm")
            scores[parts[3].decode()] = named[2]
    return scores, metadata


@pytest.fixture
def published(bundle: Bundle, store: VersionStore, bundles: BundleStore) -> str:
    publish(bundle.directory, store, bundles)
    return bundle.version


@pytest.fixture
def served(redis_url: str, tmp_path: Path) -> Iterator[tuple[httpx.Client, grpc.Channel]]:
    """The service over HTTP and over gRPC."""
    address = free_address()
    served = client_of(redis_url, tmp_path, protocol=Connection, artf=address)
    with served as client, grpc.insecure_channel(address) as channel:
        yield client, channel


def test_bid_requests_have_the_scores_of_predict_to_the_bit(published: str, served: Any) -> None:
    client, channel = served
    draw, different = random.Random(3), set()
    for number in range(200):
        bid = bid_request(draw, number, imps=1 + number % 5)
        answer = client.post("/predict", json={"bid_request": bid}).json()
        scores, metadata = call(channel, asked(bid))
        places = [f"/imp/{imp['id']}" for imp in bid["imp"]]
        assert scores == dict(zip(places, answer["probabilities"], strict=True))
        assert metadata == {1: "1.0", 2: published}
        different |= set(scores.values())
    assert len(different) > 100
    one = {"imp": [{"id": "1", "tagid": "top"}]}
    assert call(channel, asked(one), OF_THE_DOCUMENT) == call(channel, asked(one))


@pytest.mark.usefixtures("published")
def test_a_boolean_and_a_number_that_is_zero_are_values(served: Any) -> None:
    _, channel = served
    free = {"imp": [{"id": "1", "tagid": "top", "bidfloor": 0.0, "secure": 0}]}
    client = served[0]
    (expected,) = client.post("/predict", json={"bid_request": free}).json()["probabilities"]
    (unset,) = client.post(
        "/predict", json={"bid_request": {"imp": [{"id": "1", "tagid": "top"}]}}
    ).json()["probabilities"]
    assert call(channel, asked(free))[0] == {"/imp/1": expected}
    assert expected != unset


@pytest.mark.usefixtures("published")
def test_what_is_not_to_be_answered_has_no_mutation(served: Any) -> None:
    _, channel = served
    bid = {"imp": [{"id": "1", "tagid": "top"}, {"tagid": "side"}]}
    assert list(call(channel, asked(bid))[0]) == ["/imp/1"]  # the other has no name
    assert call(channel, asked({"id": "a", "imp": []}))[0] == {}
    assert call(channel, written([(2, "call-1")]))[0] == {}
    assert call(channel, asked(bid, 60_000, (7, ACTIVATE_DEALS)))[0] == {}
    assert len(call(channel, asked(bid, 60_000, (7, 2), (7, ADD_METRICS)))[0]) == 1
    assert len(call(channel, asked(bid, 60_000, (7, BOTH)))[0]) == 1  # packed
    assert len(call(channel, asked(bid, 0))[0]) == 1  # no limit


@pytest.mark.usefixtures("published")
def test_a_call_that_cannot_be_answered_within_tmax_has_no_mutation(served: Any) -> None:
    client, channel = served
    many = {"imp": [{"id": str(n), "tagid": "top", "bidfloor": n / 7} for n in range(1000)]}
    scores, metadata = call(channel, asked(many, 1))
    assert (scores, metadata) == ({}, {1: "1.0"})
    assert len(call(channel, asked(many))[0]) == 1000
    metrics = client.get("/metrics").text
    assert 'afm_requests_total{route="/predict",status="504"} 1.0' in metrics


@pytest.mark.usefixtures("published")
def test_what_is_wrong_with_a_call_is_its_status(redis_url: str, tmp_path: Path) -> None:
    address = free_address()
    keys = tmp_path / "keys"
    right, wrong = make_key(keys, "ssp", ["predict"]), make_key(keys, "other", ["admin"])
    one = asked({"imp": [{"id": "1", "tagid": "top"}]})
    with (
        client_of(
            redis_url, tmp_path, protocol=Connection, artf=address, api_keys=keys, max_rows=10
        ),
        grpc.insecure_channel(address) as channel,
    ):
        assert len(call(channel, one, key=right)[0]) == 1
        many = asked({"imp": [{"id": str(n)} for n in range(11)]})
        for data, key, code in (
            (one, None, grpc.StatusCode.UNAUTHENTICATED),
            (one, wrong, grpc.StatusCode.PERMISSION_DENIED),
            (many, right, grpc.StatusCode.INVALID_ARGUMENT),
            (b"\xff\xff", right, grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(channel, data, key=key)
            assert caught.value.code() == code
            assert caught.value.details()


def test_without_a_live_version_a_call_is_unavailable(served: Any) -> None:
    _, channel = served
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, asked({"imp": [{"id": "1", "tagid": "top"}]}))
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_two_workers_answer_at_one_port(commands: Commands, bundle: Bundle) -> None:
    commands.publish(bundle.directory)
    address = free_address()
    one = asked({"imp": [{"id": "1", "tagid": "top"}]})
    with commands.serving(workers=2, AFM_ARTF=address) as served:
        served.wait_until("/readyz", lambda found: found.status_code == 200)
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(60)
            assert len(call(channel, one)[0]) == 1
        again = commands.run("run", "--artf", address)
        assert (again.returncode, "AFM_ARTF: cannot listen on" in again.stderr) == (2, True)
        assert served.stop() == 0


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("8001", "AFM_ARTF: "),
        ("nobody.invalid:8001", "AFM_ARTF: 'nobody.invalid' is not an address"),
        ("0.0.0.0:8001", "AFM_ARTF: 0.0.0.0 is reached from other machines"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(
    commands: Commands, address: str, said: str
) -> None:
    done = commands.run("run", "--artf", address)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_grpc_it_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "sys.modules['grpc'] = None\n"
        "from service.cli import main\n"
        "sys.exit(main(['run', '--artf', '127.0.0.1:8001']))\n"
    )
    run = [sys.executable, "-c", script]
    home = {"AFM_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(run, capture_output=True, text=True, check=False, env=home)
    assert done.returncode == 2
    assert "AFM_ARTF: needs gRPC: pip install 'ctr-afm[serve,artf]'" in done.stderr
