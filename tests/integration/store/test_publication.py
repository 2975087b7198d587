"""A publication is whole or not there: publishers that are killed, swept, or at work at once."""

import threading
from typing import Any

import pytest

from published import FIELDS, record
from service.errors import StoreError, VersionError
from service.store.publication import Publication
from service.store.version_store import VersionStore


def killed_half_way(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher of v2 that gets no further than its vocabularies."""
    doomed = VersionStore(redis_url, "ads")
    publication = Publication(doomed)

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publication, "_reveal", dies)
    with pytest.raises(KeyboardInterrupt):
        publication.publish(record("v2"), FIELDS)
    doomed.close()


def test_a_publisher_killed_half_way_leaves_nothing_to_see(
    store: VersionStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Publication(store).publish(record("v1"), FIELDS)
    killed_half_way(redis_url, monkeypatch)
    assert store.active() == "v1"
    assert [known.version for known in store.versions()] == ["v1"]
    assert store.vocabularies("v2") == {}
    with pytest.raises(VersionError):
        store.activate("v2")


def test_the_next_publish_sweeps_what_a_killed_one_left(
    store: VersionStore, redis_url: str, raw_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_half_way(redis_url, monkeypatch)
    assert raw_redis.keys("afm:ads:staging:*")
    Publication(store).publish(record("v3"), FIELDS)
    assert raw_redis.keys("afm:ads:staging:*") == []
    assert raw_redis.exists("afm:ads:staged", "afm:ads:publishing") == 0


def test_what_a_killed_publisher_left_expires_even_if_nobody_publishes_again(
    redis_url: str, raw_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_half_way(redis_url, monkeypatch)
    (left,) = raw_redis.keys("afm:ads:staging:*")
    assert 0 < raw_redis.ttl(left) <= 3600


@pytest.mark.parametrize("lost", ["", ":user"])
def test_a_publisher_that_was_swept_says_so_and_shows_nothing(
    lost: str, store: VersionStore, raw_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publication = Publication(store)
    stage = publication._stage

    def stage_and_lose(token: Any, *fields: Any) -> None:
        stage(token, *fields)
        raw_redis.delete(f"afm:ads:staging:{token}{lost}")

    monkeypatch.setattr(publication, "_stage", stage_and_lose)
    with pytest.raises(StoreError, match="another publish"):
        publication.publish(record(), FIELDS, {"user": ["u1", "u2"]})
    assert store.active() is None
    monkeypatch.undo()
    Publication(store).publish(record("v2"), FIELDS)
    assert raw_redis.keys("afm:ads:stag*") == []


def test_publishers_at_once_all_get_through_and_one_is_active(redis_url: str) -> None:
    def publish(version: Any) -> None:
        opened = VersionStore(redis_url, "ads")
        Publication(opened).publish(record(version), {"device": version.encode()})
        opened.close()

    names = [f"v{i}" for i in range(6)]
    threads = [threading.Thread(target=publish, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = VersionStore(redis_url, "ads")
    assert sorted(known.version for known in seen.versions()) == names
    assert seen.active() in names
    assert all(seen.vocabularies(name) == {"device": name.encode()} for name in names)
    back = {seen.rollback() for _ in range(5)}
    assert len(back) == 5
    seen.close()


def test_a_reader_never_sees_a_pointer_to_a_version_that_is_not_whole(redis_url: str) -> None:
    stop = threading.Event()
    seen: list[tuple[str, int]] = []

    def read() -> None:
        reader = VersionStore(redis_url, "ads")
        while not stop.is_set():
            if version := reader.active():
                seen.append((version, len(reader.vocabularies(version))))
                reader.record(version)
        reader.close()

    thread = threading.Thread(target=read)
    thread.start()
    writer = VersionStore(redis_url, "ads")
    for i in range(20):
        Publication(writer).publish(record(f"v{i}"), {f"field{j}": b"x" * 1000 for j in range(20)})
    stop.set()
    thread.join()
    writer.close()
    assert len({version for version, _ in seen}) > 1
    assert {size for _, size in seen} == {20}
