"""Places with the same tree in a folder and in a bucket, and the ways between them."""

import pytest

from lake_assets_tests.s3.places import TREE, fill, new_place


@pytest.fixture(params=["folder", "s3"])
def base(request, tmp_path) -> str:
    """A place with the tree in it."""
    url = new_place(request.param, tmp_path, lambda: request.getfixturevalue("bucket"))
    fill(url, TREE)
    return url


@pytest.fixture(params=["folder-folder", "folder-s3", "s3-folder", "s3-s3"])
def way(request, tmp_path) -> tuple[str, str]:
    """A place with the tree in it, and an empty one."""
    first, second = request.param.split("-")
    source = new_place(first, tmp_path, lambda: request.getfixturevalue("bucket"))
    target = new_place(second, tmp_path, lambda: request.getfixturevalue("bucket"))
    fill(source, TREE)
    return source, target
