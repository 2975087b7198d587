"""Redis over TLS, `rediss://`: versions, packed values and values that stay in Redis, on a real
server whose certificate is checked.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app_server import client_of
from certificates import certificate
from model.bundle.bundle import Bundle
from narrowing import not_none
from own_redis import SYSTEM, own_redis, require_tls
from proxy import Proxy
from service.errors import StoreUnavailable
from service.scoring.remote.redis_lookups import Lookups
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish

ADS = [{"ad": f"a{i}", "price": i / 2} for i in range(6)]


class Secure:
    """A server that takes TLS at `url` and nothing else on that port; `certificate`: its own."""

    def __init__(self, port: int, trusted: Path) -> None:
        self.port = port
        self.certificate = trusted

    def url(self, trusted: Path | None = None, scheme: str = "rediss") -> str:
        """The URL for a caller that trusts this certificate."""
        asked = f"?ssl_ca_certs={trusted or self.certificate}" if scheme == "rediss" else ""
        return f"{scheme}://127.0.0.1:{self.port}/0{asked}"


@pytest.fixture(scope="module", params=["in front", "its own"])
def secure(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secure]:
    """Redis behind something that ends TLS, as managed ones are; and one that speaks TLS itself."""
    folder = tmp_path_factory.mktemp("tls")
    own, key = certificate(folder)
    if request.param == "in front":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own, key)
        with own_redis(folder / "redis") as (_, port), Proxy(port, context).running() as proxy:
            yield Secure(proxy.port, own)
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(own)]
    options += ["--tls-cert-file", str(own), "--tls-key-file", str(key)]
    require_tls()
    with own_redis(folder / "redis", *options, server=SYSTEM):
        yield Secure(port, own)


@pytest.fixture
def store(secure: Secure) -> Iterator[VersionStore]:
    opened = VersionStore(secure.url(), "ads")
    opened.redis.flushall()
    yield opened
    opened.close()


def expected(bundle: Bundle, context: Any) -> Any:
    rows = [{**context, **ad} for ad in ADS]
    predicted = bundle.read_scorer().predict(bundle.read_encoder().encode(rows))
    return not_none(predicted.probabilities).tolist()


def test_a_version_is_served_over_tls(
    secure: Secure, store: VersionStore, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    bundles = BundleStore(tmp_path / "bundles")
    done = publish(tiny_bundle.directory, store, bundles, remote_fields_above=3, packed_above=3)
    assert done.record.live == ("hour",)
    assert store.packed_digest(tiny_bundle.version) is not None
    context = {"device": "ios", "hour": 7}
    with client_of(secure.url(), tmp_path, remote_timeout_ms=2000.0) as client:
        asked = {"context": context, "candidates": ADS}
        answer = client.post("/predict", json=asked).json()
    assert answer["degraded"] is False
    assert answer["probabilities"] == pytest.approx(expected(tiny_bundle, context), abs=1e-6)


def test_values_are_looked_up_over_tls(secure: Secure, store: VersionStore) -> None:
    store.redis.hset("values", mapping={"u1": 5, "u2": 9})
    lookups = Lookups(secure.url(), 2.0, 2.0)
    try:
        found = asyncio.run(lookups.find("ads", {"values": ["u1", "u2", "u3"]}, None))
    finally:
        lookups.close()
    assert found == {"values": {"u1": 5, "u2": 9, "u3": None}}


def test_a_certificate_of_another_is_not_trusted(secure: Secure, tmp_path: Path) -> None:
    other, _ = certificate(tmp_path, "other")
    with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        VersionStore(secure.url(other), "ads").active()


def test_a_plain_connection_to_a_tls_port_is_unavailable(secure: Secure) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        VersionStore(secure.url(scheme="redis"), "ads").active()
