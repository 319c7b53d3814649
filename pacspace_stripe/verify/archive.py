"""The reader of a ZIP of unknown origin: its entries by name, in memory, never unpacked to disk.

Owns the limits and the names: a file that two programs could read as two different archives is UnreadableDocument.
"""

import io
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import NoReturn

from pacspace_stripe.errors import UnreadableDocument

LARGEST_ZIP = 64 * 1024 * 1024
_LARGEST_ENTRY = 32 * 1024 * 1024
_LARGEST_TOTAL = 128 * 1024 * 1024
_MOST_ENTRIES = 20_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}")
_ENCRYPTED, _SIZED_LATER = 0x1, 0x8
_HEADER = 30
"""Bytes of an entry's header before its name."""
_LENGTHS = struct.Struct("<HH")
_END = struct.Struct("<4s8xIIH")
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_zip(data: bytes) -> Mapping[str, bytes]:
    """Return the bytes of every entry by name. Raises UnreadableDocument, and nothing else."""
    if len(data) > LARGEST_ZIP:
        _refuse(f"it is larger than {LARGEST_ZIP} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check(entries)
            # Else another program could see other files in it than this one.
            if not _one_archive(data, entries):
                _refuse("it has bytes that belong to none of its entries")
            return _unpacked(archive, entries)
    except UnreadableDocument:
        raise
    except Exception as error:  # noqa: BLE001 - zipfile raises many kinds on damaged archives
        _refuse(f"it is damaged ({type(error).__name__})")


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > _MOST_ENTRIES:
        _refuse(f"it has more than {_MOST_ENTRIES} entries")
    names = [entry.orig_filename for entry in entries]
    if len({name.casefold() for name in names}) != len(names):
        _refuse("two of its entries have one name")
    for entry in entries:
        # `orig_filename` is the name as it is written: zipfile cuts `filename` at a NUL.
        if not _NAME.fullmatch(entry.orig_filename) or ".." in entry.orig_filename:
            _refuse("an entry has a name that no bundle has")
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _PACKINGS:
            _refuse("an entry is encrypted, or packed in a way that is not read here")
        if entry.file_size > _LARGEST_ENTRY:
            _refuse(f"an entry is larger than {_LARGEST_ENTRY} bytes")


def _one_archive(data: bytes, entries: list[zipfile.ZipInfo]) -> bool:
    """Return whether entries begin at the first byte, one behind the other, then their directory, then its end.

    Readers that begin at the first entry, and readers that begin at the directory, then see the same files.
    """
    end = len(data) - _END.size
    directory: int
    signature, size, directory, comment = _END.unpack_from(data, end)
    if signature != b"PK\x05\x06" or comment or directory + size != end or data[end - 20 : end - 16] == b"PK\x06\x07":
        return False
    at = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset != at or entry.flag_bits & _SIZED_LATER:
            return False
        name, extra = _LENGTHS.unpack_from(data, at + 26)
        at += _HEADER + name + extra + entry.compress_size
    return at == directory


def _unpacked(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> dict[str, bytes]:
    """Return the bytes of every entry within the limits; the size that an entry names is not believed."""
    files: dict[str, bytes] = {}
    left = _LARGEST_TOTAL
    for entry in entries:
        with archive.open(entry) as file:
            files[entry.filename] = file.read(min(_LARGEST_ENTRY, left) + 1)
        left -= len(files[entry.filename])
        if len(files[entry.filename]) > _LARGEST_ENTRY or left < 0:
            _refuse("it unpacks to more than a bundle holds")
    return files


def _refuse(problem: str) -> NoReturn:
    message = f"the ZIP file cannot be verified: {problem}"
    raise UnreadableDocument(message) from None
