"""Parsers of settings as people write them: durations, decimals, rates, keys, addresses, choices among deltas.

Every parser takes the text of a variable and returns the value, or raises ``ValueError`` with what is allowed.
No message repeats the text: it might be a secret in the wrong place.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from pacspace_stripe.documents.rules.letterhead import Logo
from pacspace_stripe.http.ratelimit.rules.rate import Rate
from pacspace_stripe.ledger.rules.selection import BY_METADATA, BY_REASON
from pacspace_stripe.vocabulary.policy import BY_ACCOUNT, NO_USAGE, UsageItems

Choice = TypeVar("Choice", bound=StrEnum)
LONGEST: Final = timedelta(days=365)
_UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
_HOST = re.compile(r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
"""A name of at least two labels, whose last one is no number, so it is never an IP address."""
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>{_NUMBER}){unit}(?![a-z]))?" for unit in _UNITS))
_DECIMAL = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?")
_RATE = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_STRIPE_KEY = re.compile(r"[sr]k_(?:test|live)_[!-~]{1,500}")
_OF_ORGANIZATION = re.compile(r"[sr]k_org_")
ORGANIZATION_KEY = (
    "is a key of an organization, which names no account: use a restricted key (rk_live_… or rk_test_…) of the account "
    "whose invoices are compared, made in that account's Stripe Dashboard under Developers > API keys"
)
_PACSPACE_KEY = re.compile(r"pk_(?:test|live)_[!-~]{1,500}")
_WEBHOOK_SECRET = re.compile(r"whsec_[!-+\--~]{1,500}")
_PLACEHOLDER = re.compile(r"\{(?:customer|meter)\}")
_RECORD_TIMES = ("{month}", "{start}", "{end}")
_RECORD_PLACEHOLDER = re.compile(r"\{(?:customer|meter|month|start|end)\}")
_ALERT_KEY = range(24, 65)
"""Allowed key lengths in bytes (Standard Webhooks)."""
_PRIVATE_ZONES = frozenset({"home", "internal", "lan", "local", "localhost"})
_ACCOUNT_TEXT = re.compile(r"[A-Za-z0-9_.:-]{0,100}")


def duration(written: str) -> timedelta:
    """Parse a duration such as ``90m``, ``1m30s``, ``500ms`` or ``0``: largest unit first, each at most once."""
    text = written.strip()
    if text == "0":
        return timedelta(0)
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        message = "is not a duration; write it like 500ms, 2s, 90m, 1h30m, 1d or 0"
        raise ValueError(message)
    microseconds = sum(
        Decimal(number) * (_UNITS[unit] // timedelta(microseconds=1))
        for unit, number in match.groupdict().items()
        if number is not None
    )
    if microseconds > LONGEST // timedelta(microseconds=1):
        message = f"is longer than {duration_text(LONGEST)}"
        raise ValueError(message)
    return timedelta(microseconds=int(microseconds))


def duration_text(value: timedelta) -> str:
    """Return the shortest text of a duration that ``duration`` parses."""
    text, rest = "", value
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    if rest:
        milliseconds = Decimal(rest // timedelta(microseconds=1)) / 1000
        text += f"{milliseconds.normalize():f}ms"
    return text or "0"


def duration_of(*, at_least: timedelta) -> Callable[[str], timedelta]:
    """Return a parser of durations of a minimal length."""

    def read(written: str) -> timedelta:
        value = duration(written)
        if value < at_least:
            message = f"must be at least {duration_text(at_least)}"
            raise ValueError(message)
        return value

    return read


def durations(written: str) -> tuple[timedelta, ...]:
    """Parse durations separated by commas, ``1m,5m,15m,1h``, each longer than 0."""
    return tuple(duration_of(at_least=timedelta(milliseconds=1))(part) for part in written.split(","))


def decimal(written: str) -> Decimal:
    """Parse a decimal such as ``0``, ``0.5`` or ``100``: digits and at most one point, never an exponent or a sign."""
    text = written.strip()
    if _DECIMAL.fullmatch(text) is None:
        message = "must be a decimal number that is not negative, such as 0, 0.5 or 100"
        raise ValueError(message)
    return Decimal(text)


def rate(written: str) -> Rate:
    """Parse ``25/100``: requests a second to one endpoint, and in all."""
    match = _RATE.fullmatch(written.strip())
    each, everything = (int(number) for number in match.groups()) if match else (0, 0)
    if not 0 < each <= everything:
        message = "must be <per endpoint>/<in all> in requests a second, such as 25/100, the first not above the second"
        raise ValueError(message)
    return Rate(endpoint=each, total=everything)


def one_of(choices: type[Choice]) -> Callable[[str], Choice]:
    """Return a parser of one word of an enumeration."""
    allowed = ", ".join(choices)

    def read(written: str) -> Choice:
        text = written.strip()
        if text not in set(choices):
            message = f"must be one of: {allowed}"
            raise ValueError(message)
        return choices(text)

    return read


def stripe_key(written: str) -> SecretStr:
    """Parse a key of one account: an organization's key needs a Stripe-Context on every request (FACTS 12.9)."""
    if _OF_ORGANIZATION.match(written.strip()):
        raise ValueError(ORGANIZATION_KEY)
    return _secret(written, _STRIPE_KEY, "must be a Stripe key: sk_test_…, rk_test_…, sk_live_… or rk_live_…")


