"""Invented rows of the seven datamart tables, shaped like real ones.

The makers are in ``adm_rows.py`` and ``dm_rows.py``: columns, types, sparseness and keys as in the
samples of pega-datascientist-tools, values from seeded generators. Files are in ``exports.py``.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import count, islice

from lake_assets.demo import adm_rows, dm_rows
from lake_assets.export.pega_tables import find_table

__all__ = ["rows"]

_Maker = Callable[[Iterable[int], date, int], Iterator[dict[str, object]]]

#: One prediction stands over this many models; the Data-DM tables tell of predictions.
MODELS_PER_PREDICTION = 10
#: Tables without a row on some days, as they are in every sample.
SOMETIMES_EMPTY = ("contingency_table", "histogram")

MAKERS: dict[str, _Maker] = {
    "model_snapshot": adm_rows.model_snapshot,
    "predictor_snapshot": adm_rows.predictor_snapshot,
    "binary_distribution": dm_rows.binary_distribution,
    "contingency_table": dm_rows.contingency_table,
    "histogram": dm_rows.histogram,
    "snapshot": dm_rows.snapshot,
    "notification": dm_rows.notification,
}


def rows(
    table: str, *, day: date, seed: int = 7, n: int | None = None, models: int = 40
) -> list[dict[str, object]]:
    """The rows that one table has for one day; the same arguments give the same rows.

    ``pzInsKey`` is unique over tables, models and days. Positives, negatives and responses of a
    model grow with the day, its AUC drifts. The bins of a predictor add up to its model's counts at
    the day's last snapshot.

    Args:
        table: Name of one of the seven tables.
        day: Day of the time column. ContingencyTable and Histogram have rows on each second day.
        seed: Another seed is another set of models.
        n: Exactly so many rows, of as many models as that takes; ``models`` does not count then.
        models: Number of models; one prediction stands over each ten of them.

    Raises:
        SettingsError: There is no such table.
    """
    name = find_table(table).name
    maker = MAKERS[name]
    if n is not None:
        return list(islice(maker(count(), day, seed), max(n, 0)))
    if name in SOMETIMES_EMPTY and day.toordinal() % 2:
        return []
    of_models = name in ("model_snapshot", "predictor_snapshot", "notification")
    numbers = models if of_models else math.ceil(models / MODELS_PER_PREDICTION)
    return list(maker(range(numbers), day, seed))
