"""Rows of the two ADM tables: the models' snapshots and the binning of their predictors.

Like the samples, an absent attribute is an explicit null, and a measure is now an int, now a float.
"""

import math
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise

from lake_assets.demo.models import APPLICATION, CONTEXT, Model, generator, model, record, time_text

__all__ = ["model_snapshot", "predictor_snapshot"]

MODEL_CLASS = "Data-Decision-ADM-ModelSnapshot"
PREDICTOR_CLASS = "Data-Decision-ADM-PredictorBinningSnapshot"
#: Hours of the day at which the models are snapshotted; the predictors only at the last.
SNAPSHOT_HOURS = (5, 11, 17, 23)
#: A predictor that carries less of its model's lift than this is not used.
ACTIVE_STRENGTH = 0.1

#: Name, type, and the bounds of the bins or the symbols. A numeric one also has a bin for missing.
PREDICTORS: tuple[tuple[str, str, tuple[float, ...] | tuple[str, ...]], ...] = (
    ("Customer.Age", "numeric", (18, 27.5, 36, 48.25, 61, 95)),
    ("Customer.CreditScore", "numeric", (300, 480, 572.5, 640, 701.75, 850)),
    ("Customer.MonthlyIncome", "numeric", (0, 1450.5, 2600, 4125.75, 18000)),
    ("Customer.HouseholdType", "symbolic", ("Single", "Couple", "Family", "Remaining symbols")),
    ("Customer.HasApp", "symbolic", ("true", "false")),
    ("Customer.Region", "symbolic", ("North", "South", "Coast", "Islands", "NON-MISSING")),
    ("IH.Web.Inbound.Clicked.pxLastOutcomeTime.DaysSince", "numeric", (0, 0.075, 2.5, 14, 90.25)),
    ("IH.Email.Outbound.Rejected.pyHistoricalOutcomeCount", "numeric", (0, 1, 4, 32)),
    ("Classifier", "numeric", (-2, -0.6, -0.25, -0.1, 0, 0.085, 0.2, 0.4, 0.75, 2)),
)


def model_snapshot(numbers: Iterable[int], day: date, seed: int) -> Iterator[dict[str, object]]:
    """One row for each model and snapshot, four a day."""
    for number in numbers:
        learner = model(seed, number)
        for hour in SNAPSHOT_HOURS:
            moment = datetime.combine(day, time(hour, 23, 26, 789000))
            positives, negatives = learner.counts(moment)
            yield {
                "pxObjClass": MODEL_CLASS,
                **record(MODEL_CLASS, f"{learner.id}!{time_text(moment)}!{APPLICATION}", moment),
                "pxApplication": APPLICATION,
                "pyModelID": learner.id,
                "pySnapshotTime": time_text(moment),
                "pyName": learner.name,
                "pyIssue": learner.issue,
                "pyGroup": learner.group,
                "pyChannel": learner.channel,
                "pyDirection": learner.direction,
                "pyTreatment": learner.treatment,
                "pyConfigurationName": f"{learner.channel}ClickModel",
                "pyAppliesToClass": CONTEXT,
                "pyPerformance": learner.performance(moment),
                "pyPerformanceError": 0,
                "pyPositives": positives,
                "pyNegatives": negatives,
                "pyResponseCount": positives + negatives,
                "pyRelativePositives": positives,
                "pyRelativeNegatives": negatives,
                "pyRelativeResponseCount": positives + negatives,
                "pyActivePredictors": len(PREDICTORS) - 2,
                "pyTotalPredictors": len(PREDICTORS) - 1,
                "pySuccessRate": None,
                "pyMemory": None,
                "pyExtension": None,
                "pyFactoryUpdateTime": time_text(moment + timedelta(seconds=71)),
            }


def predictor_snapshot(numbers: Iterable[int], day: date, seed: int) -> Iterator[dict[str, object]]:
    """One row for each model, predictor and bin, at the day's last snapshot."""
    for number in numbers:
        learner = model(seed, number)
        moment = datetime.combine(day, time(SNAPSHOT_HOURS[-1], 23, 26, 789000))
        for group in range(len(PREDICTORS)):
            yield from _bins(learner, group, moment)


