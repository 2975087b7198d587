"""What stands before the service: HAProxy's checks, nginx with a prefix."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands import Serving
from proxies import CONFIGURATIONS, proxy

BODY = {"instances": [{"device": "ios", "ad": "a1"}]}
SITE = "server {{ listen 127.0.0.1:8080; location {location} {{ proxy_pass {to}; }} }}"


def checking(check: Any, port: Any) -> Any:
    """HAProxy's documented configuration before one service, with another check, made often."""
    site = (CONFIGURATIONS / "haproxy.cfg").read_text()
    site = site.replace("httpchk GET /readyz", f"httpchk {check}")
    site = site.replace("8001 check", "8001 check inter 50").replace("8002 check", "8002 disabled")
    return site.replace("8001", str(port))


def statuses(port: Any) -> Iterator[Any]:
    """What twenty requests get, while HAProxy checks many times; it is up before the first."""
    for _ in range(20):
        time.sleep(0.05)
        yield httpx.post(f"http://127.0.0.1:{port}/predict", json=BODY).status_code


@pytest.mark.parametrize("check", ["GET /readyz", "HEAD /readyz", "HEAD /healthz"])
def test_haproxy_finds_the_service_up(check: str, service: Serving, tmp_path: Path) -> None:
    site = checking(check, service.port)
    with proxy("haproxy", tmp_path, service.port, site=site) as port:
        assert set(statuses(port)) == {200}


def test_haproxy_s_bare_check_asks_for_what_is_not_there(service: Serving, tmp_path: Path) -> None:
    site = checking("", service.port)
    with proxy("haproxy", tmp_path, service.port, site=site) as port:
        assert list(statuses(port))[-1] == 503


def test_nginx_takes_a_prefix_off(service: Serving, tmp_path: Path) -> None:
    site = SITE.format(location="/ctr/", to="http://127.0.0.1:8001/")
    with proxy("nginx", tmp_path, service.port, site=site) as port:
        found_through(f"http://127.0.0.1:{port}/ctr/")


def test_nginx_leaves_a_prefix_on(backends: Callable[..., list[Serving]], tmp_path: Path) -> None:
    (served,) = backends(1, workers=1, AFM_ROOT_PATH="/ctr")
    site = SITE.format(location="/ctr/", to="http://127.0.0.1:8001")
    with proxy("nginx", tmp_path, served.port, site=site) as port:
        found_through(f"http://127.0.0.1:{port}/ctr/")


def found_through(root: Any) -> None:
    """The page, the document that it names, and scoring at the server that this one names."""
    page = httpx.URL(root).join("docs")
    assert httpx.get(page).status_code == 200
    place = page.join("openapi.json")
    document = httpx.get(place).json()
    server = place.join(document["servers"][0]["url"])
    assert httpx.post(str(server).rstrip("/") + "/predict", json=BODY).status_code == 200
