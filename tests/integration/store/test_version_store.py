"""Versions in a real Redis: whole or not there, and one pointer that moves last."""

import socket
from typing import Any

import pytest
import redis

from published import FIELDS, record
from service.errors import StoreError, StoreUnavailable, VersionError
from service.store.publication import Publication
from service.store.version_store import VersionStore


def test_what_is_published_is_read_back_to_the_byte(store: VersionStore) -> None:
    Publication(store).publish(record(), FIELDS)
    assert store.vocabularies("v1") == FIELDS
    assert store.record("v1") == record()
    assert store.active() == "v1"


def test_the_pointer_is_a_plain_string_that_others_can_read(
    store: VersionStore, raw_redis: Any
) -> None:
    Publication(store).publish(record(), FIELDS)
    assert raw_redis.type("afm:ads:active") == "string"
    assert raw_redis.get("afm:ads:active") == "v1"


def test_publishing_without_activation_leaves_the_pointer(store: VersionStore) -> None:
    Publication(store).publish(record("v1"), FIELDS)
    Publication(store).publish(record("v2"), FIELDS, activate=False)
    assert store.active() == "v1"
    assert [known.version for known in store.versions()] == ["v2", "v1"]


def test_the_first_version_can_be_published_without_activation(store: VersionStore) -> None:
    Publication(store).publish(record(), FIELDS, activate=False)
    assert store.active() is None


def test_publishing_again_changes_nothing_and_adds_no_way_back(
    store: VersionStore, raw_redis: Any
) -> None:
    Publication(store).publish(record(), FIELDS)
    before = {key: raw_redis.dump(key) for key in raw_redis.keys()}  # noqa: SIM118 - a Redis client
    Publication(store).publish(record(), FIELDS)
    assert {key: raw_redis.dump(key) for key in raw_redis.keys()} == before  # noqa: SIM118 - as above
    with pytest.raises(VersionError, match="no earlier version"):
        store.rollback()


def test_nothing_that_is_published_expires(store: VersionStore, raw_redis: Any) -> None:
    Publication(store).publish(record(), FIELDS)
    assert {raw_redis.ttl(key) for key in raw_redis.keys()} == {-1}  # noqa: SIM118 - a Redis client


def test_rollback_goes_back_one_activation_after_the_other(store: VersionStore) -> None:
    for version in ("v1", "v2", "v3"):
        Publication(store).publish(record(version), FIELDS)
    assert store.rollback() == "v2"
    assert store.active() == "v2"
    assert store.rollback() == "v1"
    with pytest.raises(VersionError, match="no earlier version"):
        store.rollback()
    assert store.active() == "v1"


def test_rollback_after_activate_returns_to_what_was_active_then(store: VersionStore) -> None:
    for version in ("v1", "v2", "v3"):
        Publication(store).publish(record(version), FIELDS)
    store.activate("v1")
    assert store.rollback() == "v3"


def test_activating_the_active_version_adds_no_way_back(store: VersionStore) -> None:
    Publication(store).publish(record("v1"), FIELDS)
    store.activate("v1")
    with pytest.raises(VersionError):
        store.rollback()


def test_a_version_that_is_not_published_cannot_be_activated(store: VersionStore) -> None:
    Publication(store).publish(record("v1"), FIELDS)
    with pytest.raises(VersionError, match=r"'v2'.*afm-serve versions"):
        store.activate("v2")
    assert store.active() == "v1"


def test_models_do_not_see_each_other(store: VersionStore, redis_url: str) -> None:
    Publication(store).publish(record(), FIELDS)
    other = VersionStore(redis_url, "other")
    assert other.active() is None
    assert other.versions() == []
    assert other.vocabularies("v1") == {}
    other.close()


def test_the_values_of_a_live_field_have_their_places(store: VersionStore, raw_redis: Any) -> None:
    values = [f"u{i}" for i in range(25_000)]
    Publication(store).publish(record(), FIELDS, {"user": values})
    assert store.count("v1", "user") == 25_000
    assert store.places("v1", "user", ["u0", "u24999", "new"]) == [0, 24_999, None]
    assert raw_redis.ttl(store.values_key("v1", "user")) == -1
    assert raw_redis.keys("afm:ads:stag*") == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "allkeys-lfu"])
