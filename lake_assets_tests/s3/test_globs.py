"""Patterns over keys."""

import pytest

from lake_assets.s3.globs import glob_regex


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("*", "a/b", False),
        ("**", "a/b", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "axb", False),
        ("a**b", "a/b", False),
        ("[]]", "]", True),
        ("[a-c]", "b", True),
        ("[^a]", "^", True),
        ("[^a]", "b", False),
        ("[!a]", "/", False),
        ("[", "[", True),
        ("a.c", "abc", False),
        ("x\n*", "x\ny", True),
    ],
)
def test_a_pattern_fits_as_documented(pattern, key, fits):
    assert bool(glob_regex(pattern).fullmatch(key)) is fits
