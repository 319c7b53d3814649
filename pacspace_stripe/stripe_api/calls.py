"""The way a request takes to Stripe and its answer back: through the SDK, at one API version, read by us."""

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from urllib.parse import quote

import stripe

from pacspace_stripe.errors import ConfigurationError, UnexpectedAnswer
from pacspace_stripe.http.answers import Fields, json_answer
from pacspace_stripe.http.client import Transport, quiet
from pacspace_stripe.http.redaction import hidden
from pacspace_stripe.stripe_api.failures import stripe_failure
from pacspace_stripe.stripe_api.rows import require_object
from pacspace_stripe.stripe_api.sdk import STRIPE, StripeHttp
from pacspace_stripe.vocabulary.windows import floor_to

API_VERSION = "2026-10-28.endive"
"""The version every answer is read at, whatever the account's default is."""
OUR_KEY_PREFIX = "pacspace-stripe-"
"""Starts the idempotency key of every write: an event that names such a key was caused by us."""
PAGE = 100
_KEY = re.compile(r"(?:sk|rk)_(live|test)_")
_MOST_LINES = 10_000
"""Far above what one invoice or subscription may hold (250 items, FACTS 4.4)."""


class Calls:
    """Requests of Stripe at ``base_url``; raises RemoteError's children, which never repeat the key. Thread-safe."""

    def __init__(self, transport: Transport, api_key: str, base_url: str | None) -> None:
        self._key = api_key
        quiet("stripe")
        self._sdk = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": base_url.rstrip("/")} if base_url else {},
            max_network_retries=0,
            http_client=StripeHttp(transport),
        )

    def get_object(self, path: str, kind: str, wanted_id: str) -> object:
        """What must be this very object."""
        return require_object(self.get(path), kind, wanted_id)

    def get(self, path: str, **params: object) -> object:
        """Any answer, parsed with exact numbers."""
        return self._ask("get", path, params)

    def pages(self, path: str, **params: object) -> Iterator[object]:
        """Every row of a list, by cursor. A cursor that does not move on would never end: UnexpectedAnswer."""
        seen: set[str | None] = {None}
        after: str | None = None
        while True:
            page = Fields(STRIPE, f"list {path}", self.get(path, limit=PAGE, starting_after=after, **params))
            rows = page.items("data")
            yield from (row.data for row in rows)
            if not page.flag("has_more"):
                return
            after = rows[-1].text("id") if rows else None
            if after in seen:
                page.reject("has_more", "promises more rows, but the page does not move on")
            seen.add(after)

    def pages_of_v2(self, path: str, **params: object) -> Iterator[object]:
        """Every row of a list of the v2 API, which names the next page itself; never a page of anything else."""
        page = Fields(STRIPE, f"list {path}", self.get(path, limit=PAGE, **params))
        seen = set[str]()
        while True:
            yield from (row.data for row in page.items("data"))
            following = page.nullable_text("next_page_url")
            if following is None:
                return
            if following in seen or not following.startswith(f"{path}?"):
                page.reject("next_page_url", "does not lead to another page of this list")
            seen.add(following)
            page = Fields(STRIPE, f"list {path}", self.get(following))

    def bounded(self, path: str, **params: object) -> list[object]:
        """Every row of a list that belongs to one object."""
        rows: list[object] = []
        for row in self.pages(path, **params):
            rows.append(row)
            if len(rows) > _MOST_LINES:
                raise UnexpectedAnswer(STRIPE, f"{path}: more than {_MOST_LINES} rows")
        return rows

    def write(self, path: str, invoice_id: str, **params: object) -> None:
        """A new key each time: Stripe replays a key's first answer for a day, an overtaken one included."""
        key = f"{OUR_KEY_PREFIX}{uuid.uuid4().hex}"
        require_object(self._ask("post", path, {**params, "idempotency_key": key}), "invoice", invoice_id)

    def _ask(self, method: str, path: str, params: Mapping[str, object]) -> object:
        """One request through the SDK; its body read by us, since the SDK would read numbers as floats."""
        try:
            answer = self._sdk.raw_request(method, path, **params)
        except stripe.StripeError as error:
            failure = stripe_failure(error, self._hide)
        else:
            return json_answer(STRIPE, path, answer.body)
        # Raised out here: the SDK's error holds the whole answer, and would stay attached as context.
        raise failure

    def _hide(self, text: str) -> str:
        return hidden(text, (self._key,))


def key_livemode(api_key: str) -> bool:
    """Return whether a key is for live mode, by its prefix. Raises ConfigurationError for what is no secret key."""
    found = _KEY.match(api_key)
    if found is None:
        variable = "STRIPE_API_KEY"
        raise ConfigurationError(
            variable, "is not a secret or restricted key of one Stripe account (sk_live_…, rk_live_…, …)"
        )
    return found[1] == "live"


def segment(an_id: str) -> str:
    """An id as one path segment, whatever it contains; never one that names another path."""
    if not an_id.strip("."):
        message = "an id is needed"
        raise ValueError(message)
    return quote(an_id, safe="")


def rfc3339(at: datetime) -> str:
    """A time as the v2 API takes it, in whole seconds."""
    return f"{floor_to(at, timedelta(seconds=1)):%Y-%m-%dT%H:%M:%SZ}"


def unix(at: datetime) -> int:
    """Whole seconds, as Stripe counts time."""
    return int(floor_to(at, timedelta(seconds=1)).timestamp())
