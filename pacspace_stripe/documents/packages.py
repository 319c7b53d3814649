"""Typst's package registry, which templates don't reach: Typst would download whatever they import from it.

It has no switch for that and opens sockets of its own, so the files are read before it sees them. What a template puts
together while it runs is not found this way: the templates are the vendor's own, only not meant to need a network.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pacspace_stripe.documents.failures import failure
from pacspace_stripe.errors import RenderError

_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_REGISTRY = "@preview/"


def refuse_downloads(path: Path, root: Path) -> None:
    """Raise RenderError when the template at ``path``, or a file below ``root`` that it names, imports from there."""
    todo, seen = [path], {path}
    while todo:
        file = todo.pop()
        for line, words in _strings(file):
            if words.startswith(_REGISTRY):
                raise _refusal(file, line, words)
            neighbour = _named(words, file, root)
            if neighbour is not None and neighbour not in seen:
                seen.add(neighbour)
                todo.append(neighbour)


def _strings(file: Path) -> Iterator[tuple[int, str]]:
    """Every string of a file, with its line; none of what a comment has."""
    for number, line in enumerate(file.read_bytes().decode(errors="replace").splitlines(), start=1):
        if not line.lstrip().startswith("//"):
            yield from ((number, words) for words in _STRING.findall(line))


def _named(words: str, file: Path, root: Path) -> Path | None:
    """The Typst file that a string names, as Typst finds it: from the root, or from the file it stands in."""
    if not words.endswith(".typ"):
        return None
    found = (root / words.lstrip("/") if words.startswith("/") else file.parent / words).resolve()
    return found if root in found.parents and found.is_file() else None


def _refusal(file: Path, line: int, package: str) -> RenderError:
    problem = f"imports {package}: packages are not downloaded"
    return failure(file, line, problem, "Copy the package's files beside it and import those.")
