"""Reading a catalog: what is registered, and its contents, checked.

Writing is ``catalog``'s. A listing is of the store, so it shows what every process has registered;
nothing is kept in memory but which datasets, partitions and jobs are known to exist.
"""

import uuid as uuids
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from lake_assets.catalog.documents import Document, read_document, write_document
from lake_assets.catalog.formats import open_batches, read_as
from lake_assets.catalog.objects import Objects
from lake_assets.catalog.records import (
    CONTENTS,
    DATASETS,
    FOLDER,
    CatalogRecord,
    Owner,
    content_folder,
    dataset_key,
    job_key,
    partition_key_of,
    record_of,
)
from lake_assets.catalog.references import open_reference
from lake_assets.errors import SettingsError, SourceChangedError, StorageError
from lake_assets.s3 import Folder, Store, open_store

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CatalogReader", "data_root"]

STORE_KEY = f"{FOLDER}store.json"
#: Documents that a listing reads at once.
_READERS, _WINDOW = 16, 256


class CatalogReader:
    """A catalog below a root, as ``Catalog`` is, without its register calls.

    Args:
        root: The lake's root: a folder, ``s3://bucket/prefix``, or an open store.
        name: Of a new catalog (``lake`` by default); of an existing one it must be its name.
        uuid: That an existing catalog must have.
        alt_root: Where a new catalog keeps its objects, below the root by default. It is recorded:
            whoever opens the catalog later finds them.

    Raises:
        SettingsError: The catalog at ``root`` has another name, uuid or place of data.
        StorageError: The root cannot be read, or written where the catalog is new.
    """

    def __init__(
        self,
        root: str | Store,
        name: str | None = None,
        *,
        uuid: str | None = None,
        alt_root: str | None = None,
    ) -> None:
        self._store = open_store(root) if isinstance(root, str) else root
        data = open_store(alt_root) if alt_root else None
        self._document = _store_document(self._store, name, uuid, data.url if data else None)
        self._expect("name", name, self.name)
        self._expect("uuid", uuid, self.uuid)
        recorded = self._document.facts["data_root"]
        self._expect("alt_root", data.url if data else None, recorded)
        if recorded and data is None:
            data = open_store(recorded)
        self.objects = Objects(data or self._store)
        self._known: set[str] = set()

    @property
    def name(self) -> str:
        """As it was given when the catalog was made."""
        return self._document.content["name"]

    @property
    def uuid(self) -> str:
        """Made with the catalog; never changes."""
        return self._document.content["uuid"]

    @property
    def info(self) -> dict[str, Any]:
        """Name, uuid, hash algorithm, root, place of data (None: the root) and time of making."""
        return {**self._document.content, **self._document.facts, "root": self._store.url}

    def get(self, item: CatalogRecord | str) -> bytes:
        """The bytes of a content, hashed again.

        Args:
            item: A record, or the id of a content. The bare id of a file that is registered by
                reference is looked for in the listing of all files; its record says where it is.

        Raises:
            BodyMismatchError: The bytes are not those of the id: damaged, or changed in place.
            StorageError: There is no such content.
            SettingsError: It is no id.
        """
        with self.open(item) as file:
            return file.read()

    def get_as(self, item: CatalogRecord | str, kind: str) -> Any:  # noqa: ANN401 (the kind says)
        """A content as a value: a polars frame, JSON, text, histograms, t-digests.

        Args:
            item: As for ``get``.
            kind: One of ``formats.KINDS``.

        Raises:
            StorageError: As for ``get``; or the bytes are not of this kind.
            SettingsError: There is no such kind.
        """
        with self.open(item) as file:
            return read_as(file, kind, name=_id_of(item))

    def open(self, item: CatalogRecord | str) -> BinaryIO:
        """A content as a seekable file, hashed before the first byte is handed out.

        Raises:
            BodyMismatchError: The bytes are not those of the id: damaged, or changed in place.
            StorageError: There is no such content.
            SettingsError: It is no id.
        """
        id_ = _id_of(item)
        if isinstance(item, CatalogRecord):
            if item.address == f"{self._store.url}/{item.document}":
                raise SettingsError(
                    f"{item.name} is an event and has no content; describe() tells what it says"
                )
            if item.address != self.objects.url_of(id_):
                return open_reference(item.address, id_)
        elif self.objects.head(id_) is None:
            return self._open_file(id_)
        return self.objects.open(id_)

    def open_batches(self, item: CatalogRecord | str, kind: str) -> "pa.RecordBatchReader":
        """A table batch by batch: ``arrow``, ``arrow_stream``, ``parquet`` or ``csv``.

        Raises:
            StorageError: As for ``open``; or the bytes are not of this kind.
            SettingsError: The kind has no batches.
        """
        return open_batches(self.open(item), kind, name=_id_of(item))

    def describe(self, record: CatalogRecord) -> dict[str, Any]:
        """All that was said when it was registered, its time included.

        Raises:
            StorageError: Its document is not there, or was altered.
        """
        document = self._read(record.document)
        return {**document.content, **document.facts}

    def list_datasets(self) -> Iterator[CatalogRecord]:
        """All datasets, by uuid."""
        folders = self._store.browse(DATASETS)
        return self._records(f"{f.key}dataset.json" for f in folders if isinstance(f, Folder))

    def list_partitions(self, dataset_id: str) -> Iterator[CatalogRecord]:
        """The partitions of a dataset, by key.

        Raises:
            SettingsError: There is no such dataset.
        """
        return self._records_below(dataset_id, dataset_key(dataset_id), "partitions/")

    def list_jobs(self, dataset_id: str) -> Iterator[CatalogRecord]:
        """The jobs of a dataset, by uuid.

        Raises:
            SettingsError: There is no such dataset.
        """
        return self._records_below(dataset_id, dataset_key(dataset_id), "jobs/")

    def list_files(
        self, dataset_id: str, partition_key: str | None = None
    ) -> Iterator[CatalogRecord]:
        """The files of a dataset or of one partition: by partition, then by hash.

        Raises:
            SettingsError: There is no such dataset or partition.
        """
        return self.list_contents("files", Owner(dataset_id, None, partition_key))

    def list_histograms(
        self, dataset_id: str, job_id: str | None = None
    ) -> Iterator[CatalogRecord]:
        """The histograms of a dataset or of one job: by job, then by hash.

        Raises:
            SettingsError: There is no such dataset or job.
        """
        return self.list_contents("histograms", Owner(dataset_id, job_id))

    def list_tdigests(self, dataset_id: str, job_id: str | None = None) -> Iterator[CatalogRecord]:
        """The t-digests of a dataset or of one job: by job, then by hash.

        Raises:
            SettingsError: There is no such dataset or job.
        """
        return self.list_contents("tdigests", Owner(dataset_id, job_id))

    def list_contents(self, what: str, owner: Owner = Owner()) -> Iterator[CatalogRecord]:  # noqa: B008 (frozen)
        """What is registered of one sort: configs, files, histograms, job_infos, logs and so on.

        Without a dataset: the menus and configs that belong to none.

        Raises:
            SettingsError: There is no such sort, dataset, job or partition.
        """
        if what not in CONTENTS:
            raise SettingsError(f"nothing is called {what!r}; contents are {', '.join(CONTENTS)}")
        if owner.dataset_id is None and what not in {"configs", "menus"}:
            raise SettingsError(f"{what} belong to a dataset; give its uuid")
        self._check_owner(owner)
        return self._listed(content_folder(what, owner))

    def _records_below(self, dataset_id: str, key: str, folder: str) -> Iterator[CatalogRecord]:
        self._check_owner(Owner(dataset_id))
        return self._listed(key.removesuffix("dataset.json") + folder)

    def _listed(self, prefix: str) -> Iterator[CatalogRecord]:
        return self._records(info.key for info in self._store.list(prefix))

    def _records(self, keys: Iterable[str]) -> Iterator[CatalogRecord]:
        rest = iter(keys)
        with ThreadPoolExecutor(_READERS) as pool:
            while window := list(islice(rest, _WINDOW)):
                documents = pool.map(self._read, window)
                yield from map(self._record, documents, window)

    def _record(self, document: Document, key: str) -> CatalogRecord:
        content, address = document.content, f"{self._store.url}/{key}"
        if "object" in content:
            address = document.facts.get("uri") or self.objects.url_of(content["object"])
        return record_of(document, key=key, address=address, store_uuid=self.uuid)

    def _read(self, key: str) -> Document:
        try:
            document = read_document(self._store, key)
        except SourceChangedError as error:
            raise StorageError(
                f"{self._store.url}/{key} is not there; was it registered in this catalog?"
            ) from error
        if document.kind != "registry":
            raise StorageError(f"{self._store.url}/{key} is a {document.kind}, no registration")
        return document

    def _open_file(self, id_: str) -> BinaryIO:
        """The first file of this hash that still has it; equal files may lie in many places."""
        failure = StorageError(f"nothing with id {id_} is in the catalog {self._store.url}")
        for info in self._store.list(DATASETS):
            if f"/{id_}-" not in info.key:
                continue
            uri = self._read(info.key).facts.get("uri")
            if uri is None:
                failure = StorageError(f"object {id_} of {info.key} is gone; restore it")
                continue
            try:
                return open_reference(uri, id_)
            except StorageError as error:
                failure = error
        raise failure

    def _check_owner(self, owner: Owner) -> None:
        """Raise unless dataset, job and partition are registered."""
        dataset = owner.dataset_id
        if dataset is None:
            if owner.job_id is not None or owner.partition_key is not None:
                raise SettingsError("a job or a partition belongs to a dataset; give dataset_id")
            return
        self._check(dataset_key(dataset), f"dataset {dataset!r}", "register_dataset() makes one")
        if owner.partition_key is not None:
            self._check(
                partition_key_of(dataset, owner.partition_key),
                f"partition {owner.partition_key!r} of dataset {dataset}",
                "new_partition() makes it",
            )
        if owner.job_id is not None:
            self._check(
                job_key(dataset, owner.job_id),
                f"job {owner.job_id!r} of dataset {dataset}",
                "new_job() makes one",
            )

    def _check(self, key: str, what: str, remedy: str) -> None:
        if key in self._known:
            return
        if self._store.head(key) is None:
            raise SettingsError(f"{what} is not in the catalog {self._store.url}; {remedy}")
        self._known.add(key)

    def _expect(self, what: str, asked: str | None, found: str | None) -> None:
        if asked is not None and asked != found:
            raise SettingsError(
                f"the catalog at {self._store.url} has {what} {found!r}, not {asked!r}; "
                "leave it out, or give another root"
            )


def data_root(store: Store) -> str | None:
    """Where the catalog of a root keeps its objects; None: below the root, or it has no catalog.

    Raises:
        StorageError: The document that names the catalog was altered.
    """
    if store.head(STORE_KEY) is None:
        return None
    return read_document(store, STORE_KEY).facts["data_root"]


def _store_document(
    store: Store, name: str | None, uuid: str | None, data_root: str | None
) -> Document:
    """The document that names the catalog; made by the first of all who open it."""
    if store.head(STORE_KEY) is None:
        made = {"what": "store", "name": name or "lake", "uuid": uuid or str(uuids.uuid4())}
        facts = {"data_root": data_root, "created_at": datetime.now(UTC).isoformat()}
        content = {**made, "algorithm": "sha256"}
        write_document(store, STORE_KEY, Document("registry", content, facts))
    return read_document(store, STORE_KEY)


def _id_of(item: CatalogRecord | str) -> str:
    return item.uuid if isinstance(item, CatalogRecord) else item
