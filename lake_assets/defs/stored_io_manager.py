"""What every IO manager of arrays does alike: partitions, addresses and metadata.

Where: ``<root>/arrays/<asset key>``, a partition ``…/partition=<partition key>``. In a run over
several partitions an asset returns a dict of partition key to value, and each partition has an
event of its own. An input of several partitions is such a dict. What is written at an address
replaces what was there; zarr keeps versions.
"""

import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import dagster as dg

from lake_assets.defs.partition_outputs import add_facts, only_of_run
from lake_assets.defs.resources import LakeResource
from lake_assets.errors import MissingExtraError, MissingObjectError
from lake_assets.s3 import join_url, parse_url, quote_segment

__all__ = ["StoredIOManager", "array_url"]

Facts = dict[str, Any]
#: Of the files that the managers write, and of the metadata of a file in a folder.
_ENDINGS = frozenset({"npy", "npz", "raw", "json", "pickle", "meta"})
#: Folders in which a zarr array keeps what is its own, and removes what it does not know.
_OF_ZARR = frozenset({"_data", "_versions"})
#: Metadata of an input, as Dagster's own managers name it: leave out partitions that are not there.
_ALLOW_MISSING = "allow_missing_partitions"


class StoredIOManager(dg.ConfigurableIOManager):
    """Partitions, addresses and metadata; how a value is stored is a subclass's business."""

    lake: dg.ResourceDependency[LakeResource]

    @abstractmethod
    def write(self, url: str, value: Any) -> Facts:  # noqa: ANN401 (each manager's own kind)
        """Store a value; gives its metadata."""

    @abstractmethod
    def read(self, url: str, wanted: object) -> Any:  # noqa: ANN401 (each manager's own kind)
        """Load a value as the type that an input is annotated with; None where it is not."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Write what an asset returned; an asset that returned nothing wrote for itself."""
        if obj is None:
            return
        root, facts = self._root(), dict[str, Facts]()
        for partition, value in _values(context, obj, is_apart=self.takes_dicts_apart):
            started = time.monotonic()
            with _extra():
                written = self.write(array_url(root, context.asset_key, partition), value)
            facts[partition] = written | {"seconds": round(time.monotonic() - started, 3)}
        add_facts(context, facts)

    def load_input(self, context: dg.InputContext) -> Any:  # noqa: ANN401 (what the input wants)
        """Read an upstream asset: the value, or a dict of partition key to value."""
        root, hint = self._root(), context.dagster_type.typing_type
        with _extra():
            if not context.has_asset_partitions:
                return self.read(array_url(root, context.asset_key, ""), _plain(hint))
            return self._read_partitions(root, context)

    def _read_partitions(self, root: str, context: dg.InputContext) -> Any:  # noqa: ANN401 (as above)
        hint = _plain(context.dagster_type.typing_type)
        keys = list(context.asset_partition_keys)
        is_dict = dict in {hint, get_origin(hint)} and self.takes_dicts_apart
        if len(keys) == 1 and not is_dict:
            return self.read(array_url(root, context.asset_key, keys[0]), hint)
        of_item = _plain(get_args(hint)[1]) if is_dict and get_args(hint) else None
        found: dict[str, Any] = {}
        for key in keys:
            try:
                found[key] = self.read(array_url(root, context.asset_key, key), of_item)
            except MissingObjectError:
                if not (context.definition_metadata or {}).get(_ALLOW_MISSING):
                    raise
        return found

    @property
    def takes_dicts_apart(self) -> bool:
        """Whether ``dict[str, X]`` means partitions at an input, and as the output of one.

        Not where a value is a dict.
        """
        return True

    def _root(self) -> str:
        return parse_url(self.lake.settings().root).text


def array_url(root_url: str, key: dg.AssetKey, partition: str = "") -> str:
    """Where an asset's array lies, without the ending of its format; no other one lies there.

    A key that does not begin with ``arrays`` lies below ``asset=…``: names never hold a ``=``
    where they are stored, so that neither this nor ``partition=…`` or a tree's ``tree=leaves`` is
    ever that of a key. Names that end as files do have their last dot quoted: the file of ``x`` is
    ``x.npy``; those of a zarr array's own folders their underscore.

    Example:
        >>> array_url("s3://lake", dg.AssetKey(["arrays", "eeg", "raw"]), "2026/01")
        's3://lake/arrays/eeg/raw/partition=2026%2F01'
        >>> array_url("s3://lake", dg.AssetKey(["eeg", "raw"]))
        's3://lake/arrays/asset=eeg/raw'
        >>> array_url("s3://lake", dg.AssetKey(["arrays", "raw.npy"]))
        's3://lake/arrays/raw%2Enpy'
    """
    first, *rest = map(_stored_name, key.path)
    parts = rest if first == "arrays" and rest else [f"asset={first}", *rest]
    if partition:
        parts = [*parts, f"partition={_stored_name(partition)}"]
    return join_url(root_url, "arrays", *parts)


def _stored_name(name: str) -> str:
    """A segment; the ending of a file is added to the names of other assets, and is none here."""
    quoted = quote_segment(name)
    if quoted in _OF_ZARR:
        return f"%5F{quoted[1:]}"
    stem, dot, ending = quoted.rpartition(".")
    return f"{stem}%2E{ending}" if dot and ending in _ENDINGS else quoted


def _values(context: dg.OutputContext, obj: object, *, is_apart: bool) -> Iterator[tuple[str, Any]]:
    """What is to be written, by partition key; by ``""`` where there are no partitions.

    One partition takes the value itself; a dict of its key alone is taken apart only where no value
    is a dict.
    """
    if not context.has_asset_partitions:
        yield "", obj
        return
    name, keys = context.asset_key.to_user_string(), list(context.asset_partition_keys)
    if len(keys) == 1 and not (is_apart and isinstance(obj, Mapping) and set(obj) == set(keys)):
        yield keys[0], obj
        return
    if not isinstance(obj, Mapping):
        raise dg.DagsterInvariantViolationError(
            f"{name} ran for {len(keys)} partitions and returned one {type(obj).__name__}; return a"
            " dict of partition key to value"
        )
    by_key = only_of_run(obj, keys, name)
    if lacking := [key for key in keys if key not in by_key]:
        raise dg.DagsterInvariantViolationError(
            f"{name} returned no value for partitions of this run: {lacking[:5]}; return one for"
            " each of them"
        )
    yield from by_key.items()


@contextmanager
def _extra() -> Iterator[None]:
    """Say how to get a package that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"arrays need {error.name}, which is not installed; `pip install 'lake_assets[arrays]'`"
        ) from error


def _plain(hint: Any) -> Any:  # noqa: ANN401 (an annotation)
    """What an input is annotated with, without ``| None``; None for nothing that says a type."""
    if get_origin(hint) in {Union, UnionType}:
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        hint = kinds[0] if len(kinds) == 1 else hint
    return None if hint in {Any, object} else hint