def _bins(learner: Model, group: int, moment: datetime) -> Iterator[dict[str, object]]:
    """One row for each bin of one predictor; the bins' counts add up to the model's."""
    name, kind, edges = PREDICTORS[group]
    labels = _bin_labels(kind, edges)
    random = generator(learner.id, name)  # not of the day: a bin keeps its share
    positives, negatives = learner.counts(moment)
    bin_positives = _shares(positives, [random.uniform(1, 6) for _ in labels])
    bin_negatives = _shares(negatives, [random.uniform(1, 6) for _ in labels])
    shared = _predictor(learner, group, moment, strength=random.uniform(0.02, 0.7))
    for index, (symbol, lower, upper) in enumerate(labels):
        instance = f"{learner.id}!{shared['pySnapshotTime']}!{name}!{index + 1}"
        yield {
            **shared,
            **record(PREDICTOR_CLASS, instance, moment),
            "pyTotalBins": len(labels),
            "pyBinIndex": index + 1,
            "pyBinSymbol": symbol,
            "pyBinLowerBound": lower,
            "pyBinUpperBound": upper,
            **_bin_figures(bin_positives[index], bin_negatives[index], positives, negatives),
        }


def _predictor(
    learner: Model, group: int, moment: datetime, *, strength: float
) -> dict[str, object]:
    """The columns that all bins of a predictor share; ``strength``: its part of the model lift."""
    name, kind, edges = PREDICTORS[group]
    positives, negatives = learner.counts(moment)
    entry = "Active" if strength > ACTIVE_STRENGTH else "Inactive"
    if name == "Classifier":
        entry, strength, group = "Classifier", 1.0, -1
    contents = f"No. symbols = {len(edges)}"
    if kind == "numeric":
        contents = f"Range : [{edges[0]}, {edges[-1]}]"
    return {
        "pxObjClass": PREDICTOR_CLASS,
        "pyModelID": learner.id,
        "pyPredictorName": name,
        "pySnapshotTime": time_text(moment),
        "pyEntryType": entry,
        "pyType": kind,
        "pyContents": contents,
        "pyBinType": "EQUIBEHAVIOR",
        "pyGroupIndex": group + 1,
        "pyPerformance": round(0.5 + (learner.performance(moment) - 0.5) * strength, 6),
        "pyPerformanceError": 0,
        "pyPositives": positives,
        "pyNegatives": negatives,
        "pyResponseCount": positives + negatives,
        "pyFeatureImportance": 0,
        "pyCorrelationPredictor": None,
        "pyExtension": None,
        "pyRulesetName": None,
    }


@lru_cache(maxsize=64)
def _bin_labels(
    kind: str, edges: tuple[float, ...] | tuple[str, ...]
) -> tuple[tuple[str, float | None, float | None], ...]:
    if kind == "symbolic":
        return tuple((str(symbol), None, None) for symbol in edges)
    bounds = [float(edge) for edge in edges]
    inner = [(f"[{low}, {high}>", _plain(low), _plain(high)) for low, high in pairwise(bounds)]
    return (("MISSING", None, None), *inner)


def _bin_figures(
    bin_positives: int, bin_negatives: int, positives: int, negatives: int
) -> dict[str, object]:
    """Counts and measures of one bin; whole numbers are ints beside floats, as in the samples."""
    responses, bin_responses = positives + negatives, bin_positives + bin_negatives
    positive_part = bin_positives / positives if positives else 0.0
    negative_part = bin_negatives / negatives if negatives else 0.0
    spread = positive_part * (1 - positive_part) / max(positives, 1)
    spread += negative_part * (1 - negative_part) / max(negatives, 1)
    z_ratio = (positive_part - negative_part) / math.sqrt(spread) if spread else 0.0
    lift = positive_part * responses / bin_responses if bin_responses else 0.0
    return {
        "pyBinPositives": bin_positives,
        "pyBinNegatives": bin_negatives,
        "pyBinResponseCount": bin_responses,
        "pyBinPositivesPercentage": _plain(round(100 * positive_part, 2)),
        "pyBinNegativesPercentage": _plain(round(100 * negative_part, 2)),
        "pyBinResponseCountPercentage": _plain(round(100 * bin_responses / max(responses, 1), 2)),
        "pyLift": _plain(round(lift, 6)),
        "pyZRatio": _plain(round(z_ratio, 6)),
    }


def _shares(total: int, weights: list[float]) -> list[int]:
    """``total`` dealt out by weight into whole numbers that add up to it."""
    whole, dealt, so_far, result = sum(weights), 0, 0.0, []
    for weight in weights[:-1]:
        so_far += weight
        upto = int(total * so_far / whole)
        result.append(upto - dealt)
        dealt = upto
    return [*result, total - dealt]


def _plain(value: float) -> float:
    return int(value) if value == int(value) else value