def test_a_server_that_may_drop_vocabularies_is_refused(
    store: VersionStore, raw_redis: Any, policy: str
) -> None:
    raw_redis.config_set("maxmemory", 100_000_000)
    raw_redis.config_set("maxmemory-policy", policy)
    with pytest.raises(StoreError, match=f"{policy}.*noeviction"):
        Publication(store).publish(record(), FIELDS)
    assert store.active() is None


@pytest.mark.parametrize(
    ("limit", "policy"), [(0, "allkeys-lru"), (10**8, "noeviction"), (10**8, "volatile-lru")]
)
def test_a_server_that_drops_nothing_of_ours_is_taken(
    store: VersionStore, raw_redis: Any, limit: Any, policy: str
) -> None:
    raw_redis.config_set("maxmemory", limit)
    raw_redis.config_set("maxmemory-policy", policy)
    Publication(store).publish(record(), FIELDS)
    assert store.active() == "v1"


def test_a_record_that_cannot_be_read_is_one_clear_line(
    store: VersionStore, raw_redis: Any
) -> None:
    Publication(store).publish(record(), FIELDS)
    raw_redis.set("afm:ads:version:v1", "nonsense")
    with pytest.raises(VersionError, match="afm:ads:version:v1"):
        store.record("v1")


def test_a_key_of_another_kind_is_named_as_redis_names_it(
    store: VersionStore, raw_redis: Any
) -> None:
    raw_redis.lpush("afm:ads:active", "x")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        store.active()


def test_a_redis_that_is_not_there_is_named_without_its_password() -> None:
    store = VersionStore("redis://someone:secret@127.0.0.1:1/0", "ads", timeout=0.2)
    with pytest.raises(StoreUnavailable, match=r"someone@127\.0\.0\.1:1") as caught:
        store.active()
    store.close()
    assert "secret" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_wrong_password_is_unavailable_and_not_shown(redis_url: str, raw_redis: Any) -> None:
    raw_redis.acl_setuser("someone", enabled=True, passwords=["+right"], keys=["*"])
    wrong = VersionStore(redis_url.replace("unix://", "unix://someone:secret@"), "ads")
    with pytest.raises((StoreUnavailable, StoreError)) as caught:
        wrong.active()
    wrong.close()
    raw_redis.acl_deluser("someone")
    assert "secret" not in str(caught.value)


def test_a_redis_that_never_answers_is_given_up_within_its_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        store = VersionStore(f"redis://127.0.0.1:{silent.getsockname()[1]}", "ads", timeout=0.1)
        with pytest.raises(StoreUnavailable, match=r"[Tt]imeout"):
            store.active()
        store.close()


def test_a_connection_that_died_while_idle_is_replaced(store: VersionStore, raw_redis: Any) -> None:
    Publication(store).publish(record(), FIELDS)
    for client in raw_redis.client_list():
        if client["id"] != str(raw_redis.client_id()):
            raw_redis.client_kill_filter(_id=client["id"])
    assert store.active() == "v1"


def test_the_docstring_lists_every_kind_of_key_that_is_written(
    store: VersionStore, raw_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import service.store.version_store as module

    written = set()
    publication = Publication(store)
    reveal = publication._reveal

    def listed_before(*args: Any, **how: Any) -> None:
        written.update(raw_redis.keys())
        reveal(*args, **how)

    monkeypatch.setattr(publication, "_reveal", listed_before)
    for version in ("v1", "v2"):
        publication.publish(record(version), FIELDS, {"user": ["u1"]}, b"packed", force=True)
    written.update(raw_redis.keys())
    kinds = {key.removeprefix("afm:ads:").partition(":")[0] for key in written}
    documented = {
        line.split()[0].partition(":")[0]
        for line in module.__doc__.splitlines()
        if line.startswith("    ")
    }
    assert kinds == documented


def test_redis_errors_are_the_stores_own(store: VersionStore) -> None:
    with pytest.raises(StoreError) as caught, store.reaching():
        raise redis.ResponseError("MISCONF")
    assert isinstance(caught.value.__cause__, redis.ResponseError)
