"""Run as a program, in a process of its own: a PDF on standard input, the text of each page as JSON on standard output.

Drawing commands can ask for any amount of work in a few bytes, so this process has little memory and little time, and
may be killed. Imports nothing of ours, so that it starts fast: it is run by its path.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress

import pypdfium2

MOST_MEMORY = 1024 * 1024 * 1024
"""Of the process, in bytes of address space."""
MOST_SECONDS = 4
"""Of the processor's time."""
MOST_PAGES = 1000
MOST_TEXT = 5_000_000
"""Characters of all pages together."""


class Refused(Exception):
    """Beyond a limit; the message says which."""


def limit() -> None:
    """From here on, for this process; not on systems that have no such limits."""
    with suppress(ImportError):
        import resource  # noqa: PLC0415 - Windows has none

        for name, most in (("RLIMIT_AS", MOST_MEMORY), ("RLIMIT_CPU", MOST_SECONDS), ("RLIMIT_CORE", 0)):
            # macOS knows some of them and does not take all.
            with suppress(AttributeError, OSError, ValueError):
                resource.setrlimit(getattr(resource, name), (most, most))


def texts(data: bytes) -> list[str]:
    """The text of each page. Raises Refused, and whatever the library raises."""
    document = pypdfium2.PdfDocument(data)
    if len(document) > MOST_PAGES:
        message = f"it has more than {MOST_PAGES} pages"
        raise Refused(message)
    return list(_texts(document))


def _texts(document: pypdfium2.PdfDocument) -> Iterator[str]:
    left = MOST_TEXT
    for number in range(len(document)):
        page = document[number]
        text = page.get_textpage()
        left -= text.count_chars()
        if left < 0:
            message = f"its pages have more than {MOST_TEXT} characters"
            raise Refused(message)
        yield text.get_text_range()
        text.close()
        page.close()


def main() -> None:
    """One answer: ``{"texts": …}`` or ``{"refused": …}``."""
    data = sys.stdin.buffer.read()
    limit()
    try:
        answer: dict[str, object] = {"texts": texts(data)}
    except Refused as refused:
        answer = {"refused": str(refused)}
    except Exception as error:  # noqa: BLE001 - what the library raises on hostile files is written nowhere
        answer = {"refused": f"it is damaged ({type(error).__name__})"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
