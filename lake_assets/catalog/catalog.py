"""The catalog in the field's own words: datasets, partitions, jobs and what belongs to them.

For programs without Dagster; docs/coming-from-artemis.md sets it beside artemis. Every call writes
at most an object and then one immutable document: there is no counter, no save and no lock, so any
number of processes may register at once, and a writer that dies leaves at most an object that
nobody refers to. The same call twice is one registration.
"""

import uuid as uuids
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lake_assets.catalog.documents import Document, write_document
from lake_assets.catalog.formats import histograms_bytes, json_bytes, table_bytes, tdigests_bytes
from lake_assets.catalog.records import (
    CONTENTS,
    CatalogRecord,
    Owner,
    content_key,
    dataset_key,
    job_key,
    partition_key_of,
)
from lake_assets.catalog.references import (
    FileReference,
    files_below,
    refer_to,
    refer_to_object,
)
from lake_assets.catalog.registry import CatalogReader
from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3 import ObjectInfo

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

__all__ = ["Catalog"]

#: Files of a folder that are hashed and registered at once.
_WORKERS = 8


class Catalog(CatalogReader):
    """A catalog that can be written to; see ``CatalogReader`` for how it is opened and read.

    Example:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> catalog = Catalog(root, "shop")
        >>> dataset = catalog.register_dataset("orders")
        >>> catalog.new_partition(dataset.uuid, "year=2026/month=01").parent_uuid == dataset.uuid
        True
        >>> Catalog(root).name
        'shop'
    """

    def register_dataset(
        self,
        name: str = "",
        *,
        menu_id: str | None = None,
        config_id: str | None = None,
        parents: Iterable[str] = (),
    ) -> CatalogRecord:
        """Make a dataset: an event, so each call makes another one.

        Args:
            name: For people; need not be unique.
            menu_id: The registered menu it is made by.
            config_id: The registered configuration it is made with.
            parents: The datasets it is made from.

        Raises:
            SettingsError: The menu, the configuration or a parent is not in the catalog.
        """
        sources = sorted(set(parents))
        for parent in sources:
            self._check_owner(Owner(parent))
        for what, id_ in (("menu", menu_id), ("config", config_id)):
            if id_ is not None and self.objects.head(id_) is None:
                raise SettingsError(f"{what} {id_!r} is not in the catalog; register_{what}() it")
        content = {
            "what": "dataset", "uuid": str(uuids.uuid4()), "name": name,
            "menu": menu_id, "config": config_id, "parents": sources,
        }  # fmt: skip
        return self._write(dataset_key(content["uuid"]), content)

    def new_partition(self, dataset_id: str, partition_key: str) -> CatalogRecord:
        """Name a partition of a dataset; the same key again is the same partition.

        Args:
            dataset_id: uuid of the dataset.
            partition_key: Any text, slashes included.

        Raises:
            SettingsError: There is no such dataset, or the key is empty.
        """
        key = partition_key_of(dataset_id, partition_key)
        self._check_owner(Owner(dataset_id))
        content = {"what": "partition", "dataset": dataset_id, "key": partition_key}
        return self._write(key, content)

    def new_job(self, dataset_id: str, info: Mapping[str, Any] | None = None) -> CatalogRecord:
        """Begin a job of a dataset: an event with a uuid, for numbers would race.

        Raises:
            SettingsError: There is no such dataset.
        """
        self._check_owner(Owner(dataset_id))
        job_id = str(uuids.uuid4())
        content = {"what": "job", "uuid": job_id, "dataset": dataset_id, "info": dict(info or {})}
        return self._write(job_key(dataset_id, job_id), content)

    def register_content(
        self,
        content: bytes | BinaryIO | Path,
        what: str,
        owner: Owner = Owner(),  # noqa: B008 (frozen)
        *,
        name: str = "",
        kind: str = "bytes",
        info: Mapping[str, Any] | None = None,
    ) -> CatalogRecord:
        """Keep bytes as an object and register it; the other calls are this one for one sort.

        Args:
            content: Bytes, a binary file, or a path whose bytes are copied.
            what: ``configs``, ``files``, ``histograms``, ``job_infos``, ``logs``, ``menus``,
                ``tables`` or ``tdigests``.
            owner: Menus and configs may belong to nothing, files belong to a partition, all else
                to a job.
            name: For people.
            kind: How ``get_as`` and ``open_batches`` read it.
            info: Anything else that JSON can say.

        Raises:
            SettingsError: Dataset, job or partition is not there or lacking; the content is too
                large for an object.
        """
        self._check_content(what, owner)
        json_bytes(info or {})  # before an object is written that nothing would refer to
        stored = self.objects.put(content)
        said = {"size_bytes": stored.size_bytes, "name": name, "kind": kind, "info": info}
        return self._register(what, owner, {"object": stored.id, **said}, {})

    def register_job(self, dataset_id: str, job_id: str, info: Mapping[str, Any]) -> CatalogRecord:
        """Keep what a job says of itself (state, times, counts); a later state is another record.

        Raises:
            SettingsError: There is no such dataset or job, or JSON cannot say ``info``.
        """
        owner = Owner(dataset_id, job_id)
        return self.register_content(json_bytes(info), "job_infos", owner, kind="json")

    def register_file(
        self,
        uri: str,
        dataset_id: str,
        partition_key: str,
        *,
        kind: str = "bytes",
        info: Mapping[str, Any] | None = None,
    ) -> CatalogRecord:
        """Register a file where it lies, by the sha256 of its stored bytes.

        A file that was changed is registered as another one; the earlier record then says so.

        Args:
            uri: A local path or ``s3://bucket/key``.
            dataset_id: uuid of the dataset.
            partition_key: Of a partition that is there.
            kind: How ``get_as`` and ``open_batches`` read it.
            info: Anything else that JSON can say: rows, columns, a description.

        Raises:
            SettingsError: There is no such dataset or partition.
            StorageError: There is no such file.
        """
        owner = Owner(dataset_id, None, partition_key)
        self._check_content("files", owner)
        json_bytes(info or {})
        return self._register_reference(refer_to(uri), owner, kind, info)

    def register_dir(
        self,
        url: str,
        dataset_id: str,
        partition_key: str,
        *,
        pattern: str = "**",
        kind: str = "bytes",
    ) -> list[CatalogRecord]:
        """Register the files below a folder or prefix that match, by key; folders never match.

        Args:
            url: A folder or ``s3://bucket/prefix``.
            dataset_id: uuid of the dataset.
            partition_key: Of a partition that is there.
            pattern: Counted from ``url``; ``*`` stays within one segment, ``**`` goes beyond.
            kind: How ``get_as`` and ``open_batches`` read them.

        Raises:
            SettingsError: There is no such dataset or partition.
            SourceChangedError: A file was replaced meanwhile; others are registered, call again.
        """
        owner = Owner(dataset_id, None, partition_key)
        self._check_content("files", owner)
        store, found = files_below(url, pattern)

        def register(listed: ObjectInfo) -> CatalogRecord:
            return self._register_reference(refer_to_object(store, listed), owner, kind, None)

        with ThreadPoolExecutor(_WORKERS) as pool:
            return list(pool.map(register, found))

    def register_table(
        self,
        table: "pl.DataFrame | pa.Table | Mapping[str, Any] | bytes",
        dataset_id: str,
        job_id: str,
        *,
        name: str = "",
        partition_key: str | None = None,
    ) -> CatalogRecord:
        """Keep a small frame as Arrow, or the description of a table as JSON.

        Raises:
            SettingsError: Dataset, job or partition is not there; or it is no table.
        """
        body, kind = table_bytes(table)
        owner = Owner(dataset_id, job_id, partition_key)
        return self.register_content(body, "tables", owner, name=name, kind=kind)

    def register_log(
        self, log: bytes | BinaryIO | Path, dataset_id: str, job_id: str, *, name: str = ""
    ) -> CatalogRecord:
        """Keep a finished log.

        Raises:
            SettingsError: There is no such dataset or job.
        """
        owner = Owner(dataset_id, job_id)
        return self.register_content(log, "logs", owner, name=name, kind="text")

    def register_histograms(
        self,
        histograms: Mapping[str, Any] | bytes,
        dataset_id: str,
        job_id: str,
        *,
        name: str = "",
    ) -> CatalogRecord:
        """Keep boost-histogram objects by name, as JSON in the UHI schema.

        Raises:
            SettingsError: There is no such dataset or job, or JSON cannot say a histogram.
        """
        owner, body = Owner(dataset_id, job_id), histograms_bytes(histograms)
        return self.register_content(body, "histograms", owner, name=name, kind="histograms")

    def register_tdigests(
        self, digests: Mapping[str, Any] | bytes, dataset_id: str, job_id: str, *, name: str = ""
    ) -> CatalogRecord:
        """Keep t-digests of datasketches by name.

        Raises:
            SettingsError: There is no such dataset or job, or one is no t-digest.
        """
        owner, body = Owner(dataset_id, job_id), tdigests_bytes(digests)
        return self.register_content(body, "tdigests", owner, name=name, kind="tdigests")

    def register_config(self, config: Mapping[str, Any], *, name: str = "") -> CatalogRecord:
        """Keep a configuration; equal ones are one object.

        Raises:
            SettingsError: JSON cannot say it.
        """
        return self.register_content(json_bytes(config), "configs", name=name, kind="json")

    def register_menu(self, menu: Mapping[str, Any], *, name: str = "") -> CatalogRecord:
        """Keep a menu: the graph of what is computed; equal ones are one object.

        Raises:
            SettingsError: JSON cannot say it.
        """
        return self.register_content(json_bytes(menu), "menus", name=name, kind="json")

    def update_dataset(
        self, dataset_id: str, records: Iterable[CatalogRecord] = ()
    ) -> CatalogRecord:
        """The dataset, once what its workers registered is proven to be there.

        There is nothing to merge, for each worker's documents are in the catalog already. It may be
        called again and again, in any order.

        Args:
            dataset_id: uuid of the dataset.
            records: What the workers' calls returned.

        Raises:
            SettingsError: There is no such dataset, or a record belongs to another one.
            StorageError: A record's document or object is not there, or was altered.
        """
        key = dataset_key(dataset_id)
        self._check_owner(Owner(dataset_id))
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(lambda record: self._prove(record, dataset_id), records))
        return self._record(self._read(key), key)

    def _prove(self, record: CatalogRecord, dataset_id: str) -> None:
        """Raise unless a record is the dataset's, and its document and object are there."""
        content = self._read(record.document).content
        if content.get("dataset") != dataset_id:
            raise SettingsError(
                f"{record.name} belongs to dataset {content.get('dataset')!r}, not to "
                f"{dataset_id}; give it to that one"
            )
        is_object = "object" in content and record.address == self.objects.url_of(record.uuid)
        if is_object and self.objects.head(record.uuid) is None:
            raise StorageError(f"object {record.uuid} of {record.name} is gone; restore it")

    def _check_content(self, what: str, owner: Owner) -> None:
        if what not in CONTENTS:
            raise SettingsError(f"nothing is called {what!r}; contents are {', '.join(CONTENTS)}")
        if what == "files" and owner.partition_key is None:
            raise SettingsError("a file belongs to a partition; give dataset and partition_key")
        if what not in {"files", "menus", "configs"} and owner.job_id is None:
            raise SettingsError(f"{what} belong to a job; give dataset and job_id")
        self._check_owner(owner)

    def _register_reference(
        self, file: FileReference, owner: Owner, kind: str, info: Mapping[str, Any] | None
    ) -> CatalogRecord:
        said = {
            "object": file.sha256, "size_bytes": file.size_bytes,
            "name": file.uri.rpartition("/")[2], "kind": kind, "info": info,
        }  # fmt: skip
        facts = {
            "uri": file.uri, "etag": file.etag, "modified_at": file.modified_at.isoformat(),
        }  # fmt: skip
        return self._register("files", owner, said, facts)

    def _register(
        self, what: str, owner: Owner, said: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> CatalogRecord:
        content = {
            "what": what, "dataset": owner.dataset_id, "job": owner.job_id,
            "partition": owner.partition_key, **said, "info": dict(said["info"] or {}),
        }  # fmt: skip
        return self._write(content_key(Document("registry", content, facts)), content, facts)

    def _write(
        self, key: str, content: Mapping[str, Any], facts: Mapping[str, Any] | None = None
    ) -> CatalogRecord:
        """Write a registration once; the one that is there already is as good."""
        json_bytes(content)
        now = datetime.now(UTC).isoformat()
        document = Document("registry", content, {**(facts or {}), "registered_at": now})
        if not write_document(self._store, key, document):
            there = self._read(key)
            if there.id != document.id:  # a file system that takes A and a for one name
                raise StorageError(
                    f"{self._store.url}/{key} is taken by {dict(there.content)!r}; use another name"
                )
            document = there
        if content["what"] in {"dataset", "partition", "job"}:
            self._known.add(key)
        return self._record(document, key)
