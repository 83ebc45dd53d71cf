"""Whether what is stored is whole: a finding, whatever it is that is damaged."""

import numpy as np
import pytest

from lake_assets.arrays import write_raw, write_zarr
from lake_assets.arrays.verified import verify_stored
from lake_assets.errors import MissingObjectError
from lake_assets.s3 import open_store


def test_a_raw_array_is_found_by_its_ending_and_damage_is_a_finding(folder):
    write_raw(f"{folder}/a.raw", np.arange(9), compression=False)
    assert verify_stored(f"{folder}/a").ok
    open_store(folder).put("a.raw", bytes(72))
    assert "checksum" in verify_stored(f"{folder}/a").problems[0]
    with pytest.raises(MissingObjectError, match="no array at"):
        verify_stored(f"{folder}/b")


@pytest.mark.parametrize(
    ("part", "body"),
    [("_versions/", b"{"), (".objects.json", b"{"), (".objects.json", None), ("/values/c/", None)],
)
def test_whatever_of_a_zarr_array_is_damaged_or_gone_is_a_finding(folder, part, body):
    write_zarr(folder, np.arange(9))
    assert verify_stored(folder).ok
    store = open_store(folder)
    [key] = [info.key for info in store.list() if part in info.key]
    store.delete(key) if body is None else store.put(key, body)
    [problem, *_] = verify_stored(folder).problems
    assert key in problem
