"""Search for a secret in everything that an error says: the error, its causes, and the log."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from html import escape
from urllib.parse import quote, quote_plus

import pytest

from pacspace_stripe.errors import PacspaceStripeError

ECHOES: Mapping[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "in a sentence": lambda secret: f"the key '{secret}', which you sent,",
    "in JSON": lambda secret: json.dumps({"sent": secret}),
    "in JSON in JSON": lambda secret: json.dumps(json.dumps({"sent": secret})),
    "for a URL": lambda secret: f"?key={quote(secret, safe='')}",
    "for a form": lambda secret: f"key={quote_plus(secret)}&x=1",
    "for HTML": lambda secret: f"<b>{escape(secret)}</b>",
    "in base64": lambda secret: b64encode(secret.encode()).decode(),
    "in base64, after a name": lambda secret: b64encode(f"user:{secret}".encode()).decode(),
    "in base64, after another name": lambda secret: b64encode(f"me:{secret}!".encode()).decode(),
    "cut to 12": lambda secret: f"{secret[:12]}...",
    "cut to 20": lambda secret: f"{secret[:20]}…",
    "twice": lambda secret: f"{secret} {secret[:15]}",
    "far behind": lambda secret: "x" * 290 + secret,
    "after a bearer": lambda secret: f"Authorization: Bearer {secret}",
    "over two lines": lambda secret: f"refused:\n\t{secret}\r\n",
}
"""Ways in which a vendor may repeat a request."""


def chain(error: BaseException | None) -> list[BaseException]:
    """Return the error and all of its causes."""
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


def said_of(error: BaseException) -> str:
    """Return all text of one error."""
    held = vars(error) if hasattr(error, "__dict__") else {}
    return " ".join(map(str, (error, repr(error), error.args, held)))


def parts(secret: str) -> Iterator[str]:
    """Yield the parts that betray a secret: its first 12 characters, its last ones, and both in base64."""
    yield from (secret[:12], secret[-8:])
    encoded = b64encode(secret.encode()).decode().rstrip("=")
    yield from (encoded[:12], encoded[-9:-1])
    yield from (quote(secret, safe="")[:12], quote(secret, safe="")[-8:])


def assert_no_secret_in(error: BaseException, caplog: pytest.LogCaptureFixture, *secrets: str) -> None:
    """Assert that no foreign error is attached, and that no part of a secret is in ours or in the log."""
    errors = chain(error)
    assert [each for each in errors if not isinstance(each, PacspaceStripeError)] == []
    said = " ".join([*map(said_of, errors), caplog.text])
    found = [(secret, part) for secret in secrets for part in parts(secret) if part in said]
    assert found == [], said
