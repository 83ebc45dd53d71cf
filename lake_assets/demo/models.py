"""The invented models of the demo: who they are, how they learn from day to day.

What the makers of rows share belongs here too: seeded generators, the spelling of a time, and the
record columns that Pega adds.
"""

import math
import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from random import Random

__all__ = ["APPLICATION", "CONTEXT", "Model", "generator", "model", "new_id", "record", "time_text"]

APPLICATION = "LakeDemo"
CONTEXT = "LakeDemo-Data-Customer"
#: Responses are counted from here, so that every later day has more.
BIRTH = date(2024, 1, 1)

GROUPS = (
    ("Sales", "CreditCards", ("GoldCard", "StudentCard", "TravelCard")),
    ("Sales", "Mortgages", ("FixedTenYears", "FirstHome", "BridgeLoan")),
    ("Retention", "Loyalty", ("FeeWaiver", "BonusPoints", "PartnerVoucher")),
    ("Service", "SelfService", ("PaperlessBill", "AppTour", "CallBack")),
)
CHANNELS = (
    ("Web", "Inbound", "WebBanner"),
    ("Mobile", "Inbound", "AppTile"),
    ("Email", "Outbound", "EmailOffer"),
    ("SMS", "Outbound", "TextOffer"),
)


@dataclass(frozen=True, slots=True)
class Model:
    """What stays the same of a model from day to day."""

    id: str
    name: str
    """The action; JSON text for some, as some Pega versions write it."""
    issue: str
    group: str
    channel: str
    direction: str
    treatment: str | None
    responses_per_day: float
    success_rate: float
    auc: float
    phase: float

    def counts(self, moment: datetime) -> tuple[int, int]:
        """Positives and negatives up to a moment; neither ever falls."""
        days = max((moment - datetime.combine(BIRTH, time())) / timedelta(days=1), 0.0)
        responses = int(self.responses_per_day * days)
        positives = int(responses * self.success_rate)
        return positives, responses - positives

    def performance(self, moment: datetime) -> float:
        """AUC at a moment: a slow wave of about two months, within 0.5 and 0.95."""
        days = moment.toordinal() + moment.hour / 24
        return round(min(max(self.auc + 0.03 * math.sin(days / 9 + self.phase), 0.5), 0.95), 6)


@lru_cache(maxsize=4096)
def model(seed: int, number: int) -> Model:
    """The model of that number; another seed is another model."""
    random = generator(seed, "model", number)
    issue, group, actions = GROUPS[number % len(GROUPS)]
    channel, direction, treatment = CHANNELS[number // len(GROUPS) % len(CHANNELS)]
    action = actions[number // (len(GROUPS) * len(CHANNELS)) % len(actions)]
    as_json = number % 8 == len(GROUPS) + 1
    return Model(
        id=new_id(random),
        name=f'{{"pyName":"{action}","pyTreatment":"{treatment}"}}' if as_json else action,
        issue=issue,
        group=group,
        channel=channel,
        direction=direction,
        treatment=treatment if number % 3 else None,
        responses_per_day=random.uniform(3, 90),
        success_rate=random.uniform(0.01, 0.3),
        auc=random.uniform(0.54, 0.85),
        phase=random.uniform(0, math.tau),
    )


def generator(*parts: object) -> Random:
    """A generator of its own for each thing named by ``parts``; the same in every process."""
    return Random("/".join(map(str, parts)))  # noqa: S311 - invented figures, no secrets


def new_id(random: Random) -> str:
    """The generator's next id, spelled like the ids of Pega."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def time_text(moment: datetime) -> str:
    """A moment as the exports spell it: ``20260928T170000.000 GMT``."""
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d} GMT"


def record(class_name: str, instance: str, moment: datetime) -> dict[str, object]:
    """The columns that identify and date a record: ``instance`` must be unique within the class.

    Saved 4 minutes after the moment that the row tells of, committed 9 ms later.
    """
    saved = moment + timedelta(minutes=4, milliseconds=131)
    name = instance.upper()
    return {
        "pxInsName": name,
        "pxSaveDateTime": time_text(saved),
        "pxCommitDateTime": time_text(saved + timedelta(milliseconds=9)),
        "pzInsKey": f"{class_name.upper()} {name}",
    }
