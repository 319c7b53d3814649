"""The project's documents, and their parts that tests compare with the code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = [
    README,
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob(".github/*.md")),
    ROOT / "webhooks/README.md",
    ROOT / "templates/README.md",
    ROOT / "tests/README.md",
    *sorted(ROOT.glob("pacspace_stripe/*.md")),
    *sorted(ROOT.glob("pacspace_stripe/*/*.md")),
]
"""Every document that people read; ``README.md`` is the entrance."""


def relative_name(document: Path) -> str:
    """Return a document's path below the project, as the name of a test case."""
    return str(document.relative_to(ROOT))


def split(name: str) -> tuple[Path, str, str, str]:
    """Return the document that has a marked part, and its text before, between and after the markers."""
    pattern = re.compile(rf"(.*<!-- {name}: begin[^>]*-->\n)(.*)(<!-- {name}: end -->.*)", re.DOTALL)
    found = [(document, match) for document in DOCUMENTS if (match := pattern.fullmatch(document.read_text()))]
    assert len(found) == 1, f"{len(found)} documents have a part named {name}"
    [(document, match)] = found
    return document, match[1], match[2], match[3]


def part(name: str) -> str:
    """Return the text between the markers of a part, whichever document has it."""
    return split(name)[2]


def block(first_line: str) -> list[str]:
    """Return the lines of the block of output that begins so, whichever document has it."""
    pattern = re.compile(rf"```text\n({re.escape(first_line)}.*?)\n```", re.DOTALL)
    found = [match[1] for document in DOCUMENTS for match in pattern.finditer(document.read_text())]
    assert len(found) == 1, f"{len(found)} blocks begin with {first_line}"
    return found[0].splitlines()


def is_cut_from(shown: list[str], printed: str) -> bool:
    """Return whether the parts between dots are all in ``printed``, in order and unchanged; empty lines aside."""
    parts = (re.escape(_dense(part)) for part in "\n".join(shown).split("…"))
    return re.fullmatch(".*".join(parts), _dense(printed), re.DOTALL) is not None


def _dense(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip())
