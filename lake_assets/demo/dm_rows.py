"""Rows of the five Data-DM tables: score distributions, figures of predictions, alerts.

Like the samples, an absent attribute is a missing key. ContingencyTable and Histogram have no row
in any sample: the columns that follow their record columns are a guess.
"""

import math
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from random import Random

from lake_assets.demo.models import (
    APPLICATION,
    CONTEXT,
    generator,
    model,
    new_id,
    record,
    time_text,
)

__all__ = ["binary_distribution", "contingency_table", "histogram", "notification", "snapshot"]

RULESET = {
    "pxApplication": APPLICATION,
    "pyRuleSetName": f"{APPLICATION}-Artifacts",
    "pyRuleSetVersion": "01-01-01",
}
#: Bins of a prediction's score distribution; Pega has 1000.
SCORE_BINS = 400
#: Intervals of a field's histogram.
HISTOGRAM_BINS = 20
#: Class of score × what happened.
CONTINGENCIES = tuple(
    (score, outcome)
    for score in ("Low", "Medium", "High", "Very high")
    for outcome in ("Accept", "Reject")
)
PREDICTIONS = (
    ("PREDICTCARDACCEPTANCE", "PREDICTION"),
    ("PREDICTLOYALTY", "PREDICTION"),
    ("CHURNRISK", "PREDICTIVE_MODEL"),
    ("WEBCLICKMODEL", "ADAPTIVE"),
)
#: Name, usage and largest value of the monitored fields.
FIELDS = (
    ("Age", "INPUT", 95),
    ("CreditScore", "INPUT", 850),
    ("MonthlyIncome", "INPUT", 18000),
    ("PROPENSITY", "OUTPUT", 1),
)
STATISTICS = ("Minimum", "p10", "Median", "p90", "Maximum")
#: How a prediction was used: with its model, at random, by rules; how often, and its success rate.
USAGES = (("Test", 9000, 0.22), ("Control", 400, 0.12), ("NBA", 600, 0.18))
#: Type id, priority, type and text.
ALERTS = (
    ("N-8", 65, "Performance", "Performance has dropped by more than 20% since yesterday"),
    ("N-14", 85, "Performance", "Model has no active predictors"),
    ("N-15", 65, "Performance", "Model has a single active predictor"),
    ("N-35", 85, "Predictor", "Missing values of a predictor have crossed 1 percent"),
)
#: Alerts that name a model; the one on a predictor names no component.
COMPONENT_ALERT = "Performance"


def binary_distribution(
    numbers: Iterable[int], day: date, seed: int
) -> Iterator[dict[str, object]]:
    """One row for each prediction and bin of its score, and seven for the side-by-side view."""
    moment = datetime.combine(day, time())
    for number in numbers:
        shared, random = _prediction(number, seed, moment)
        centre, slope = random.uniform(0.3, 0.7), random.uniform(20, 60)
        for index in range(SCORE_BINS):
            middle = (index + 0.5) / SCORE_BINS
            size = 90 * math.exp(-slope * (middle - centre) ** 2)
            yield {
                **shared,
                **_binned(shared, moment, f"{middle:.5f}", "binarydistribution"),
                **_bin_counts(int(size * random.uniform(0.7, 1.3)), middle),
                "pyBinLower": index / SCORE_BINS,
                "pyBinUpper": (index + 1) / SCORE_BINS,
            }
        for index, label in enumerate(("Lowest", "Lower", "Low", "Mid", "High", "Higher", "Top")):
            yield {
                **shared,
                **_binned(shared, moment, label, "sidebysidedistribution"),
                **_bin_counts(random.randrange(200, 9000), (index + 1) / 8),
                "pyBinLower": 0.0,
                "pyBinUpper": 0.0,
            }


