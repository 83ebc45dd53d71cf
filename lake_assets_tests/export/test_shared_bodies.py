"""Large files are fetched once for all tasks that read parts of them."""

import pytest

from lake_assets.errors import SourceChangedError
from lake_assets.export.shared_bodies import SharedBodies
from lake_assets.s3 import open_store


class Counting:
    def __init__(self, store):
        self.store, self.opened = store, []

    def open(self, listed, *, memory_bytes):
        self.opened.append(listed.key)
        return self.store.open(listed, memory_bytes=memory_bytes)


def test_a_file_is_fetched_once_and_each_reader_has_its_own_place(tmp_path):
    store = open_store(str(tmp_path))
    for name in "abc":
        store.put(name, name.encode() * 10)
    infos = {info.key: info for info in store.list()}
    counting = Counting(store)
    with SharedBodies(counting) as bodies:
        first = bodies.open(infos["a"], memory_bytes=1)
        second = bodies.open(infos["a"], memory_bytes=1)
        assert (first.read(4), second.read()) == (b"aaaa", b"a" * 10)
        for name in "bca":  # the oldest copy goes, and is fetched again when it is asked for
            with bodies.open(infos[name], memory_bytes=1) as body:
                assert body.read() == name.encode() * 10
        assert first.read() == b"a" * 6
        first.close()
        second.close()
    assert counting.opened == ["a", "b", "c", "a"]


def test_a_file_that_was_replaced_is_never_handed_out(tmp_path):
    store = open_store(str(tmp_path))
    store.put("a", b"old")
    (info,) = store.list()
    store.put("a", b"newer")
    with SharedBodies(store) as bodies, pytest.raises(SourceChangedError):
        bodies.open(info, memory_bytes=1)
