"""The datamart tables of Pega Prediction Studio / ADM: one declaration each.

Holds the seven tables, the rule that types a column by its name, and the key of a row.
A table of a user's own comes from the configuration as one more ``TableSpec``; nothing else in the
package knows a table by name. Facts and samples: pega-datascientist-tools, ``data/`` and
``DATAMART_TABLE_PREFIXES``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import polars as pl

from lake_assets.errors import SettingsError
from lake_assets.settings import TableSettings

__all__ = [
    "DATAMART_TABLES",
    "INTERNAL_COLUMNS",
    "TIME_TYPE",
    "TYPE_NAMES",
    "TableSpec",
    "by_canonical",
    "canonical",
    "column_type",
    "configured_tables",
    "find_table",
]

#: Columns that the pipeline adds to every table, in the order in which they follow its own.
INTERNAL_COLUMNS = ("_rescued_data", "_export_id", "_source_key", "_month")

#: SnapshotTime and its kin: naive UTC microseconds, the one type that pdstools joins on both sides.
TIME_TYPE = pl.Datetime("us")

#: The names a configuration may use for a column's type.
TYPE_NAMES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "float": pl.Float64(),
    "int": pl.Int64(),
    "datetime": TIME_TYPE,
}


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Types by canonical name, from pdstools' schema (Categorical → String, Float32 → Float64,
# UInt → Int64).
_TIMES = frozenset(
    _columns(
        "snapshottime savedatetime commitdatetime createdatetime triggertime factoryupdatetime"
    )
)
_FLOATS = frozenset(
    _columns(
        "performance performanceerror performancethreshold correlationthreshold successrate"
        " positives negatives responsecount binlowerbound binupperbound lift zratio"
        " correlationpredictor behavior binlower binupper positivecount negativecount"
        " expectedperformance unscaledperformance featureimportance"
    )
)
_INTS = frozenset(
    _columns("activepredictors totalpredictors totalbins binindex groupindex count priority")
)
_PEGA_PREFIX = re.compile(r"^p[xyz](?=[A-Z])")
_FLOAT_PATTERN = re.compile(
    r"relative(?!count$)\w+|bin\w*(negatives|positives|responsecount)|\w*percentage"
)


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What the pipeline knows about one exported table.

    Columns are named in ``key``, ``time`` and ``types`` by any of their spellings (``ModelID``,
    ``pyModelID``, ``pyModelId``).
    """

    name: str
    """Name in the lake, snake_case; also the last part of the asset keys."""
    class_name: str
    """Pega class, compared whole (``Data-DM-Snapshot`` is not ``Data-DM-SnapshotArchive``)."""
    datasets: tuple[str, ...]
    """Data set names without their px/py/pz, compared whole; empty takes all of the class."""
    keys: tuple[tuple[str, ...], ...]
    """Alternatives, tried per row in this order; ``?`` at the end: a column that may be null."""
    time: str
    """The column whose month is the hive partition."""
    known: tuple[str, ...] = ()
    """Columns that the table always has, as typed nulls where an export lacks them."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Type by column (names of ``TYPE_NAMES``), before the rule by name."""
    strict: bool = False
    """Refuse an export with any value that does not fit, in place of rescuing the value."""
    source: str = "datamart"
    """Second part of the asset keys and of the storage paths."""

    @property
    def id(self) -> str:
        """``datamart.model_snapshot``: how queries, logs and errors name the table."""
        return f"{self.source}.{self.name}"

    @property
    def path(self) -> str:
        """``datamart/model_snapshot``: the part of the storage paths below a stage's folder."""
        return f"{self.source}/{self.name}"


@lru_cache(maxsize=4096)
def canonical(column: str) -> str:
    """The one name of a column that Pega spells in several ways.

    Example:
        >>> canonical("pySnapShotTime") == canonical("SnapshotTime") == "snapshottime"
        True
    """
    return re.sub(r"^p[xyz](?=[A-Za-z])", "", column).lower()


