"""Places with the same tree in a folder and in a bucket, and the ways between them."""

from collections.abc import Iterator

import pytest
from botocore.retries.standard import ExponentialBackoff

from lake_assets.s3 import engine
from lake_assets_tests.s3.places import TREE, fill, new_place


@pytest.fixture(scope="module", autouse=True)
def short_pauses() -> Iterator[None]:
    """A hundredth of the pauses between tries, ours and botocore's; as many tries, as ordered."""
    ours, botocores = engine._pause_s, ExponentialBackoff.delay_amount
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_pause_s", lambda attempt: ours(attempt) / 100)
        patch.setattr(ExponentialBackoff, "delay_amount", lambda *args: botocores(*args) / 100)
        yield


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
