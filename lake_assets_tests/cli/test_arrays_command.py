"""``lake arrays``."""

import json

import numpy as np

from lake_assets.arrays import write_raw, write_sparse
from lake_assets_tests.arrays import cottoncandy


def test_show_says_what_is_there(lake, tmp_path):
    import scipy.sparse as sp

    write_raw(f"{tmp_path}/t/a", np.ones((2, 3), "<f4"), metadata={"who": "Zoë"})
    write_sparse(f"{tmp_path}/t/s", sp.eye_array(3))
    ran = lake("arrays", "show", tmp_path / "t")
    assert ran.code == 0
    assert "t/a  raw  float32 (2, 3)  Blosc" in ran.out
    assert "who='Zoë'" in ran.out
    assert "sparse dia  float64 (3, 3)" in ran.out
    ran = lake("arrays", "show", tmp_path / "t" / "a", "--json")
    [item] = json.loads(ran.out)
    assert item["shape"] == [2, 3]
    ran = lake("arrays", "show", tmp_path / "nothing")
    assert (ran.code, ran.err.count("nothing at")) == (1, 1)


def test_migrate_rewrites_reports_and_ends_with_3_where_an_object_is_bad(lake, tmp_path, bucket):
    url = f"s3://{bucket}/old"
    cottoncandy.raw(f"{url}/a", np.arange(3.0))
    cottoncandy.put(f"{url}/bad", b"x", {"dtype": "O", "shape": "1", "gzip": "False"})
    arguments = ("arrays", "migrate", url, "--to", tmp_path / "new", "--format", "npy")
    ran = lake(*arguments, "--dry-run")
    assert "2 planned" in ran.out
    assert not (tmp_path / "new").exists()
    ran = lake(*arguments)
    assert ran.code == 3
    assert f"migrated  {url}/a -> {tmp_path}/new/a.npy  float64 (3,)" in ran.out
    assert f"failed  {url}/bad" in ran.err
    assert "1 migrated, 1 failed" in ran.out
    assert np.array_equal(np.load(tmp_path / "new" / "a.npy"), np.arange(3.0))
    ran = lake(*arguments, "--json")
    assert ran.json["counts"] == {
        "migrated": 0,
        "unchanged": 1,
        "planned": 0,
        "skipped": 0,
        "failed": 1,
    }
    ran = lake("arrays", "migrate", url, "--to", f"{url}/in")
    assert (ran.code, "lie in each other" in ran.err) == (2, True)
