"""What the UI shows of an array that was written: a small picture, and its corner as text."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from lake_assets.arrays import zarr_store
from lake_assets.defs import array_io_managers as managers
from lake_assets.defs.resources import LakeResource
from lake_assets_tests.graph.line import NESTED_RESOURCE

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)

CUBE = np.random.default_rng(5).normal(size=(6, 5, 4))


def picture_in(preview):
    """The picture that a markdown text carries, and the text after it."""
    start, _, rest = preview.partition("](data:image/png;base64,")
    assert start.startswith("![")
    body, _, text = rest.partition(")\n")
    picture = Image.open(io.BytesIO(base64.b64decode(body, validate=True)))
    picture.load()
    return picture, text


def test_an_array_is_shown_as_a_small_picture_of_what_is_in_memory(tmp_path, monkeypatch):
    place = str(tmp_path)
    lake = LakeResource(root=place)
    monkeypatch.setattr(zarr_store, "open_zarr", None)  # it is not read again
    noise = np.random.default_rng(1).normal(size=(300, 200))
    noise[0, 0] = np.nan
    shown = {
        "map": (managers.ZarrIOManager, noise, (200, 240), "every (5, 4) of it"),
        "line": (managers.NpyIOManager, np.arange(10.0), (510, 96), "0 (bottom) to 9 (top)"),
        "plane": (managers.RawArrayIOManager, CUBE, (204, 255), "(dark); index 0 of (6, 5, 4)"),
        "ends": (managers.NpyIOManager, np.array([-1.7e308, 1.7e308]), (512, 96), "-1.7e+308"),
    }
    for name, (kind, value, size, said) in shown.items():
        preview = kind(lake=lake).write(f"{place}/{name}", value)["preview"].value
        picture, text = picture_in(preview)
        assert len(preview) < 12_000
        assert picture.size == size
        assert said in text
        assert len(picture.convert("L").getcolors()) > 1
    for value in (np.array(["a"]), np.array(3.0), np.empty((0, 3)), np.full(3, np.nan)):
        preview = managers.NpyIOManager(lake=lake).write(f"{place}/none", value)["preview"].value
        assert preview.startswith("```")
