"""When what is scheduled happens: cron expressions, in UTC."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["ScheduleSettings"]

_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat"
_VALUE = rf"(?:\d{{1,2}}|{_NAMES})"
_FIELD = rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/\d{{1,2}})?"
_CRON = re.compile(rf"{_FIELD}(?:,{_FIELD})*(?: {_FIELD}(?:,{_FIELD})*){{4}}", re.IGNORECASE)
#: Numbers of a field that are no step of it.
_NUMBER = re.compile(r"(?<![/\d])\d+")
_GREATEST = (59, 23, 31, 12, 7)


def _cron(text: str) -> str:
    fields = " ".join(text.split())
    if not _CRON.fullmatch(fields) or _is_beyond(fields):
        raise ValueError(
            "is no cron expression of five fields (minute, hour, day, month, weekday), such as"
            " '0 6 * * 0' for Sundays at 06:00 UTC"
        )
    return fields


def _is_beyond(cron: str) -> bool:
    """Whether a number is none of its field."""
    return any(
        int(number) > greatest
        for field, greatest in zip(cron.split(), _GREATEST, strict=True)
        for number in _NUMBER.findall(field)
    )


Cron = Annotated[str, AfterValidator(_cron)]


class ScheduleSettings(BaseModel):
    """When each schedule of the graph fires, once it is switched on. All in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    datamart: Cron = Field("30 2 * * *", description="catch-up of the datamart")
    databases: Cron = Field("45 2 * * *", description="catch-up of the databases")
    arrays: Cron = Field("30 4 * * *", description="arrays of the datamart")
    catalog: Cron = Field("30 5 * * *", description="index of the catalog")
    maintenance: Cron = Field("0 6 * * 0", description="gc and checkpoints")
    verification: Cron = Field("0 7 * * 0", description="the lake against its documents")