def pacspace_key(written: str) -> SecretStr:
    """Parse a PacSpace API key."""
    return _secret(written, _PACSPACE_KEY, "must be a PacSpace API key: pk_test_… or pk_live_…")


def webhook_secrets(written: str) -> tuple[SecretStr, ...]:
    """Parse one or more signing secrets, separated by commas: two while one is being rolled."""
    allowed = "must be one or more signing secrets, whsec_…, separated by commas"
    return tuple(_secret(part, _WEBHOOK_SECRET, allowed) for part in written.split(","))


def _secret(written: str, form: re.Pattern[str], allowed: str) -> SecretStr:
    text = written.strip()
    if form.fullmatch(text) is None:
        raise ValueError(allowed)
    return SecretStr(text)


def address(written: str) -> str:
    """Parse the start of a service's URLs. Plain http is for this machine only, since a key is sent along."""
    parts = _url(written)
    if parts is None or not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        message = "must be an address such as https://host or https://host/path, without credentials, query or fragment"
        raise ValueError(message)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        message = "must start with https:// (http:// only for this machine, such as http://127.0.0.1:12111)"
        raise ValueError(message)
    return parts.geturl().rstrip("/")


def hosts(written: str) -> frozenset[str]:
    """Parse exact host names, separated by commas: no wildcards, no addresses, no ports."""
    names = frozenset(part.strip().lower() for part in written.split(","))
    if not all(_HOST.fullmatch(name) for name in names):
        message = "must be one or more host names such as files.example.com, separated by commas"
        raise ValueError(message)
    return names


def receiver(written: str) -> SecretStr:
    """Parse the address of a message receiver, itself a secret. Plain http is for private networks only."""
    parts = _url(written)
    if parts is None or not parts.hostname or parts.fragment or parts.scheme not in {"http", "https"}:
        message = "must be an address such as https://host/path"
        raise ValueError(message)
    if parts.scheme == "http" and not _is_private(parts.hostname):
        message = "must start with https:// (http:// only for this machine and private networks)"
        raise ValueError(message)
    return SecretStr(parts.geturl())


def alert_secrets(written: str) -> tuple[SecretStr, ...]:
    """Parse one or more secrets of Standard Webhooks: ``whsec_`` and 24 to 64 bytes in base64."""
    parts = [part.strip() for part in written.split(",")]
    if not all(_is_alert_secret(part) for part in parts):
        message = "must be whsec_ and 24 to 64 random bytes in base64; several, separated by commas"
        raise ValueError(message)
    return tuple(SecretStr(part) for part in parts)


