"""What changed between two listings: new, late and overwritten objects, in a small state."""

import time
from pathlib import Path

import pytest

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3 import Store, open_store
from lake_assets.s3.changes import Changes, ListingState


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "root"))
    return open_store(f"s3://{request.getfixturevalue('bucket')}/some prefix+1")


def fill(store: Store, *keys: str) -> None:
    for key in keys:
        store.put(key, key.encode())


def keys(listing) -> list[str]:
    return [info.key for info in listing]


class TestChanges:
    """New, late and overwritten objects since the last listing."""

    def test_nothing_new_is_nothing(self, store):
        fill(store, "b", "c")
        first = Changes(store.list(), ListingState())
        assert keys(first) == ["b", "c"]
        again = Changes(store.list(), first.state())
        assert keys(again) == []
        assert again.n_gone == 0

    def test_late_and_overwritten_keys_are_found(self, store):
        fill(store, "b", "c", "d")
        first = Changes(store.list(), ListingState())
        list(first)
        time.sleep(0.01)
        store.put("a", b"late: it sorts before all that was seen")
        store.put("c", b"overwritten")
        store.delete("d")
        second = Changes(store.list(), ListingState.from_bytes(first.state().to_bytes()))
        assert keys(second) == ["a", "c"]
        assert second.n_gone == 2  # the old c, and d

    def test_a_listing_that_broke_off_gives_no_state(self, store):
        fill(store, "a", "b")
        changes = Changes(store.list(), ListingState())
        next(iter(changes))
        with pytest.raises(SettingsError, match="not read to its end"):
            changes.state()
        with pytest.raises(SettingsError, match="not read to its end"):
            _ = changes.n_gone
        with pytest.raises(SettingsError, match="iterated once"):
            list(changes)

    def test_the_state_is_small_and_the_same_for_the_same_listing(self, store):
        fill(store, *(f"a rather long key of an object/{n}" for n in range(50)))
        states = []
        for _ in range(2):
            changes = Changes(store.list(), ListingState())
            list(changes)
            states.append(changes.state().to_bytes())
        assert states[0] == states[1]
        assert len(states[0]) == 15 + 32 + 50 * 16

    @pytest.mark.parametrize("damage", [b"", b"{}", b"lake-listing-1\n"])
    def test_a_broken_state_is_an_error(self, damage):
        with pytest.raises(StorageError, match="no whole listing state"):
            ListingState.from_bytes(damage)

    def test_a_state_that_was_cut_is_an_error(self):
        whole = ListingState(frozenset([b"x" * 16, b"y" * 16])).to_bytes()
        assert ListingState.from_bytes(whole).fingerprints == {b"x" * 16, b"y" * 16}
        with pytest.raises(StorageError, match="no whole listing state"):
            ListingState.from_bytes(whole[:-16])
