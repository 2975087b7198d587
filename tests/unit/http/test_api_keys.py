"""API keys: kept as hashes, compared in constant time, followed when their file changes."""

import asyncio
import hashlib
import hmac
import os
import re
import stat
from pathlib import Path

import pytest

from narrowing import not_none
from service.errors import SettingsError
from service.http.access.api_keys import ApiKeys, make_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_made_key_is_found_with_its_name_and_rights(path: Path) -> None:
    shop = make_key(path, "shop", ["predict", "explain"])
    desk = make_key(path, "desk", ["admin"])
    keys = ApiKeys(path)
    assert not_none(keys.find(shop.encode()))[::2] == ("shop", frozenset({"predict", "explain"}))
    assert not_none(keys.find(desk.encode()))[::2] == ("desk", frozenset({"admin"}))
    assert keys.find(b"") is keys.find(shop[:-1].encode()) is keys.find(b"\xff") is None


def test_the_file_holds_the_hash_and_not_the_key_and_is_its_owner_s(path: Path) -> None:
    key = make_key(path, "shop", ["predict"])
    assert key not in path.read_text()
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert path.read_text() == f"shop {digest} predict\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_key_is_made_twice_and_each_has_256_bits(path: Path) -> None:
    made = {make_key(path, f"k{i}", ["predict"]) for i in range(20)}
    assert len(made) == 20
    assert all(len(key.removeprefix("afm_")) * 6 >= 256 for key in made)


def test_every_key_is_compared_whichever_fits_and_by_the_constant_time_comparison(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [make_key(path, f"k{i}", ["predict"]) for i in range(5)]
    keys = ApiKeys(path)
    compared = []
    real = hmac.compare_digest

    def watched(a: str, b: str) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    for given in (made[0], made[4], "none"):
        compared.clear()
        keys.find(given.encode())
        assert [len(one) for pair in compared for one in pair] == [32] * 10


def test_comments_and_empty_lines_are_none(path: Path) -> None:
    digest = hashlib.sha256(b"k").hexdigest()
    path.write_text(f"# who\n\n  shop {digest} predict # since May\n")
    assert not_none(ApiKeys(path).find(b"k")).name == "shop"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("shop afm_plain-secret-1 predict", "not a SHA-256"),
        (f"shop {'0' * 64}", "not a name"),
        (f"shop {'0' * 64} predict,secret-2", "rights are some of"),
        (f"se/cret {'0' * 64} predict", "a name has"),
        (f"shop {'0' * 64} predict\nshop {'1' * 64} predict", "line 3: a second key"),
    ],
)
def test_a_line_that_is_no_key_is_named_by_its_number_alone(
    path: Path, line: str, said: str
) -> None:
    path.write_text(f"# keys\n{line}\n")
    with pytest.raises(SettingsError, match=r"AFM_API_KEYS: .*, line \d: ") as caught:
        ApiKeys(path)
    assert said in str(caught.value)
    assert not re.search("secret|se/cret", str(caught.value))


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(SettingsError, match=re.escape(str(path))):
        ApiKeys(path)


def test_a_name_twice_or_a_right_that_is_none_makes_no_key(path: Path) -> None:
    make_key(path, "shop", ["predict"])
    before = path.read_text()
    for name, rights in (("shop", ["admin"]), ("other", ["rule"]), ("a b", ["predict"])):
        with pytest.raises(SettingsError):
            make_key(path, name, rights)
    assert path.read_text() == before


def test_a_changed_file_takes_effect_and_a_broken_one_leaves_the_keys(path: Path) -> None:
    shop = make_key(path, "shop", ["predict"])
    keys = ApiKeys(path)
    assert keys.refresh()
    desk = make_key(path, "desk", ["admin"])
    assert keys.find(desk.encode()) is None
    assert keys.refresh()
    assert not_none(keys.find(desk.encode())).name == "desk"
    whole = path.read_text()
    path.write_text("broken\n")
    assert not keys.refresh()
    assert not keys.refresh()
    assert not_none(keys.find(shop.encode())).name == "shop"
    path.unlink()
    assert not keys.refresh()
    assert not_none(keys.find(shop.encode())).name == "shop"
    path.write_text(whole.splitlines()[1] + "\n")
    assert keys.refresh()
    assert keys.find(shop.encode()) is None
    assert not_none(keys.find(desk.encode())).name == "desk"


def test_a_file_renamed_over_another_is_seen_though_time_and_size_are_the_same(
    path: Path, tmp_path: Path
) -> None:
    make_key(path, "shop", ["predict"])
    keys = ApiKeys(path)
    new = tmp_path / "new"
    other = make_key(new, "shop", ["predict"])
    os.utime(new, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    new.rename(path)
    assert keys.refresh()
    assert not_none(keys.find(other.encode())).name == "shop"


def test_the_file_is_watched_and_its_state_reported(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http.access.api_keys.WATCH_SECONDS", 0.01)
    make_key(path, "shop", ["predict"])
    keys = ApiKeys(path)

    async def live() -> None:
        states: asyncio.Queue[bool] = asyncio.Queue()
        async with keys.watched(states.put_nowait):
            assert await states.get()
            path.write_text("broken\n")  # noqa: ASYNC240  nobody else is on this loop
            while await states.get():
                pass

    asyncio.run(asyncio.wait_for(live(), 10))


def test_a_folder_stands_for_the_file_keys_in_it(tmp_path: Path) -> None:
    key = make_key(tmp_path, "shop", ["predict"])
    assert (tmp_path / "keys").exists()
    found = ApiKeys(tmp_path).find(key.encode())
    assert found is not None
    assert found.name == "shop"


def test_keys_are_not_current_where_their_file_was_replaced_out_of_sight(tmp_path: Path) -> None:
    make_key(tmp_path / "keys", "shop", ["predict"])
    with (tmp_path / "keys").open() as mounted:  # as a container has one file that it was given
        keys = ApiKeys(Path(f"/proc/self/fd/{mounted.fileno()}"))
        assert keys.refresh()
        (tmp_path / "new").write_text("")
        (tmp_path / "new").replace(tmp_path / "keys")
        assert not keys.refresh()


@pytest.mark.parametrize("name", ["two words", "a#b", ""])
def test_a_name_that_a_line_cannot_hold_makes_no_key(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"^NAME: a name has letters"):
        make_key(tmp_path / "keys", name, ["predict"])
    assert not (tmp_path / "keys").exists()
