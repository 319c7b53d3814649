"""A program for a process of its own: a PDF on standard input, the text of each page as JSON on standard output.

A few bytes of drawing commands can ask for any amount of work, so this process has little memory and little time, and
may be killed. It is run by its path and imports nothing of ours, so that it starts fast.
"""

import json
import sys
from contextlib import suppress

import pypdfium2

MOST_MEMORY = 1024 * 1024 * 1024
"""Address space of the process, in bytes."""
MOST_SECONDS = 4
"""Processor time."""
MOST_PAGES = 1000
MOST_TEXT = 5_000_000
"""Characters of all pages together."""


class BeyondLimit(Exception):
    """The PDF is beyond a limit; the message says which."""


def limit() -> None:
    """Limit this process from here on; does nothing on systems that have no such limits."""
    with suppress(ImportError):
        import resource  # noqa: PLC0415 - Windows has none

        for name, most in (("RLIMIT_AS", MOST_MEMORY), ("RLIMIT_CPU", MOST_SECONDS), ("RLIMIT_CORE", 0)):
            # macOS knows some of them and does not take all.
            with suppress(AttributeError, OSError, ValueError):
                resource.setrlimit(getattr(resource, name), (most, most))


def texts(data: bytes) -> list[str]:
    """Return the text of each page. Raises BeyondLimit, and whatever the library raises."""
    document = pypdfium2.PdfDocument(data)
    if len(document) > MOST_PAGES:
        message = f"it has more than {MOST_PAGES} pages"
        raise BeyondLimit(message)
    found, left = [], MOST_TEXT
    for number in range(len(document)):
        page = document[number]
        text = page.get_textpage()
        left -= text.count_chars()
        if left < 0:
            message = f"its pages have more than {MOST_TEXT} characters"
            raise BeyondLimit(message)
        found.append(text.get_text_range())
        text.close()
        page.close()
    return found


def main() -> None:
    """Write one answer: ``{"texts": …}`` or ``{"refused": …}``."""
    data = sys.stdin.buffer.read()
    limit()
    try:
        answer: dict[str, object] = {"texts": texts(data)}
    except BeyondLimit as refused:
        answer = {"refused": str(refused)}
    except Exception as error:  # noqa: BLE001 - the library does not document what it raises on hostile files
        answer = {"refused": f"it is damaged ({type(error).__name__})"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
