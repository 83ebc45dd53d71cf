"""The fast reading of NDJSON line by line: for a text in which some rows are odd.

The proof of ``proven_rows`` holds for a single line as well. Here it is counted per line, and the
lines that fail it are handed back for ``exact_rows``. The read does not raise on a value that does
not fit but makes it null, which step 1 finds: the value counts in N - M and not in F.
"""

from dataclasses import dataclass

import polars as pl

from lake_assets.export.column_sample import ColumnSample
from lake_assets.export.lossless import EXACT_FLOAT_LIMIT

__all__ = ["ProvenLines", "read_proven_lines"]

_LINE = pl.col("line")
_BLANKS = " \t\r"

# Where one of these stands in a line, the proof does not hold for it: blanks that it does not know,
# a blank before a colon, a list or an unknown blank after it ...
_UNPROVABLE = ("\t", '" :', "  :", '":[', '": [', '":  ')
# ... quotes whose escape cannot be told by the byte before, halves of surrogate pairs. With a
# backslash only.
_UNPROVABLE_ESCAPES = r'\\\\"|\\u[dD][89a-fA-F]'
# Polars refuses the text as a whole.
_UNREADABLE = ("NaN", "Infinity")
# Comes out of an integer column as 0.
_REPRINTED = ('":-0', '": -0')


@dataclass(frozen=True, slots=True)
class ProvenLines:
    """The lines of a text, parted by the proof; numbers count from 0, blank lines too."""

    frame: pl.DataFrame
    numbers: pl.Series
    """The line of each row of ``frame``."""
    odd: list[tuple[int, str]]
    """The other lines."""


def read_proven_lines(text: str, sample: ColumnSample) -> ProvenLines:
    """Read the lines that can be read fast and proven; a text that is no JSON has none.

    Args:
        text: Whole lines.
        sample: The schema to read with; a line that does not fit it is odd.
    """
    lines = pl.DataFrame({"line": text.split("\n")}).with_row_index("number")
    lines = lines.filter(_LINE.str.strip_chars(_BLANKS) != "")
    odd = [*_UNPROVABLE, *_UNREADABLE, *(_REPRINTED if sample.reprinted else ())]
    readable = _LINE.str.strip_chars_start(_BLANKS).str.starts_with("{") & ~pl.any_horizontal(
        *(_LINE.str.contains(pattern, literal=True) for pattern in odd),
        *([_LINE.str.contains(_UNPROVABLE_ESCAPES)] if "\\" in text else ()),
    )
    candidates = lines.filter(readable)
    if candidates.height < lines.height:
        text = candidates["line"].str.join("\n").item()
    frame = _read(text, candidates.height, sample.read_as)
    proven = _proven(candidates["line"], frame) if frame is not None else None
    if frame is None or proven is None:
        return ProvenLines(pl.DataFrame(), pl.Series(dtype=pl.UInt32), lines.rows())
    numbers = candidates["number"].filter(proven)
    return ProvenLines(
        frame=frame.filter(proven),
        numbers=numbers,
        odd=lines.filter(~pl.col("number").is_in(numbers.implode())).rows(),
    )


def _read(text: str, n_lines: int, read_as: dict[str, pl.DataType]) -> pl.DataFrame | None:
    """One row per line; a value that does not fit is null, which the proof finds."""
    if not n_lines or not read_as:
        return None
    try:
        frame = pl.read_ndjson(text.encode(), schema=read_as, ignore_errors=True)
    except pl.exceptions.ComputeError:
        return None
    return frame if frame.height == n_lines else None


def _proven(lines: pl.Series, frame: pl.DataFrame) -> pl.Series:
    """Steps 1 to 3 of the proof, for each line."""
    strings = pl.col(pl.String).is_not_null()
    large = pl.col(pl.Float64).abs() >= EXACT_FLOAT_LIMIT
    cells = frame.select(
        cells=pl.sum_horizontal(pl.all().is_not_null()),
        strings=pl.sum_horizontal(strings) if pl.String in frame.dtypes else pl.lit(0),
        large=pl.any_horizontal(large) if pl.Float64 in frame.dtypes else pl.lit(value=False),
    )
    escapes = bool(lines.str.contains("\\", literal=True).any())
    marks = lines.to_frame("line").select(
        key_ends=_count('":', escapes=escapes),
        nulls=_count('":n', escapes=escapes) + _count('": n', escapes=escapes),
        quotes=_count('"', escapes=escapes),
    )
    key_ends = pl.col("key_ends")
    return (
        pl.concat([cells, marks], how="horizontal")
        .select(
            (key_ends - pl.col("nulls") == pl.col("cells"))
            & (pl.col("quotes") == 2 * (key_ends + pl.col("strings").cast(pl.Int64)))
            & ~pl.col("large").fill_null(value=False)
        )
        .to_series()
    )


def _count(pattern: str, *, escapes: bool) -> pl.Expr:
    """How often a pattern that begins with a quote stands in a line, escaped quotes aside."""
    found = _LINE.str.count_matches(pattern, literal=True).cast(pl.Int64)
    if not escapes:
        return found
    return found - _LINE.str.count_matches("\\" + pattern, literal=True).cast(pl.Int64)
