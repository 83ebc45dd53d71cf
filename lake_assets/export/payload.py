"""From a stored export object to the text in it: unpacked, bounded, in whole lines.

Holds what is known about the wrapping of an export (gzip, zip, plain text) and nothing about rows:
what a line means is ``rows``' business. Everything streams; the unpacked payload is never in memory
as a whole. The wrapping is told by the first bytes, never by the name: names of real exports do not
agree with their content.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, BinaryIO

from lake_assets.errors import BadInputError

__all__ = ["PayloadLimits", "text_chunks", "zip_record_count"]

_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK"
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")

#: Bytes read or inflated at a time: large enough to be cheap, small beside a chunk.
_BLOCK_BYTES = 1024**2

#: zlib's number for "a gzip header and trailer, with its CRC checked".
_GZIP_WBITS = 31

#: A real manifest has some 400 bytes; a larger member under its name is not one.
_MANIFEST_NAME = "META-INF/MANIFEST.MF"
_MANIFEST_MAX_BYTES = 64 * 1024
_ENCRYPTED_FLAG = 0x1

#: What zipfile raises on bytes that are no whole zip; ValueError is a seek to a wrong offset,
#: NotImplementedError a version or a method that it does not know.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)

#: What zips of NDJSON use, Pega's among them; zipfile's other methods fail in ways of their own.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

_EXPORT_AGAIN = "fetch the object again; if the stored object itself is broken, export it again"
_REPACK = "export it again, or pack one NDJSON file alone"


@dataclass(frozen=True, slots=True)
class PayloadLimits:
    """How much text may be in memory at once, and how much an object may unpack to."""

    chunk_bytes: int = 32 * 1024**2
    """Text handed on at once, in bytes; always whole lines, so more only where one row alone is
    larger.
    """
    max_row_bytes: int = 64 * 1024**2
    """Largest row, in bytes without its line end."""
    max_payload_bytes: int = 8 * 1024**3
    """Largest unpacked payload, in bytes: the guard against bombs, counted while unpacking."""


def text_chunks(key: str, file: BinaryIO, limits: PayloadLimits) -> Iterator[bytes]:
    """Yield the NDJSON text of an export object in chunks of whole lines, proven to be UTF-8.

    A byte order mark is dropped; blank lines stay, so that a count of the line ends gives line
    numbers. An object without text (zero bytes, gzip of nothing) yields no chunk. Needs memory for
    about one chunk and one row.

    Args:
        key: Names the object in errors.
        file: The stored object; it must be seekable.
        limits: Chunk size and upper bounds.

    Raises:
        BadInputError: The wrapping is broken, truncated or encrypted, does not hold exactly one
        data file, exceeds a
            limit, or the text is not UTF-8.
    """
    first, line = True, 1
    for chunk in _line_chunks(key, _unpacked(key, file, limits), limits):
        if first:
            text, first = _without_bom(key, chunk), False
        else:
            text = chunk
        _check_text(key, text, line)
        line += text.count(b"\n")
        if text:
            yield text


def zip_record_count(key: str, file: BinaryIO) -> int | None:
    """The number of records that the manifest of a zipped export states; None where it states none.

    A count is a help, not a condition: without a zip, a manifest or a readable number there is
    nothing to compare with. Trouble with the zip itself is for ``text_chunks`` to report, which
    reads the data.

    Args:
        key: The object's key; only zips have a manifest, whatever the key says.
        file: The stored object; it must be seekable.
    """
    del key
    file.seek(0)
    if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
        return None
    try:
        with zipfile.ZipFile(file) as archive:
            members = [m for m in archive.infolist() if m.filename.upper() == _MANIFEST_NAME]
            if len(members) != 1 or members[0].file_size > _MANIFEST_MAX_BYTES:
                return None
            if members[0].compress_type not in _METHODS:
                return None
            with archive.open(members[0]) as member:
                text = member.read(_MANIFEST_MAX_BYTES)
    except _ZIP_ERRORS:
        return None
    found = re.search(rb"(?im)^records:[ \t]*([0-9]{1,18})[ \t]*\r?$", text)
    return int(found[1]) if found else None


def _unpacked(key: str, file: BinaryIO, limits: PayloadLimits) -> Iterator[bytes]:
    """The blocks of the payload, without their wrapping."""
    file.seek(0)
    magic = file.read(2)
    file.seek(0)
    if magic == _ZIP_MAGIC:
        return _bounded(key, _unzipped(key, file), limits)
    blocks = _blocks(file)
    if magic != _GZIP_MAGIC:
        return _bounded(key, blocks, limits)
    return _gunzipped_twice(key, blocks, limits)


def _gunzipped_twice(key: str, blocks: Iterator[bytes], limits: PayloadLimits) -> Iterator[bytes]:
    """The payload of a gzip, or of a gzip in a gzip, for some stores compress once more."""
    for depth in (1, 2):
        blocks = _bounded(key, _gunzipped(key, blocks), limits)
        magic, blocks = _peeked(blocks)
        if magic != _GZIP_MAGIC:
            break
        if depth == 2:  # noqa: PLR2004 -- the second of the two layers just counted
            raise BadInputError(
                key, expected="text in at most two layers of gzip", found="a third", remedy=_REPACK
            )
    if magic == _ZIP_MAGIC:
        raise BadInputError(key, expected="text in the gzip", found="a zip", remedy=_REPACK)
    yield from blocks


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        yield block


def _peeked(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first two bytes of a stream, and the stream with them."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= len(_GZIP_MAGIC):
            break
    return head[: len(_GZIP_MAGIC)], chain([head], blocks)


def _bounded(key: str, blocks: Iterator[bytes], limits: PayloadLimits) -> Iterator[bytes]:
    """The same blocks, until they exceed what a payload may have."""
    total = 0
    for block in blocks:
        total += len(block)
        if total > limits.max_payload_bytes:
            raise BadInputError(
                key,
                expected=f"at most {limits.max_payload_bytes} bytes of text when unpacked",
                found="more",
                remedy="raise max_payload_bytes if the export is really that large",
            )
        yield block


def _gunzipped(key: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The text of all members of a gzip; zlib checks the CRC and the length of each."""
    inflater, members, read_bytes = None, 0, 0
    try:
        for block in blocks:
            rest = block
            read_bytes += len(block)
            while rest:
                inflater = inflater or zlib.decompressobj(_GZIP_WBITS)
                yield inflater.decompress(rest, _BLOCK_BYTES)
                if inflater.eof:
                    rest, inflater, members = inflater.unused_data, None, members + 1
                else:
                    rest = inflater.unconsumed_tail
        if inflater is not None:
            # A full output block can leave some text inside zlib with no input left to push it out.
            yield inflater.flush()
    except zlib.error as error:
        finding = (
            f"{error} within the first {read_bytes} stored bytes, after {members} whole members"
        )
        raise BadInputError(
            key, expected="a whole gzip", found=finding, remedy=_EXPORT_AGAIN
        ) from error
    if inflater is not None and not inflater.eof:
        raise BadInputError(
            key,
            expected="a whole gzip",
            found=f"its end missing after {read_bytes} stored bytes (truncated)",
            remedy=_EXPORT_AGAIN,
        )


