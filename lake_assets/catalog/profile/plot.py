"""A profile as one picture (SVG): a small histogram for each column that varies."""

import html

from lake_assets.catalog.profile.bars import bars
from lake_assets.catalog.profile.columns import ColumnProfile
from lake_assets.catalog.profile.profiles import Profile

__all__ = ["profile_svg"]

#: Pictures beyond these say nothing at a glance, and the event that holds them grows.
MAX_PLOTS = 24
_PER_ROW = 4
_WIDTH, _HEIGHT = 240, 110
_MARGIN, _TITLE, _FOOT = 8, 18, 16
_BARS = 24
_TEXT = 30
#: Both ends stand side by side below a plot.
_END = 18


def profile_svg(profile: Profile, max_plots: int = MAX_PLOTS) -> str | None:
    """The first columns that have more than one value, in the order of their names.

    Args:
        profile: What to draw.
        max_plots: Columns at most.

    Returns:
        One SVG document without references to anything outside; None where nothing varies.
    """
    plots: list[str] = []
    for name, column in profile.columns.items():
        if len(plots) == max_plots:
            break
        plot = _plot(name, column, len(plots))
        plots += [plot] if plot else []
    if not plots:
        return None
    width = _WIDTH * min(len(plots), _PER_ROW)
    height = _HEIGHT * -(-len(plots) // _PER_ROW)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(plots)}</svg>'
    )


def _plot(name: str, column: ColumnProfile, place: int) -> str | None:
    drawn = bars(column, _BARS)
    top = max((bar.count for bar in drawn), default=0.0)
    if len(drawn) < 2 or not top:  # noqa: PLR2004 (one bar is no picture)
        return None
    left = place % _PER_ROW * _WIDTH + _MARGIN
    above = place // _PER_ROW * _HEIGHT
    wide, tall = _WIDTH - 2 * _MARGIN, _HEIGHT - _TITLE - _FOOT - _MARGIN
    step, floor = wide / len(drawn), above + _TITLE + tall
    # One path for all bars of a column: a tenth of the text of as many rectangles.
    path = "".join(
        f"M{left + i * step:.1f} {floor}v{-max(bar.count / top * tall, 0.5):.1f}"
        f"h{step - 1:.1f}V{floor}z"
        for i, bar in enumerate(drawn)
        if bar.count > 0
    )
    ends = (drawn[0].label.split(" – ")[0], drawn[-1].label.split(" – ")[-1])
    return (
        f'<text x="{left}" y="{above + 13}" font-size="12" fill="#222">{_cut(name)}</text>'
        f'<path d="{path}" fill="#4a7ab5"/>'
        f'<text x="{left}" y="{floor + 12}" font-size="9" fill="#777">{_cut(ends[0], _END)}</text>'
        f'<text x="{left + wide}" y="{floor + 12}" font-size="9" fill="#777"'
        f' text-anchor="end">{_cut(ends[1], _END)}</text>'
    )


def _cut(text: str, length: int = _TEXT) -> str:
    return html.escape(text if len(text) <= length else f"{text[: length - 1]}…")
