"""What an API key and a busy worker allow a caller of the Open Inference Protocol."""

import threading
from pathlib import Path
from typing import Any

from app_server import client_of
from model.bundle.bundle import Bundle
from service.http.access.api_keys import make_key
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from tensors import DEVICE, INFER, as_json, columns_of
from tiny import unlabelled_rows

COLUMNS = columns_of(unlabelled_rows(1000, seed=5))


def test_attention_has_the_row_limit_and_the_right_of_explain(
    redis_url: str, tmp_path: Path, tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    keys = {right: make_key(tmp_path / "keys", right, [right]) for right in ("predict", "admin")}
    both = make_key(tmp_path / "keys", "both", ["predict", "explain"])
    with client_of(redis_url, tmp_path, api_keys=tmp_path / "keys", max_rows=5000) as client:

        def status(key: Any, request: Any, path: Any = INFER) -> Any:
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            answer = client.post(path, json=request, headers=headers)
            assert answer.status_code == 200 or answer.json()["error"]
            return answer.status_code

        attention = as_json([DEVICE], ["attention"])
        assert status(None, attention) == 401
        assert status(keys["admin"], as_json([DEVICE])) == 403
        assert status(keys["predict"], as_json([DEVICE])) == 200
        assert status(keys["predict"], attention) == 403
        assert status(both, attention) == 200
        many = {**DEVICE, "shape": [1001], "data": ["ios"] * 1001}
        assert status(both, as_json([many])) == 200
        assert status(both, as_json([many], ["attention"])) == 413
        assert client.get("/v2/health/ready").status_code == 200
        assert client.get("/v2/models/ads").status_code == 401


def test_what_is_too_much_beside_others_is_refused(
    redis_url: str, tmp_path: Path, tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    with client_of(redis_url, tmp_path, max_rows_in_flight=1) as client:
        statuses, bodies = [], []

        def ask() -> None:
            for _ in range(20):
                answer = client.post(INFER, json=as_json(COLUMNS))
                statuses.append(answer.status_code)
                bodies.append(answer)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200, 429}
    refused = next(one for one in bodies if one.status_code == 429)
    assert refused.json()["error"]
    assert int(refused.headers["retry-after-ms"]) > 0
