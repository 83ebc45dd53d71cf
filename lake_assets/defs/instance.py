"""Where Dagster keeps its own state of a lake: runs, events, partitions. Never the lake's data."""

import hashlib
from importlib.resources import files
from pathlib import Path

from lake_assets.s3 import parse_url

__all__ = ["instance_home"]


def instance_home(root_url: str) -> Path:
    """The DAGSTER_HOME of a lake, made ready: ``<root>/.dagster`` of a folder.

    A lake on S3 has its instance under ``~/.lake_assets``: losing it loses no data, an empty
    instance registers what is in the lake. An existing ``dagster.yaml`` there is left as it is.
    """
    root = parse_url(root_url)
    if root.is_s3:
        name = hashlib.sha256(root.text.encode()).hexdigest()[:12]
        home = Path.home() / ".lake_assets" / f"{root.bucket}-{name}"
    else:
        home = Path(root.path) / ".dagster"
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    if not target.exists():
        target.write_text(_configuration(), encoding="utf-8")
    return home


def _configuration() -> str:
    """``dagster.yaml`` as the repository has it; an installed package carries a copy."""
    in_repository = Path(__file__).parents[2] / "dagster.yaml"
    if in_repository.is_file():
        return in_repository.read_text(encoding="utf-8")
    return files("lake_assets").joinpath("dagster.yaml").read_text(encoding="utf-8")