def by_canonical(columns: Iterable[str]) -> dict[str, list[str]]:
    """The spellings of each attribute among these columns, by its canonical name, in their order.

    Example:
        >>> by_canonical(["ModelID", "pyModelID", "pyName"])
        {'modelid': ['ModelID', 'pyModelID'], 'name': ['pyName']}
    """
    spellings: dict[str, list[str]] = {}
    for column in columns:
        spellings.setdefault(canonical(column), []).append(column)
    return spellings


def column_type(spec: TableSpec, column: str) -> pl.DataType:
    """The type that the contract gives a column: declared, else by its name, else String.

    Example:
        >>> column_type(DATAMART_TABLES[0], "pyRelativePositives")
        Float64
    """
    name = canonical(column)
    for declared, type_name in spec.types.items():
        if canonical(declared) == name:
            return TYPE_NAMES[type_name]
    if name in _TIMES:
        return TIME_TYPE
    if name in _FLOATS or _FLOAT_PATTERN.fullmatch(name):
        return TYPE_NAMES["float"]
    return TYPE_NAMES["int" if name in _INTS else "string"]


# Every Data-DM-* row carries these; for ContingencyTable and Histogram they are all that is known,
# since no sample of either has a row.
_DM_COMMON = (
    "pxApplication pxCommitDateTime pxInsName pxSaveDateTime pyModelId pyModelType pyRuleSetName"
    " pyRuleSetVersion pySnapShotTime pySnapshotId pzInsKey"
)

#: Tables of the source that are made from others.
_MADE_HERE = frozenset({"model_performance"})

DATAMART_TABLES: tuple[TableSpec, ...] = (
    TableSpec(
        name="model_snapshot",
        class_name="Data-Decision-ADM-ModelSnapshot",
        datasets=("ModelSnapshots",),
        keys=(("pzInsKey",), ("ModelID", "SnapshotTime?", "Application?")),
        time="SnapshotTime",
        known=_columns(
            "pyModelID pySnapshotTime pyName pyConfigurationName pyAppliesToClass pyChannel"
            " pyDirection pyIssue pyGroup pyTreatment pyModelVersion pyPerformance"
            " pyPerformanceError pyPerformanceThreshold pyCorrelationThreshold pySuccessRate"
            " pyPositives pyNegatives pyResponseCount pyRelativePositives pyRelativeNegatives"
            " pyRelativeResponseCount pyActivePredictors pyTotalPredictors pyMemory pyExtension"
            " pyFactoryUpdateTime pxApplication pxCommitDateTime pxInsName pxObjClass"
            " pxSaveDateTime pzInsKey"
        ),
    ),
    TableSpec(
        name="predictor_snapshot",
        class_name="Data-Decision-ADM-PredictorBinningSnapshot",
        datasets=("ADMPredictorSnapshots",),
        keys=(("pzInsKey",), ("ModelID", "PredictorName", "BinIndex?", "SnapshotTime?")),
        time="SnapshotTime",
        known=_columns(
            "pyModelID pyPredictorName pySnapshotTime pyEntryType pyType pyContents pyBinType"
            " pyBinIndex pyTotalBins pyGroupIndex pyBinSymbol pyBinLowerBound pyBinUpperBound"
            " pyBinPositives pyBinNegatives pyBinResponseCount pyBinPositivesPercentage"
            " pyBinNegativesPercentage pyBinResponseCountPercentage pyRelativeBinPositives"
            " pyRelativeBinNegatives pyRelativeBinResponseCount pyPerformance pyPerformanceError"
            " pyPositives pyNegatives pyResponseCount pyRelativePositives pyRelativeNegatives"
            " pyRelativeResponseCount pyLift pyZRatio pyFeatureImportance pyCorrelationPredictor"
            " pyExtension pyRulesetName pxCommitDateTime pxInsName pxObjClass pxSaveDateTime"
            " pzInsKey"
        ),
    ),
    TableSpec(
        name="binary_distribution",
        class_name="Data-DM-BinaryDistribution",
        datasets=("GetBinaryDistribution",),
        keys=(("pzInsKey",), ("ModelId", "SnapShotTime?", "SnapshotId?", "BinId?", "MetricType?")),
        time="SnapShotTime",
        known=_columns(
            _DM_COMMON + " pyBehavior pyBinId pyBinLabel pyBinLower pyBinUpper pyCount pyDataUsage"
            " pyFactoryKey pyMetricType pyNegativeCount pyPercentage pyPositiveCount"
        ),
    ),
    TableSpec(
        name="contingency_table",
        class_name="Data-DM-ContingencyTable",
        datasets=("GetContingencyData",),
        keys=(("pzInsKey",),),
        time="SnapShotTime",
        known=_columns(_DM_COMMON),
    ),
    TableSpec(
        name="histogram",
        class_name="Data-DM-Histogram",
        datasets=("GetHistogram",),
        keys=(("pzInsKey",),),
        time="SnapShotTime",
        known=_columns(_DM_COMMON),
    ),
    TableSpec(
        name="snapshot",
        class_name="Data-DM-Snapshot",
        datasets=("GetSnapshot",),
        keys=(("pzInsKey",),),
        time="SnapShotTime",
        known=_columns(
            _DM_COMMON + " pyClassName pyCount pyDataUsage pyExpectedPerformance pyFactoryKey"
            " pyFieldName pyFieldUsage pyIdentifier pyName pyNegatives pyPositives pyPrediction"
            " pyPurpose pySnapshotType pyUnscaledPerformance pyValue pydistributiontype"
            " pysnapshotday"
        ),
    ),
    TableSpec(
        name="notification",
        class_name="Data-DM-Notification",
        datasets=("NotificationStore",),
        keys=(("pzInsKey",), ("NotificationTypeId", "CreateDateTime", "ConfigId?")),
        time="CreateDateTime",
        known=_columns(
            "pxCommitDateTime pxCreateDateTime pxCreateOperator pxInsName pxSaveDateTime"
            " pyComponentType pyConfigId pyContext pyDescription pyModelId pyModelReferenceKey"
            " pyModelType pyNotificationType pyNotificationTypeId pyPredictionRefKey pyPriority"
            " pyTriggerTime pzInsKey"
        ),
    ),
)