def _is_alert_secret(written: str) -> bool:
    prefix, encoded = written[:6], written[6:]
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        return False
    return prefix == "whsec_" and len(key) in _ALERT_KEY


def database_url(written: str) -> SecretStr:
    """Parse ``sqlite:///file`` or ``postgresql://…`` into SQLAlchemy's form. It may contain a password."""
    parts = _url(written)
    if parts is None or parts.scheme not in _DRIVERS:
        message = "must be sqlite:///<file> or postgresql://<user>:<password>@<host>/<database>"
        raise ValueError(message)
    if parts.scheme == "sqlite":
        _check_sqlite(parts)
    rest = written.strip().split(":", 1)[1]
    return SecretStr(f"{_DRIVERS[parts.scheme]}:{rest}")


_DRIVERS: Final = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def _check_sqlite(parts: SplitResult) -> None:
    file = unquote(parts.path.removeprefix("/"))
    if parts.netloc or parts.query or not file or file == ":memory:":
        message = (
            "must name a file: sqlite:///relative.db or sqlite:////absolute.db (a database in memory would be lost)"
        )
        raise ValueError(message)
    if not Path(file).resolve().parent.is_dir():
        message = "names a file in a folder that does not exist"
        raise ValueError(message)


def folder(written: str) -> Path:
    """Parse the path of a folder that exists."""
    path = Path(written.strip())
    if not path.is_dir():
        message = "must be a folder that exists"
        raise ValueError(message)
    return path.resolve()


def account_template(written: str) -> str:
    """Parse the template of a ledger account: ``{customer}``, ``{meter}`` and what PacSpace allows in a customerId."""
    text = written.strip()
    if "{customer}" not in text or _ACCOUNT_TEXT.fullmatch(_PLACEHOLDER.sub("", text)) is None:
        message = "must contain {customer}, may contain {meter}, and otherwise only letters, digits and _ - . :"
        raise ValueError(message)
    return text


def record_key_template(written: str) -> str:
    """Parse the template of a record's key. It names customer and window, or one record would prove all."""
    text = written.strip()
    tells_apart = "{customer}" in text and any(time in text for time in _RECORD_TIMES)
    if not tells_apart or _ACCOUNT_TEXT.fullmatch(_RECORD_PLACEHOLDER.sub("", text)) is None:
        message = (
            "must contain {customer} and one of {month}, {start} and {end}, may contain {meter}, "
            "and otherwise only letters, digits and _ - . :"
        )
        raise ValueError(message)
    return text


