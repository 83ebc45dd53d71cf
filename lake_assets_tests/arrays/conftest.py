"""Places for arrays: a folder and a bucket."""

import uuid

import pytest


@pytest.fixture(params=["folder", "s3"])
def root(request, tmp_path) -> str:
    """An empty place, where arrays may be written."""
    if request.param == "folder":
        return str(tmp_path / "root")
    return f"s3://{request.getfixturevalue('bucket')}/some root+{uuid.uuid4().hex[:4]}"


@pytest.fixture
def folder(tmp_path) -> str:
    return str(tmp_path / "root")


@pytest.fixture(params=["folder", "s3"])
def url(request, tmp_path) -> str:
    """Where one array is to be; nothing is there."""
    if request.param == "folder":
        return str(tmp_path / "100% ü" / "array")
    return f"s3://{request.getfixturevalue('bucket')}/100% ü/array"


@pytest.fixture
def place(tmp_path) -> str:
    """The same in a folder alone."""
    return str(tmp_path / "array")
