"""What an engine's callers share: the pauses between tries."""

import pytest

from lake_assets.s3.engine import _pause_s  # at collection: as it is before the tests hurry


@pytest.mark.parametrize(("attempt", "longest_s"), [(1, 0.1), (2, 0.2), (4, 0.8), (6, 2), (60, 2)])
def test_pauses_double_up_to_two_seconds_and_half_of_each_is_chance(attempt, longest_s):
    found = [_pause_s(attempt) for _ in range(50)]
    assert longest_s / 2 <= min(found) < max(found) <= longest_s
