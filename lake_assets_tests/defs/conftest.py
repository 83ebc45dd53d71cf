import pytest


@pytest.fixture(params=["folder", "s3"])
def root(request, tmp_path) -> str:
    """An empty lake."""
    if request.param == "folder":
        return str(tmp_path / "lake")
    return f"s3://{request.getfixturevalue('bucket')}/lake"
