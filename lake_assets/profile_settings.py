"""What can be set for profiles and their drift check, of a table of either line."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DriftSettings"]

Threshold = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class DriftSettings(BaseModel):
    """From where a newest export counts as drifted. ``null``: the measure is not judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    psi: Threshold | None = Field(0.2, description="population stability index of a column")
    ks: Threshold | None = Field(0.1, description="Kolmogorov-Smirnov distance of a column")
    null_share: Threshold | None = Field(
        0.1, description="change of a column's share of nulls and NaN"
    )
    rows: Threshold | None = Field(
        0.5, description="change of the rows, as a share of the median of those before"
    )
    before: int = Field(
        5, ge=1, le=30, strict=True, description="exports that the newest is compared with"
    )
    partitions: int = Field(
        500, ge=1, strict=True, description="partitions of a snapshot that are looked at"
    )
    least_rows: int = Field(
        100, ge=1, strict=True, description="values a column needs for psi and ks to be judged"
    )
    times: bool = Field(default=False, strict=True, description="judge dates and times as well")
    ignored: tuple[str, ...] = Field((), description="columns that are not judged")