def _url(written: str) -> SplitResult | None:
    text = written.strip()
    if any(character <= " " or character == "\x7f" for character in text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_private(host: str) -> bool:
    """Return whether a host is a private address or a name that only a private network knows."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.rpartition(".")[2] in _PRIVATE_ZONES


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


# -- which of the ledger's deltas count -----------------------------------------------------------------------------

_LONGEST_REASON: Final = 500
"""Characters of a delta's reason at PacSpace (CONTRACT 3.1)."""
_FACTOR = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")


def meter_from(written: str) -> str:
    """Parse what names the meter of a delta: ``account``, ``reason`` or ``metadata.KEY``."""
    text = written.strip()
    named = text.startswith(BY_METADATA) and len(text) > len(BY_METADATA)
    if text not in (BY_ACCOUNT, BY_REASON) and not named:
        message = "must be account, reason, or metadata.KEY with the key that names the meter"
        raise ValueError(message)
    return text


def reasons(written: str) -> frozenset[str]:
    """Parse reasons of deltas, separated by commas, exactly as PacSpace stores them."""
    found = [part.strip() for part in written.split(",")]
    if any(not part or len(part) > _LONGEST_REASON for part in found):
        message = "must be reasons of deltas, separated by commas, each of 1 to 500 characters"
        raise ValueError(message)
    return frozenset(found)


READING, TOTAL = ":reading", ":total"
_READINGS = (
    "must be event names of meters, separated by commas, each once; METER:total where Stripe is sent a running total, "
    "METER:reading where a name has a colon of its own"
)


def readings(written: str) -> frozenset[str]:
    """Parse ``seats,tokens:total``: meters of the aggregation ``last``, and if records are readings or add up."""
    found = [_reading(part.strip()) for part in written.split(",")]
    if len({meter_of(each) for each in found}) != len(found):
        raise ValueError(_READINGS)
    return frozenset(found)


def _reading(part: str) -> str:
    meter, colon, word = part.rpartition(":")
    if not part or (colon and (not meter or f":{word}" not in (READING, TOTAL))):
        raise ValueError(_READINGS)
    plain = word == READING[1:] and ":" not in meter
    return meter if colon and plain else part


def meter_of(reading: str) -> str:
    """Return the meter's name in a part of ``readings``."""
    return reading.removesuffix(TOTAL).removesuffix(READING)


def units(written: str) -> Mapping[str, Decimal]:
    """Parse ``api_calls=1000,storage=1024``: for each meter, how many of the ledger's units are one of Stripe's."""
    found: dict[str, Decimal] = {}
    for part in written.split(","):
        meter, equals, unit = (each.strip() for each in part.rpartition("="))
        exact = Decimal(unit) if _FACTOR.fullmatch(unit) else Decimal(0)
        if not (meter and equals) or exact == 0 or meter in found:
            message = "must be METER=NUMBER, separated by commas, each meter once, each number above 0 (api_calls=1000)"
            raise ValueError(message)
        found[meter] = exact
    return {meter: found[meter] for meter in sorted(found)}


def usage_items(written: str) -> UsageItems:
    """Parse ``metadata.KEY``, ``product.ID=METER``, ``price.ID=METER`` and ``amount=-``, separated by commas."""
    keys: list[str] = []
    named: dict[str, dict[str, str]] = {"product": {}, "price": {}}
    amounts: str | None = None
    for part in (each.strip() for each in written.split(",")):
        kind, dot, rest = part.partition(".")
        name, equals, meter = (each.strip() for each in rest.rpartition("="))
        if kind == "metadata" and dot and rest and rest not in keys:
            keys.append(rest)
        elif kind in named and name and equals and meter and name not in named[kind]:
            named[kind][name] = meter
        elif part == f"amount={NO_USAGE}" and amounts is None:
            amounts = NO_USAGE
        else:
            message = (
                "must be metadata.KEY, product.ID=METER, price.ID=METER or amount=-, separated by commas, each once; "
                "a METER of - bills no usage"
            )
            raise ValueError(message)
    return UsageItems(
        metadata_keys=tuple(sorted(keys)),
        products=dict(sorted(named["product"].items())),
        prices=dict(sorted(named["price"].items())),
        amounts=amounts,
    )


# -- the usage statement -------------------------------------------------------------------------------------------

LARGEST_LOGO: Final = 512 * 1024
LONGEST_NAME: Final = 200
_LOGO_FORMS = "must be a PNG, JPEG or SVG file"


def logo(written: str) -> Logo:
    """Read a picture file, once: later changes of the file have no effect."""
    path = Path(written.strip())
    if not path.is_file():
        message = f"{_LOGO_FORMS} that exists"
        raise ValueError(message)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_LOGO + 1)
    except OSError as error:
        message = f"{_LOGO_FORMS} that this process may read"
        raise ValueError(message) from error
    if len(content) > LARGEST_LOGO:
        message = f"must be no larger than {LARGEST_LOGO // 1024} KB"
        raise ValueError(message)
    return Logo(file=str(path), media_type=_media_type(content), content=content)


def _media_type(content: bytes) -> str:
    """Return the media type of a file's content; its name may be wrong. Raises ValueError."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    markup = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if markup.startswith(b"<") and b"<svg" in markup and _is_text(content):
        return "image/svg+xml"
    raise ValueError(_LOGO_FORMS)


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def vendor_name(written: str) -> str:
    """Parse a name for people, on one line."""
    text = " ".join(written.split())
    if len(text) > LONGEST_NAME:
        message = f"must have no more than {LONGEST_NAME} characters"
        raise ValueError(message)
    return text
