"""Frames dealt out over parts that are worked on one by one: in memory, what is too much on disk.

Each input is read once, however many parts there are. What is here knows nothing of rows or keys.
"""

import io
import tempfile
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl

__all__ = ["Spill"]


class Spill:
    """Parts of frames; ``take`` gives a part back with its rows in the order in which they came.

    A context: the files lie in a temporary folder that goes with it.

    Args:
        memory_bytes: Frames held in memory, together; beyond that they go to local disk.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._held: defaultdict[int, list[pl.DataFrame]] = defaultdict(list)
        self._held_bytes = 0
        self._files: defaultdict[int, list[Path]] = defaultdict(list)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        """Nothing is on disk yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what is on disk."""
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, part: int, frame: pl.DataFrame) -> None:
        """Put rows behind those that the part has."""
        if frame.is_empty():
            return
        # A filtered text column keeps all the text alive that it was filtered from: copy the rest.
        own = pl.DataFrame(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
        self._held[part].append(own)
        self._held_bytes += int(own.estimated_size())
        if self._held_bytes > self._memory_bytes:
            self._write()

    def take(self, part: int) -> pl.DataFrame | None:
        """All rows of the part, which then has none; missing columns are null. None for no rows."""
        files = self._files.pop(part, [])
        frames = [pl.read_ipc(io.BytesIO(file.read_bytes())) for file in files]
        held = self._held.pop(part, [])
        self._held_bytes -= sum(int(frame.estimated_size()) for frame in held)
        for file in files:
            file.unlink()
        frames += held
        return pl.concat(frames, how="diagonal") if frames else None

    def _write(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lake-")
        for part, frames in self._held.items():
            file = Path(self._folder.name) / f"{part}-{len(self._files[part])}.arrow"
            pl.concat(frames, how="diagonal").write_ipc(file, compression="lz4")
            self._files[part].append(file)
        self._held.clear()
        self._held_bytes = 0
