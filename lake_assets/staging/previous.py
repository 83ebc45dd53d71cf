"""What an export was staged from before, held against the files that are there now.

Exports get deleted: by a lifecycle rule, file by file. Rows that are staged stay, so a file that is
gone is no correction; a correction replaces a file under its own name.
"""

from collections import Counter

from lake_assets.catalog import Document, read_document
from lake_assets.errors import BadInputError
from lake_assets.export.find import Export
from lake_assets.s3 import Store
from lake_assets.staging.manifests import StagingState

__all__ = ["still_staged"]


def still_staged(root: Store, export: Export, state: StagingState) -> tuple[Document, str] | None:
    """The last manifest and its key, where files of it are gone and none is new: it still counts.

    None where the export has to be staged from what is there: all the former files, or more.

    Raises:
        BadInputError: Files are gone and others are new or replaced. What was staged stays; staging
            what is left would take the rows of the missing files out of the lake.
    """
    staged = state.exports.get(export.id)
    if staged is None or not staged.manifests:
        return None
    document = read_document(root, staged.manifests[-1])
    names = [item["name"] for item in document.content["inputs"]]
    sources = document.facts["sources"]
    gone = Counter(names) - Counter(file.key.rpartition("/")[2] for file in export.files)
    if not gone:
        return None
    etags = Counter(source["etag"] for source in sources)
    if Counter(file.data.etag for file in export.files) <= etags:
        return document, staged.manifests[-1]
    missing = next(s["uri"] for s, name in zip(sources, names, strict=True) if name in gone)
    raise BadInputError(
        missing,
        expected="every file that the export was staged from before",
        found=f"{gone.total()} of {len(names)} missing, while others are new or replaced",
        remedy="restore it; where its rows shall leave the lake, put an empty file in its place",
    )