def snapshot(numbers: Iterable[int], day: date, seed: int) -> Iterator[dict[str, object]]:
    """Statistics of fields, AUC and usage counts of each prediction, each with its own keys."""
    noon = datetime.combine(day, time(12))
    for number in numbers:
        shared, random = _prediction(number, seed, noon)
        kind, name = shared["pyModelType"], str(shared["pyModelId"]).rpartition("!")[2]
        daily: dict[str, object] = {
            "pySnapshotType": "Daily",
            "pysnapshotday": f"{day:%Y%m%d}",
            "pyModelType": kind,
            "pySnapShotTime": time_text(noon),
        }
        by_purpose = daily | {"pyClassName": CONTEXT.upper(), "pyPurpose": name}
        errors = {"pyName": "errorCount", "pyValue": "0.0", "pyCount": 0}
        yield (
            by_purpose | errors | _dm_record("Snapshot", f"{name}!{noon:%Y%m%d}!ERRORCOUNT!", noon)
        )
        yield from _field_rows(by_purpose, name, noon, random)
        yield from _usage_rows(shared, daily, noon, random)


def notification(numbers: Iterable[int], day: date, seed: int) -> Iterator[dict[str, object]]:
    """One alert on each second model."""
    for number in numbers:
        if number % 2:
            continue
        about = model(seed, number)
        type_id, priority, kind, text = ALERTS[number // 2 % len(ALERTS)]
        moment = datetime.combine(day, time(6, 30)) + timedelta(seconds=11 * number)
        row: dict[str, object] = {
            **_dm_record("Notification", f"{type_id}!{time_text(moment)}!{about.id}!", moment),
            "pxCreateDateTime": time_text(moment),
            "pyTriggerTime": time_text(moment - timedelta(seconds=94)),
            "pyNotificationTypeId": type_id,
            "pyNotificationType": kind,
            "pyPriority": priority,
            "pyDescription": text,
            "pyConfigId": about.id,
            "pyModelId": f"{CONTEXT.upper()}!{about.channel.upper()}CLICKMODEL",
            "pyModelType": "Prediction",
            "pyPredictionRefKey": f"{CONTEXT.upper()}!{PREDICTIONS[0][0]}",
            "pyContext": f"{about.issue}-{about.group}-{about.name}",
        }
        if kind == COMPONENT_ALERT:
            row["pyComponentType"] = "Adaptive Model"
            row["pyModelReferenceKey"] = f"DATA-DECISION-ADM-MODELSNAPSHOT {about.id.upper()}"
        if number % 40 == 0:
            row["pxCreateOperator"] = f"{APPLICATION}Admin"
        yield row


def contingency_table(numbers: Iterable[int], day: date, seed: int) -> Iterator[dict[str, object]]:
    """One row for each prediction, class of score and outcome."""
    moment = datetime.combine(day, time())
    for number in numbers:
        shared, random = _prediction(number, seed, moment)
        for score, outcome in CONTINGENCIES:
            of_row = f"{shared['pyModelId']}!{time_text(moment)}!{score}!{outcome}"
            yield {
                **shared,
                **_dm_record("ContingencyTable", of_row, moment),
                "pyPredictedOutcome": score,
                "pyActualOutcome": outcome,
                "pyCount": random.randrange(20, 4000),
            }


def histogram(numbers: Iterable[int], day: date, seed: int) -> Iterator[dict[str, object]]:
    """One row for each prediction, field and interval."""
    moment = datetime.combine(day, time())
    for number in numbers:
        shared, random = _prediction(number, seed, moment)
        for field, usage, largest in FIELDS:
            for index in range(HISTOGRAM_BINS):
                of_row = f"{shared['pyModelId']}!{time_text(moment)}!{field}!{index}"
                yield {
                    **shared,
                    **_dm_record("Histogram", of_row, moment),
                    "pyFieldName": field,
                    "pyFieldUsage": usage,
                    "pyBinId": str(index),
                    "pyBinLower": largest * index / HISTOGRAM_BINS,
                    "pyBinUpper": largest * (index + 1) / HISTOGRAM_BINS,
                    "pyCount": random.randrange(0, 900),
                }


def _prediction(number: int, seed: int, moment: datetime) -> tuple[dict[str, object], Random]:
    """The columns of all rows of a prediction's snapshot, and the generator of their values."""
    name, kind = PREDICTIONS[number % len(PREDICTIONS)]
    round_ = number // len(PREDICTIONS)
    random = generator(seed, "prediction", number, moment)
    return {
        **RULESET,
        "pyModelId": f"{CONTEXT.upper()}!{name}{round_ + 1 if round_ else ''}",
        "pyModelType": kind,
        "pySnapShotTime": time_text(moment),
        "pySnapshotId": new_id(random),
    }, random


def _dm_record(kind: str, instance: str, moment: datetime) -> dict[str, object]:
    return record(f"Data-DM-{kind}", instance, moment)


def _binned(
    shared: dict[str, object], moment: datetime, bin_id: str, metric: str
) -> dict[str, object]:
    instance = f"{shared['pyModelId']}!{shared['pySnapShotTime']}!{bin_id}!OBSERVED!{metric}"
    return {
        **_dm_record("BinaryDistribution", instance, moment),
        "pyBinId": bin_id,
        "pyBinLabel": bin_id,
        "pyMetricType": metric,
        "pyDataUsage": "observed",
        "pyFactoryKey": f"{shared['pyModelType']}-1",
    }


def _bin_counts(size: int, propensity: float) -> dict[str, object]:
    positives = int(size * propensity)
    return {
        "pyCount": size,
        "pyPositiveCount": float(positives),
        "pyNegativeCount": float(size - positives),
        "pyBehavior": round(positives / size, 8) if size else 0.0,
        "pyPercentage": 0.0,
    }


def _field_rows(
    by_purpose: dict[str, object], name: str, noon: datetime, random: Random
) -> Iterator[dict[str, object]]:
    for field, usage, largest in FIELDS:
        values = sorted(random.uniform(0, largest) for _ in STATISTICS)
        identifier = new_id(generator(name, field))
        for statistic, value in zip(STATISTICS, values, strict=True):
            row = {
                **by_purpose,
                **_dm_record("Snapshot", f"{name}!{noon:%Y%m%d}!{statistic}!{identifier}!", noon),
                "pyFieldName": field,
                "pyFieldUsage": usage,
                "pyIdentifier": identifier,
                "pyName": statistic,
                "pyValue": str(value),
                "pyCount": 941,
            }
            if usage == "INPUT" and statistic == "Median":
                row["pydistributiontype"] = "NUMERIC"
            yield row


def _usage_rows(
    shared: dict[str, object], daily: dict[str, object], noon: datetime, random: Random
) -> Iterator[dict[str, object]]:
    """The day's AUC, and how often the prediction was used with a model, at random, or by rules."""
    model_id = shared["pyModelId"]
    of_model = {"pyModelId": model_id, "pyPrediction": "Accept"}
    of_model |= {"pyExpectedPerformance": 85.0, "pyUnscaledPerformance": 0.0}
    auc = {"pyName": "auc", "pyValue": str(random.uniform(55, 90))}
    in_day = f"{model_id}!{noon:%Y%m%d}"
    keys = _dm_record("Snapshot", f"{in_day}!DAILY!AUC!!!", noon)
    yield daily | of_model | auc | keys | _outcomes(random, 10000, 0.2)
    for usage, size, rate in USAGES:
        keys = _dm_record("Snapshot", f"{in_day}!!!{usage}!!{APPLICATION}", noon)
        keys |= {"pyDataUsage": usage, "pyFactoryKey": f"{shared['pyModelType']}-1"}
        yield shared | of_model | keys | _outcomes(random, size, rate)


def _outcomes(random: Random, size: int, rate: float) -> dict[str, object]:
    positives = int(size * rate * random.uniform(0.8, 1.2))
    return {"pyCount": size, "pyPositives": positives, "pyNegatives": size - positives}
