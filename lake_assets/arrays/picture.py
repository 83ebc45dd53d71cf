"""A small picture of an array, as PNG: a line for one axis, a map of shades for two. Pure.

A sample of it: no more than some thousand values are looked at, and the picture has a few kB. Drawn
by Pillow, which is there with matplotlib: that needs two seconds to load.
"""

import io
from dataclasses import dataclass

import numpy as np

__all__ = ["Picture", "picture_of"]

#: Cells along an axis of a map, and pixels of its longer side.
_CELLS, _MAP_PIXELS = 64, 256
#: Columns and rows of a line, and values that are looked at for each column.
_COLUMNS, _ROWS, _VALUES = 512, 96, 64
#: From the least value to the greatest: light to dark, as matplotlib's Blues.
_LIGHT, _DARK = np.array([247, 251, 255]), np.array([8, 48, 107])
_NO_NUMBER = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn, and what its ends mean."""

    png: bytes
    low: float
    high: float
    """The least and the greatest value of the sample that are finite."""
    steps: tuple[int, ...]
    """Along each axis: 1 where every value is in the sample."""


def picture_of(array: np.ndarray) -> Picture | None:
    """A picture of an array of numbers with one or two axes; None for any other and where none is.

    Args:
        array: Of any size; only a sample is touched.
    """
    if array.ndim not in {1, 2} or array.dtype.kind not in "biuf" or not array.size:
        return None
    if array.ndim == 2 and min(array.shape) == 1:  # noqa: PLR2004 (a single row is a line)
        array = array[0] if array.shape[0] == 1 else array[:, 0]
    most = _COLUMNS * _VALUES if array.ndim == 1 else _CELLS
    steps = tuple(-(-length // most) for length in array.shape)
    sample = np.asarray(array[tuple(slice(None, None, step) for step in steps)], dtype=np.float64)
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return None
    low, high = float(finite.min()), float(finite.max())
    # Halves: from one end of float64 to the other is more than it holds.
    halves = np.where(np.isfinite(sample), sample / 2, np.nan)
    scaled = (halves - low / 2) / ((high / 2 - low / 2) or 1)
    shades = _line(scaled) if array.ndim == 1 else _map(scaled)
    return Picture(_png(shades), low, high, steps)


def _line(scaled: np.ndarray) -> np.ndarray:
    """Shades ``(rows, columns)``: from the least to the greatest value of each column."""
    n_columns = min(len(scaled), _COLUMNS)
    edges = np.linspace(0, len(scaled), n_columns + 1).astype(int)[:-1]
    low, high = np.fmin.reduceat(scaled, edges), np.fmax.reduceat(scaled, edges)
    # Up to the column before, so that the line does not break where it is steep.
    least, most = low.copy(), high.copy()
    least[1:], most[1:] = np.fmin(low[1:], high[:-1]), np.fmax(high[1:], low[:-1])
    there = ~np.isnan(low)
    rows = np.arange(_ROWS)[:, None]
    top, bottom = ((1 - np.nan_to_num(end)) * (_ROWS - 1) for end in (most, least))
    drawn = (rows >= np.floor(top)) & (rows <= np.ceil(bottom)) & there
    return np.repeat(np.where(drawn, 255, 0).astype(np.uint8), _COLUMNS // n_columns, axis=1)


def _map(scaled: np.ndarray) -> np.ndarray:
    """Shades ``(rows, columns)``: 1 for the least value to 255 for the greatest, 0 for none."""
    cells = np.where(np.isnan(scaled), 0, 1 + 254 * np.nan_to_num(scaled)).astype(np.uint8)
    times = max(1, _MAP_PIXELS // max(cells.shape))
    return cells.repeat(times, axis=0).repeat(times, axis=1)


def _png(shades: np.ndarray) -> bytes:
    from PIL import Image

    ramp = _LIGHT + (_DARK - _LIGHT) * np.linspace(0, 1, 255)[:, None]
    picture = Image.fromarray(shades).convert("L")
    picture.putpalette([*_NO_NUMBER, *ramp.astype(int).ravel().tolist()])
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
