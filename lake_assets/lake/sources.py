"""Export files that are not what was staged any more, as far as they are still listed."""

from collections.abc import Collection, Iterator

from lake_assets.errors import StorageError
from lake_assets.lake.recorded import ExportFile, common_place
from lake_assets.s3 import join_url, open_store

__all__ = ["changed_sources"]


def changed_sources(files: Collection[ExportFile], notes: list[str]) -> Iterator[tuple[str, str]]:
    """The addresses of changed files, each with what is there now.

    A file that is gone is no finding: exports get deleted, their rows stay.

    Args:
        files: As they were when they were staged.
        notes: Takes what could not be listed, and why.
    """
    recorded: dict[str, dict[str, ExportFile]] = {}
    for file in files:
        recorded.setdefault(file.uri, {})[file.etag] = file
    for place in _places(list(recorded)):
        try:
            listing = {join_url(place, info.key): info for info in open_store(place).list()}
        except StorageError as error:
            notes.append(f"the exports at {place} were not looked at: {error}")
            continue
        for uri in recorded.keys() & listing.keys():
            known, now = recorded[uri], listing[uri]
            if now.etag not in known:
                was = next(reversed(known.values()))
                before = f"{was.size_bytes:,} bytes and the ETag {was.etag}"
                yield uri, f"has {now.size_bytes:,} bytes and the ETag {now.etag}, had {before}"


def _places(uris: list[str]) -> list[str]:
    """Folders that hold all of the files: one, or one for each folder of files."""
    if not uris:
        return []
    if place := common_place(uris):
        return [place]
    return sorted({uri.rpartition("/")[0] for uri in uris})