def _unzipped(key: str, file: BinaryIO) -> Iterator[bytes]:
    """The text of the one data member of a zip, read to its end, where zipfile checks the CRC."""
    try:
        with (
            zipfile.ZipFile(file) as archive,
            archive.open(_data_member(key, archive.infolist())) as member,
        ):
            yield from _blocks(member)
    except BadInputError:
        raise
    except _ZIP_ERRORS as error:
        raise BadInputError(
            key,
            expected="a whole zip",
            found=str(error) or "its end missing (truncated)",
            remedy=_EXPORT_AGAIN,
        ) from error


def _data_member(key: str, members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if ".." in parts or not parts[0] or ":" in parts[0]:
            found = f"{member.filename!r}"
            raise BadInputError(
                key, expected="names inside the zip's own folder", found=found, remedy=_REPACK
            )
    data = [m for m in members if m.filename.lower().endswith(".json") and not m.is_dir()]
    if len(data) != 1:
        names = ", ".join(repr(m.filename) for m in (data or members)[:5])
        found = f"{len(data)}" + (f" (members: {names})" if names else " (the zip is empty)")
        raise BadInputError(key, expected="one *.json member", found=found, remedy=_REPACK)
    if data[0].flag_bits & _ENCRYPTED_FLAG:
        found = f"{data[0].filename!r} encrypted"
        raise BadInputError(key, expected="a readable zip", found=found, remedy=_REPACK)
    if data[0].compress_type not in _METHODS:
        found = f"{data[0].filename!r} compressed by method {data[0].compress_type}"
        raise BadInputError(key, expected="a deflated zip", found=found, remedy=_REPACK)
    return data[0]


def _line_chunks(key: str, blocks: Iterator[bytes], limits: PayloadLimits) -> Iterator[bytes]:
    """The blocks, cut anew: whole lines, as many as fit into a chunk."""
    buffer = bytearray()
    for block in blocks:
        searched = len(buffer)
        buffer += block
        while len(buffer) > limits.chunk_bytes:
            # The last line end that fits; without one, the first behind it ends a row larger than a
            # chunk.
            cut = buffer.rfind(b"\n", 0, limits.chunk_bytes) + 1
            cut = cut or buffer.find(b"\n", max(searched, limits.chunk_bytes)) + 1
            if not cut:
                _check_rows(key, buffer, limits)
                break
            chunk = bytes(memoryview(buffer)[:cut])
            _check_rows(key, chunk, limits)
            yield chunk
            del buffer[:cut]
            searched = 0
    _check_rows(key, buffer, limits)
    if buffer:
        yield bytes(buffer)


def _check_rows(key: str, lines: bytes | bytearray, limits: PayloadLimits) -> None:
    if len(lines) <= limits.max_row_bytes:
        return
    size = max(map(len, lines.split(b"\n")))
    if size > limits.max_row_bytes:
        raise BadInputError(
            key,
            expected=f"rows of at most {limits.max_row_bytes} bytes",
            found=f"one of {size} bytes or more (is it one row per line?)",
            remedy="raise max_row_bytes if the row is really that large",
        )


def _without_bom(key: str, text: bytes) -> bytes:
    if text.startswith(_UTF16_BOMS):
        found = f"the mark of UTF-16 ({text[:2].hex()}) on line 1"
        raise BadInputError(key, expected="UTF-8", found=found, remedy="export it as UTF-8")
    return text.removeprefix(_UTF8_BOM)


def _check_text(key: str, text: bytes, first_line: int) -> None:
    """Refuse what is not UTF-8, or has NUL bytes as UTF-16 without a mark does."""
    if b"\0" not in text:
        if text.isascii():
            return
        try:
            text.decode()
        except UnicodeDecodeError:
            pass
        else:
            return
    for number, line in enumerate(text.split(b"\n"), first_line):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            found = f"{error.reason} ({line[error.start : error.start + 4].hex()}) on line {number}"
            raise BadInputError(
                key, expected="UTF-8", found=found, remedy="export it as UTF-8"
            ) from error
        if b"\0" in line:
            found = f"a NUL byte on line {number} (UTF-16, or not text)"
            raise BadInputError(key, expected="UTF-8", found=found, remedy="export it as UTF-8")
