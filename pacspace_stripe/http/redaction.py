"""Redaction: a request's secrets are taken out of every text about its answer.

Vendors and proxies repeat requests in their error texts: as they were, escaped, encoded, or cut. Pure.
"""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from html import escape
from urllib.parse import quote, quote_plus

_HIDDEN = "…"
_PART = 12
"""Length from which the beginning of a secret is treated as secret too."""
_SHORTEST_COOKIE = 8
"""A shorter cookie is a word, such as ``dark``, rather than a secret."""
_CARRIERS = {"authorization", "proxy-authorization", "x-api-key"}

Hide = Callable[[str], str]


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets: as they are, escaped for JSON, a URL or HTML, and in base64.

    Their beginnings of 12 characters or more are taken out too, in any of these forms.
    """
    kept, place = [], 0
    for start, end in sorted(span for form in _all_forms(tuple(secrets)) for span in _found(text, form)):
        if start >= place:
            kept += [text[place:start], _HIDDEN]
        place = max(place, end)
    return "".join((*kept, text[place:]))


def _found(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Yield the places where a form, or a beginning of it that is long enough, stands in the text."""
    beginning = form[:_PART]
    at = text.find(beginning)
    while at >= 0:
        pairs = enumerate(zip(form, text[at : at + len(form)], strict=False))
        end = at + next((number for number, (one, other) in pairs if one != other), min(len(form), len(text) - at))
        yield at, end
        at = text.find(beginning, end)


def secrets_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets in a request's headers: keys, tokens, cookies."""
    found: list[str] = []
    for name, value in headers.items():
        if name.lower() in _CARRIERS:
            found += _key(value.rpartition(" ")[2])
        elif name.lower() == "cookie":
            values = (pair.partition("=")[2].strip() for pair in value.split(";"))
            found += (each for each in values if len(each) >= _SHORTEST_COOKIE)
    return tuple(found)


def _key(key: str) -> Iterator[str]:
    """Yield a key, and the secret half of one that has a public half."""
    yield key
    secret = key.partition(".")[2]
    if len(secret) >= _PART:
        yield secret


@lru_cache(maxsize=64)
def _all_forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    return tuple({form for secret in secrets if secret for form in _forms(secret) if form})


def _forms(secret: str) -> Iterator[str]:
    yield secret
    for ascii_only in (True, False):
        written = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield from (written, written.replace("/", "\\/"), json.dumps(written)[1:-1])
    yield escape(secret)
    raw = secret.encode(errors="surrogatepass")
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw), quote(quote(raw, safe=""), safe="")):
        yield from (quoted, _lower_hex(quoted))
    if len(raw) >= _PART // 2:
        yield from _in_base64(raw)


def _lower_hex(quoted: str) -> str:
    first, *rest = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield a secret's base64 at any place of an encoded text, as behind ``user:``: the characters wholly its own."""
    for before in range(3):
        whole = 8 * (before + len(secret)) // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(b"\x00" * before + secret).decode("ascii")[-(-8 * before // 6) : whole]
