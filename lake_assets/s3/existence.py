"""Which of many wanted keys are there: by a listing while that is cheaper than HEADs.

What decides is the density, wanted keys among those that the listing walks, and it is only known
on the way: so a listing has a budget, and keys beyond it are left to a HEAD each.
"""

from collections.abc import Collection

from lake_assets.s3.engine import Found
from lake_assets.s3.store import Store

__all__ = ["look_up"]

#: Listed keys that cost as much as one HEAD: a page of 1,000 broke even with about 52 HEADs.
_LISTED_PER_HEAD = 19
#: Fewer wanted keys than this are asked one by one, side by side, before a page has arrived.
_FEW = 20


def look_up(
    store: Store, keys: Collection[str], *, policy: str = "auto"
) -> dict[str, Found | None]:
    """What is known of the keys: found, or None for not there; a key left out needs a HEAD.

    Args:
        store: Listed from the first wanted key to the last.
        keys: The wanted ones.
        policy: ``auto``, ``head`` (nothing is looked up here) or ``list`` (everything is).

    Raises:
        StorageError: The listing was refused.
    """
    if policy == "head" or not keys or (policy == "auto" and len(keys) < _FEW):
        return {}
    wanted = sorted(keys, key=lambda key: key.encode("utf-8", "surrogatepass"))
    budget = None if policy == "list" else max(1000, len(wanted) * _LISTED_PER_HEAD)
    known: dict[str, Found | None] = {}
    at = 0
    listed = store.list(_common(wanted), start_after=_before(wanted[0]))
    for n_listed, info in enumerate(listed, start=1):
        sorts = info.key.encode("utf-8", "surrogatepass")
        while at < len(wanted) and wanted[at].encode("utf-8", "surrogatepass") < sorts:
            known[wanted[at]] = None
            at += 1
        if at == len(wanted):
            return known
        if wanted[at] == info.key:
            known[info.key] = Found(info.size_bytes, info.etag)
            at += 1
        if budget is not None and n_listed >= budget:
            return known
    return known | dict.fromkeys(wanted[at:])


def _common(keys: list[str]) -> str:
    """The prefix of the first and last of sorted keys, and so of all."""
    first, last = keys[0], keys[-1]
    n_same = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        n_same += 1
    return first[:n_same]


def _before(key: str) -> str:
    """A key that sorts before this one, with few keys in between."""
    last = key[-1:]
    return key[:-1] + (chr(ord(last) - 1) if "!" < last <= "~" else "")
