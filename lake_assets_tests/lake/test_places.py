"""Where exports and the lake lie: folders, prefixes, markers, and addresses that cannot be one."""

import pytest

from lake_assets.demo.exports import ExportObject
from lake_assets.errors import SettingsError, StorageError
from lake_assets_tests.lake.line import listing, model, models, put, run, run_models


def test_require_meta_can_be_turned_off_and_on_without_losing_rows(exports, root):
    data, _ = models(model("a"))
    put(exports, data)
    assert run_models(exports, root).rows == 0
    assert run_models(exports, root, datamart={"require_meta": False}).rows == 1
    assert run_models(exports, root).rows == 1


def test_exports_url_may_end_in_the_datamart_folder(exports, root):
    put(exports, *models(model("a")))
    run_models(exports, root)
    before = listing(root)
    assert not run_models(exports / "datamart", root).changed
    assert listing(root) == before


def test_deeper_folders_and_folder_markers_are_read(exports, root):
    deep = [
        ExportObject(o.key.replace("datamart/", "prod/datamart/x/y/"), o.body)
        for o in models(model("a"))
    ]
    put(exports, *deep)
    assert run_models(exports, root, datamart={"folder": "prod/datamart"}).rows == 1


def test_missing_exports_folder_is_an_error_that_names_it(root, tmp_path):
    with pytest.raises(StorageError, match="no-such"):
        run(tmp_path / "no-such", root)
    assert not root.exists()


def test_root_that_is_a_file_is_an_error_that_names_it(exports, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="is a file"):
        run(exports, tmp_path / "file")


@pytest.mark.parametrize("name", ["my lake", "größe", "a=b", "50%"])
def test_root_at_which_delta_readers_fail_is_refused_before_anything_is_written(
    exports, tmp_path, name
):
    put(exports, *models(model("a")))
    with pytest.raises(SettingsError, match="choose a root of ASCII letters"):
        run(exports, tmp_path / name)
    assert not (tmp_path / name).exists()
