"""Local files to objects: each is stored whole and verified, or not at all."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence

from lake_assets.errors import StorageError, TransferError
from lake_assets.s3.engine import SHA256_FIELD, Engine, Found, NewObject
from lake_assets.s3.flow import Flow
from lake_assets.s3.pool import Job
from lake_assets.s3.transfer_config import ObjectRef, TransferConfig
from lake_assets.s3.verify import is_object

__all__ = ["Uploads"]


class Uploads:
    """The jobs of one upload."""

    def __init__(
        self,
        engine: Engine,
        *,
        config: TransferConfig,
        flow: Flow,
        overwrite: bool,
        known: Mapping[str, Found | None],
        metadata: Mapping[str, str],
    ) -> None:
        if SHA256_FIELD in {name.lower() for name in metadata}:
            raise TransferError(f"metadata {SHA256_FIELD!r} is our own; choose another name")
        self._engine = engine
        self._config = config
        self._flow = flow
        self._overwrite = overwrite
        self._known = known
        self._metadata = metadata

    def jobs(self) -> Iterator[Job]:
        """One job for each file; big files return more of them."""
        for index, ref in enumerate(self._flow.refs):
            yield self._job(index, ref)

    def _job(self, index: int, ref: ObjectRef) -> Job:
        def job() -> Sequence[Job]:
            try:
                self._flow.check()
                return self._start(index, ref)
            except (StorageError, OSError, ValueError) as error:
                self._flow.fail(index, error)
                return ()

        return job

    def _start(self, index: int, ref: ObjectRef) -> Sequence[Job]:
        path = os.fspath(ref.local_path)
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise TransferError(f"{path} is no file; give the files in it one by one")
        new = NewObject(
            ref.key, path, status.st_size, metadata=self._metadata, create=not self._overwrite
        )
        if new.create and self._is_there(new):
            self._flow.skip(index)
            return ()
        if self._engine.has_parts and new.size_bytes > self._config.multipart_threshold_bytes:
            return self._split(index, new)
        self._flow.count(new.size_bytes)
        if self._engine.put(new) or self._config.skip == "never":
            self._flow.done(index, new.size_bytes)
        else:
            self._flow.skip(index)
        return ()

    def _is_there(self, new: NewObject) -> bool:
        """Whether the object needs no writing.

        Raises:
            TransferError: There are other bytes, which are not ours to replace.
        """
        known = self._known
        found = known[new.key] if new.key in known else self._engine.look(new.key)
        if found is None:
            return False
        if self._config.skip == "exists":
            return True
        if self._config.skip == "content":
            with open(new.path, "rb") as file:
                if is_object(self._engine, new.key, file=file, found=found, deep=True):
                    return True
        raise TransferError(
            f"{self._engine.url}/{new.key} is there with other bytes; "
            "pass overwrite=True to replace it"
        )

    def _split(self, index: int, new: NewObject) -> Sequence[Job]:
        from lake_assets.s3.engine_boto3 import BotoEngine
        from lake_assets.s3.upload_parts import PartedUpload

        assert isinstance(self._engine, BotoEngine)  # noqa: S101 (nothing else has parts)
        parted = PartedUpload(
            self._engine, config=self._config, flow=self._flow, index=index, new=new
        )
        return parted.jobs()
