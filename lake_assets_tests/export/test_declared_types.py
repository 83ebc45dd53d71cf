"""Text in declared types: what each holds, and that nothing else gets in changed."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from lake_assets.database_settings import parse_column_type
from lake_assets.export.declared_types import fit_text, holds_number


def instant(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)


HELD = {
    "string": [("", ""), ("007", "007")],
    "json": [('{"a": 1.50}', '{"a": 1.50}')],
    "int": [
        ("5", 5), ("-9223372036854775808", -(2**63)), ("91.000", 91), ("9.1e1", 91), ("007", 7),
    ],
    "float": [
        ("1600.24", 1600.24), ("0.10000000000000001", 0.1), ("0.30000000000000004", 0.1 + 0.2),
        ("9007199254740994", 2.0**53 + 2), ("1e23", 1e23), ("-0.50000000000000000000", -0.5),
        ("Infinity", float("inf")), ("5e-324", 5e-324),
    ],
    "bool": [
        ("true", True), ("FALSE", False), ("t", True), ("f", False), ("1", True), ("0", False),
    ],
    "date": [("2024-02-29", date(2024, 2, 29)), ("0001-01-01", date(1, 1, 1))],
    "datetime": [
        ("2024-02-29T23:59:59.123456Z", instant(2024, 2, 29, 23, 59, 59, 123456)),
        ("2024-02-29 23:59:59.5", instant(2024, 2, 29, 23, 59, 59, 500000)),
        ("2024-02-29 23:59:59.123456000+00", instant(2024, 2, 29, 23, 59, 59, 123456)),
        ("2024-01-01T00:30:00+05:30", instant(2023, 12, 31, 19, 0)),
        ("2024-01-01 00:30:00-0130", instant(2024, 1, 1, 2, 0)),
        ("2024-01-01T00:30", instant(2024, 1, 1, 0, 30)),
    ],
    "binary": [("YWJj", b"abc"), ("\\x00fF", b"\x00\xff")],
    "decimal(5,2)": [
        ("1", Decimal("1.00")), ("-123.45", Decimal("-123.45")), ("000123.4500", Decimal("123.45")),
        ("1.2e1", Decimal("12.00")), ("0.00", Decimal(0)), ("5.", Decimal("5.00")),
    ],
    "decimal(38,38)": [("0." + "1" * 38, Decimal("0." + "1" * 38))],
    "decimal(38,0)": [("9" * 38, Decimal("9" * 38)), ("1E+3", Decimal(1000))],
}  # fmt: skip

LOST = {
    "int": ["1.5", "9223372036854775808", "0x10", " 5", "1_0", "٣", "true"],
    "float": ["9007199254740993", "0.1234567890123456789", "1e400", "inf", "nan", "1,5", "٣"],
    "bool": ["yes", "2", "tRUE", " true"],
    "date": ["2023-02-29", "24-01-01", "2024-1-1", "2024-01-01T00:00:00", "0000-01-01"],
    "datetime": [
        "2024-02-30T00:00:00", "2024-01-01", "2024-01-01T24:00:00", "2024-01-01T00:00:60",
        "2024-01-01T00:00:00.1234567", "0000-01-01T00:00:00", "2024-01-01T00:00:00 CET",
        "1704067200",
    ],
    "binary": ["YWJ", "YW Jj", "\\x0", "\\x00 ff", "é"],
    "decimal(5,2)": [
        "1234", "1.234", "1e9", "abc", "1e-3", "NaN", "1e99999999999", "1e99999999999999999999",
    ],
    "decimal(38,0)": ["1" + "0" * 38, "0.1"],
}  # fmt: skip


@pytest.mark.parametrize("name", HELD)
def test_a_type_holds(name: str):
    texts = [text for text, _ in HELD[name]]
    column = fit_text(pl.Series("c", [*texts, None]), parse_column_type(name))
    assert column.values.name == "c"
    assert column.values.dtype == parse_column_type(name).dtype
    assert column.values.to_list() == [*(value for _, value in HELD[name]), None]
    assert column.lost == {}


@pytest.mark.parametrize("name", LOST)
def test_what_a_type_cannot_hold_is_null_and_kept_as_text(name: str):
    texts = ["", *LOST[name]]
    column = fit_text(pl.Series("c", texts), parse_column_type(name))
    assert column.values.dtype == parse_column_type(name).dtype
    assert column.values.to_list() == [None] * len(texts)
    assert column.lost == dict(enumerate(LOST[name], start=1))


def test_a_double_holds_what_it_prints_as_with_any_number_of_digits():
    value = 0.1 + 0.2
    assert all(
        holds_number(f"{value:.{digits}g}", float(f"{value:.{digits}g}")) for digits in range(1, 18)
    )
    assert holds_number(f"{Decimal(value)}", value)
    assert not holds_number("0.300000000000000041", value)
