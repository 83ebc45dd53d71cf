"""Profiles and drift reports for people: a markdown table, a self-contained HTML page.

Pure functions to text: the page has its style and its plots (SVG) inside and loads nothing.
"""

import html
from collections.abc import Collection, Iterator

from lake_assets.catalog.profile.bars import Bar, bars, ends, shown, shown_value, spark
from lake_assets.catalog.profile.columns import LENGTH_KINDS, ColumnProfile
from lake_assets.catalog.profile.drift import DriftReport
from lake_assets.catalog.profile.paths import is_within, outermost
from lake_assets.catalog.profile.profiles import Profile
from lake_assets.errors import SettingsError

__all__ = [
    "SHARES",
    "chosen_columns",
    "column_facts",
    "drift_markdown",
    "profile_html",
    "profile_markdown",
    "profile_table",
    "svg_histogram",
    "top_values",
]

#: The quantiles that are shown.
SHARES = (0.01, 0.25, 0.5, 0.75, 0.99)

_HEAD = (
    "column", "type", "null", "distinct", "min", "median", "max", "mean", "histogram", "top values",
)  # fmt: skip
_TOP = 3
_HTML_TOP = 10
_PAGE_BARS = 40
_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#222}
table{border-collapse:collapse}td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}
section{border-top:1px solid #ddd;padding:.5em 0;display:flex;gap:2em;flex-wrap:wrap}
h2{font-size:1.05em;margin:.2em 0}small{color:#777}svg{background:#fafafa}
""".strip()


def profile_markdown(profile: Profile, columns: Collection[str] | None = None) -> str:
    """One row a column, with a small histogram.

    Args:
        profile: What to show.
        columns: Only these, by name or path, with what is inside them; all if None.

    Raises:
        SettingsError: A column is not in the profile; the message lists those there are.
    """
    head, *rows = profile_table(profile, columns)
    rows = [head, ("---",) * len(head), *rows]
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join([f"{profile.rows:,} rows", "", *lines]) + "\n"


def column_facts(column: ColumnProfile) -> dict[str, str]:
    """What there is to say of a column, as text by name; empty where it does not apply."""
    least, greatest = ends(column)
    facts = {
        "type": " / ".join(column.dtypes),
        "values": f"{column.count:,}",
        "nulls": f"{column.nulls:,}",
        "distinct": _distinct(column),
        "min": least,
        "max": greatest,
        "mean": _mean(column),
    }
    if column.numbers is not None:
        facts["NaN"] = f"{column.numbers.nans:,}" if column.numbers.nans else ""
        odd = sum(column.numbers.infinities)
        facts["infinite"] = f"{odd:,}" if odd else ""
        of = "length, " if column.kind in LENGTH_KINDS else ""
        for share in SHARES:
            facts[f"{of}{share:.0%} quantile"] = shown(column, column.quantile(share))
    return facts


def top_values(column: ColumnProfile, n: int) -> list[tuple[str, str]]:
    """The most frequent values; a value that occurs once is none."""
    if column.values is None:
        return []
    top = column.values.top
    return [
        (shown_value(column, value), f"{count:,}" if top.is_complete else f"≥ {count:,}")
        for value, count in top.counts[:n]
        if count > 1
    ]


def profile_table(
    profile: Profile, columns: Collection[str] | None = None
) -> list[tuple[str, ...]]:
    """The head, and one row a column, as text.

    Args:
        profile: What to show.
        columns: Only these, with what is inside them; all if None.

    Raises:
        SettingsError: A column is not in the profile; the message lists those there are.
    """
    return [_HEAD, *(_row(name, column) for name, column in chosen_columns(profile, columns))]


def profile_html(profile: Profile, title: str, columns: Collection[str] | None = None) -> str:
    """A page with one section a column: its statistics, its top values, its plot.

    Raises:
        SettingsError: As ``profile_markdown``.
    """
    name = html.escape(title)
    sections = "".join(_section(path, column) for path, column in chosen_columns(profile, columns))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE}</style><h1>{name}</h1><p>{profile.rows:,} rows</p>{sections}</html>\n"
    )


def svg_histogram(heights: list[Bar], width: int = 480, height: int = 120) -> str:
    """The bars as one SVG element; each tells its label and count when pointed at."""
    top = max((bar.count for bar in heights), default=0.0) or 1.0
    step = width / max(len(heights), 1)
    drawn = []
    for index, bar in enumerate(heights):
        tall = bar.count / top * (height - 2)
        drawn.append(
            f'<rect x="{index * step:.1f}" y="{height - tall:.1f}" width="{max(step - 1, 1):.1f}"'
            f' height="{tall:.1f}" fill="#4a7ab5">'
            f"<title>{html.escape(bar.label)}: {bar.count:,.0f}</title></rect>"
        )
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>{"".join(drawn)}</svg>'


def chosen_columns(
    profile: Profile, columns: Collection[str] | None
) -> Iterator[tuple[str, ColumnProfile]]:
    """The columns by path, those that are named with what is inside them; all if None.

    Raises:
        SettingsError: A column is not in the profile; the message lists those there are.
    """
    wanted = frozenset(columns or ())
    unknown = wanted - set(profile.columns) - {outermost(path) for path in profile.columns}
    if unknown:
        raise SettingsError(
            f"no column {min(unknown)!r} in the profile; there are {', '.join(profile.columns)}"
        )
    for name, column in profile.columns.items():
        if columns is None or name in wanted or any(is_within(name, each) for each in wanted):
            yield name, column


def drift_markdown(report: DriftReport) -> str:
    """The verdict, and the columns that drifted first."""
    if report.rows_before is None:
        return f"{report.rows:,} rows; nothing to compare with\n"
    verdict = "no drift" if report.ok else f"drift: {len(report.reasons)} findings"
    head = [f"{verdict}; {report.rows:,} rows, {report.rows_before:,g} before", ""]
    head += [f"- {_cell(reason)}" for reason in report.table_reasons]
    rows: list[tuple[str, ...]] = [("column", "PSI", "KS", "null", "null before", "why")]
    rows.append(("---",) * len(rows[0]))
    for column in sorted(report.columns, key=lambda each: not each.reasons):
        measures = ("" if m is None else f"{m:.3f}" for m in (column.psi, column.ks))
        nulls = (column.null_share, column.null_share_before)
        shares = ("" if share is None else f"{share:.1%}" for share in nulls)
        rows.append((column.column, *measures, *shares, "; ".join(column.reasons)))
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join([*head, *lines]) + "\n"


def _row(name: str, column: ColumnProfile) -> tuple[str, ...]:
    least, greatest = ends(column)
    median = shown(column, column.quantile(0.5)) if column.kind != "text" else ""
    return (
        name,
        " / ".join(dtype.partition("(")[0] for dtype in column.dtypes),
        f"{column.null_share:.1%}" if column.nulls or column.null_share else "",
        _distinct(column),
        least,
        median,
        greatest,
        _mean(column),
        spark([bar.count for bar in bars(column)]),
        ", ".join(f"{value} ({count})" for value, count in top_values(column, _TOP)),
    )


def _section(name: str, column: ColumnProfile) -> str:
    facts = column_facts(column)
    drawn = bars(column, _PAGE_BARS)
    plot = ""
    if drawn:
        labels = html.escape(f"{drawn[0].label} … {drawn[-1].label}")
        plot = f"{svg_histogram(drawn)}<br><small>{labels}</small>"
    return (
        f"<section><div><h2>{html.escape(name)}</h2>{_pairs(facts.items())}</div>"
        f"<div>{plot}</div>"
        f"<div>{_pairs(top_values(column, _HTML_TOP))}</div></section>"
    )


def _pairs(pairs: Collection[tuple[str, str]]) -> str:
    rows = (
        f"<tr><td>{html.escape(left)}</td><td>{html.escape(right)}</td></tr>"
        for left, right in pairs
        if right
    )
    return f"<table>{''.join(rows)}</table>"


def _distinct(column: ColumnProfile) -> str:
    if column.values is None:
        return ""
    return f"{'' if column.values.top.is_complete else '≈ '}{column.values.distinct:,}"


def _mean(column: ColumnProfile) -> str:
    if column.numbers is None or column.numbers.mean is None:
        return ""
    mean = shown(column, column.numbers.mean)
    return f"length {mean}" if column.kind in LENGTH_KINDS else mean


def _cell(text: str) -> str:
    """Text that stays in its cell of a markdown table."""
    plain = " ".join(text.split()) if text.strip() else text
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