def find_table(name: str, tables: Iterable[TableSpec] = DATAMART_TABLES) -> TableSpec:
    """The table of that name; ``modelSnapshot`` and ``datamart.model_snapshot`` find it as well.

    Raises:
        SettingsError: No table has this name; the message lists those there are.
    """
    source, _, bare = name.rpartition(".")
    wanted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", bare).lower()
    known = tuple(tables)
    for spec in known:
        if spec.name == wanted and source in {"", spec.source}:
            return spec
    names = ", ".join(spec.name for spec in known)
    raise SettingsError(f"there is no table {name!r}; the tables are {names}")


def configured_tables(
    settings: Mapping[str, TableSettings], tables: Sequence[TableSpec] = DATAMART_TABLES
) -> tuple[TableSpec, ...]:
    """The tables in force: the seven, changed and extended by the configuration.

    Raises:
        SettingsError: A table of one's own lacks ``class``, ``key`` or ``time``.
    """
    merged = {spec.name: spec for spec in tables}
    for name in settings:
        if name in _MADE_HERE:
            raise SettingsError(
                f"datamart.tables.{name}: the lake makes a table of this name itself; rename it"
            )
    for name, change in settings.items():
        base = merged.get(name)
        if base is None and not (change.class_name and change.key and change.time):
            raise SettingsError(
                f"datamart.tables.{name} is a table of your own: give class, key and time"
                f" (built in are {', '.join(spec.name for spec in tables)})"
            )
        base = base or TableSpec(
            name, change.class_name or "", (), change.key or (), change.time or ""
        )
        merged[name] = replace(
            base,
            class_name=change.class_name or base.class_name,
            datasets=(_PEGA_PREFIX.sub("", change.dataset),) if change.dataset else base.datasets,
            keys=change.key or base.keys,
            time=change.time or base.time,
            known=base.known if change.columns is None else change.columns,
            types={**base.types, **change.types},
            strict=change.strict or base.strict,
        )
    return tuple(merged.values())
