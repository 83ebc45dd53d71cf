"""Objects of the catalog go in two steps: a writer who refers to one meanwhile loses nothing."""

import os
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake_assets.catalog import Document, Objects, write_document
from lake_assets.catalog.objects import ASIDE
from lake_assets.errors import StorageError
from lake_assets.lake.gc import Swept, find_garbage, sweep
from lake_assets.lake.verify import verify
from lake_assets.s3 import open_store
from lake_assets.s3.folder import FolderStore

DAY = timedelta(days=1)
BODY = b"a configuration"


@pytest.fixture(params=["folder", "s3"])
def root(request, tmp_path):
    """A lake with one object that nothing names and that is older than the grace period."""
    url = str(tmp_path / "lake")
    if request.param == "s3":
        url = f"s3://{request.getfixturevalue('bucket')}/lake"
    Objects(open_store(url)).put(BODY)
    return url


def later(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def collect(root: str, *, days: float = 2) -> Swept:
    """A collection as it would be so many days from now: that much older is all that is there."""
    return sweep(root, find_garbage(root, now=later(days)), now=later(days))


def refer_to(root: str, id_: str, name: str = "x") -> None:
    """The commit point of a writer."""
    document = Document("materialization", {"config_id": id_}, {})
    assert write_document(open_store(root), f"catalog/log/2026-11-01/{name}.json", document)


def kinds(swept: Swept) -> list[str]:
    return [item.kind for item in swept.removed]


def test_what_nobody_names_is_set_aside_and_gone_a_grace_period_later(root):
    objects = Objects(open_store(root))
    (id_,) = objects.list()
    assert kinds(collect(root)) == ["blob"]
    assert list(objects.list()) == []
    assert objects.get(id_) == BODY  # whoever refers to it has it
    assert kinds(collect(root, days=0.5)) == []  # the copy is young
    freed = collect(root)
    assert (kinds(freed), freed.size_bytes) == (["set aside"], len(BODY))
    with pytest.raises(StorageError, match="is not in"):
        objects.get(id_)
    assert list(open_store(root).list("catalog/objects/")) == []


def test_a_writer_that_takes_it_up_between_the_marks_and_the_removal_loses_nothing(
    root, monkeypatch
):
    store = open_store(root)
    delete, taken = type(store).delete, []

    def late(self, key: str) -> None:
        if not taken:  # all marks are made, and the object goes with the next request
            taken.append(Objects(self).put(BODY))
        delete(self, key)

    monkeypatch.setattr(type(store), "delete", late)
    assert kinds(collect(root)) == ["blob"]
    (put,) = taken
    assert not put.is_new  # it was there: nothing was written
    refer_to(root, put.id)  # as late as can be: the collection is over
    assert Objects(store).get(put.id) == BODY
    assert verify(root, level="head").damage == ()
    swept = collect(root)
    assert (swept.restored, swept.removed) == ((put.id,), ())
    assert list(Objects(store).list()) == [put.id]
    assert kinds(collect(root)) == ["set aside"]
    assert collect(root).removed == ()
    assert verify(root, level="bytes").findings == ()


def test_a_writer_that_comes_after_the_removal_writes_it_anew(root):
    objects = Objects(open_store(root))
    collect(root)
    put = objects.put(BODY)
    assert put.is_new
    refer_to(root, put.id)
    assert kinds(collect(root)) == ["set aside"]
    assert (objects.get(put.id), list(objects.list())) == (BODY, [put.id])


def test_an_object_that_goes_between_two_requests_of_a_put_is_written_again(tmp_path, monkeypatch):
    store = open_store(str(tmp_path))
    objects, create, gone = Objects(store), FolderStore.create, []
    id_ = objects.put(BODY).id

    def late(self, key: str, body: bytes) -> bool:
        made = create(self, key, body)
        if not made and not gone:  # it is there, the writer is told, and then it goes
            gone.append(key)
            self.delete(key)
        return made

    monkeypatch.setattr(FolderStore, "create", late)
    assert objects.put(BODY).is_new
    assert objects.get(id_) == BODY


def test_a_collection_that_is_killed_between_copy_and_removal_leaves_it_in_its_place(
    tmp_path, monkeypatch
):
    root = str(tmp_path)
    objects = Objects(open_store(root))
    id_ = objects.put(BODY).id

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            collect(root)
    assert list(objects.list()) == [id_]
    refer_to(root, id_)
    for path in Path(root, ASIDE).rglob("*-*"):
        os.utime(path, (time.time() - 10 * 86_400,) * 2)
    assert kinds(collect(root, days=0)) == ["set aside"]
    assert objects.get(id_) == BODY


def test_an_object_named_only_by_one_that_is_set_aside_and_needed_stays(tmp_path):
    root = str(tmp_path)
    objects = Objects(open_store(root))
    inner = objects.put(b"sketch").id
    outer = objects.put(f'{{"sketch":"{inner}"}}'.encode()).id
    assert kinds(collect(root)) == ["blob", "blob"]
    refer_to(root, outer)  # by a writer that saw both before
    swept = collect(root)
    assert sorted(swept.restored) == sorted([inner, outer])
    assert sorted(objects.list()) == sorted([inner, outer])


def test_a_damaged_copy_is_named_and_stops_nothing(tmp_path):
    root = str(tmp_path)
    objects = Objects(open_store(root))
    ids = [objects.put(body).id for body in (b"one", b"two", b"three")]
    assert kinds(collect(root)) == ["blob"] * 3
    for id_ in ids[:2]:
        refer_to(root, id_, name=id_)
    (copy,) = Path(root, ASIDE).rglob(f"{ids[0]}-*")
    copy.write_bytes(b"bad")
    (damage,) = verify(root, level="bytes").damage
    assert damage.uri.endswith(copy.name)
    swept = collect(root)
    (said,) = swept.damaged
    assert ids[0] in said
    assert "is not the file that was recorded" in said
    assert (swept.restored, kinds(swept)) == ((ids[1],), ["set aside"])
    assert copy.exists()  # and it stays, whatever its age
    # A second copy of the same object, as two collections at once leave it, is as good.
    copy.with_name(f"{ids[0]}-whole").write_bytes(b"one")
    swept = collect(root)
    assert (swept.restored, swept.damaged) == ((ids[0],), ())
    assert objects.get(ids[0]) == b"one"


def test_large_objects_are_set_aside_and_put_back_one_after_the_other(tmp_path):
    root, size = str(tmp_path), 12 * 1024**2
    objects = Objects(open_store(root))
    ids = [objects.put(bytes([n]) * size).id for n in range(4)]
    collect(root)
    for id_ in ids:
        refer_to(root, id_, name=id_)
    tracemalloc.start()
    try:
        assert len(collect(root).restored) == 4
        assert tracemalloc.get_traced_memory()[1] < 2 * size
        for id_ in ids:
            Path(root, "catalog/log/2026-11-01", f"{id_}.json").unlink()
        tracemalloc.reset_peak()
        assert kinds(collect(root)).count("blob") == 4
        assert tracemalloc.get_traced_memory()[1] < 2 * size
    finally:
        tracemalloc.stop()
