"""What PacSpace says of us: plan, limits, sequence gaps, and the webhooks it sent (CONTRACT 3.12)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pacspace_stripe.http.answers import Fields
from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.calls import Calls
from pacspace_stripe.pacspace_api.envelope import check_same, count_of, text_of, total_of
from pacspace_stripe.pacspace_api.parsing import gaps_of
from pacspace_stripe.pacspace_api.records import plain, rows_of, sequence_of, status_word
from pacspace_stripe.pacspace_api.results import DeliveryStatus

_LAST = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How much of the plan is left (CONTRACT 3.12), in deltas. ``body`` is all that came, numbers exact."""

    allowed: bool | None
    """Whether a further delta would be taken."""
    remaining: int | None
    consumed: int | None
    limit: int | None
    body: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far one request may look."""

    scope_months: int | None
    last_days: int | None
    retention_days: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Sequence numbers without a record, from ``first`` to ``last``."""

    first: int | None
    last: int | None
    missing: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """Where a customer's sequence numbers have holes. 0: none, so no record is missing."""

    count: int
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """What became of a webhook that PacSpace sent. Its shape is not published: ``body`` is what came."""

    event_id: str | None
    event: str | None
    """Such as ``delta.verified``."""
    status: DeliveryStatus
    attempts: int | None
    body: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """Some of the deliveries there are."""

    deliveries: tuple[WebhookDelivery, ...]
    total: int


class TenantApi:
    """``PacSpace.tenant``. Thread-safe. Raises InvalidInput before anything is sent, RemoteError's children after."""

    def __init__(self, calls: Calls, new_key: Callable[[], str]) -> None:
        self._calls = calls
        self._new_key = new_key

    def usage(self) -> Usage:
        """How much of the plan is left."""
        data = self._calls.usage()
        return Usage(
            allowed=data.optional_flag("allowed"),
            remaining=data.optional_integer("remaining"),
            consumed=data.optional_integer("consumed"),
            limit=data.optional_integer("limit"),
            body=plain(data),
        )

    def limits(self) -> Limits:
        """How far one request may look."""
        data = self._calls.limits()
        return Limits(
            scope_months=data.optional_integer("maxScopeMonths"),
            last_days=data.optional_integer("maxLastNDays"),
            retention_days=data.optional_integer("maxRetentionDays"),
        )

    def gaps(
        self, customer_id: str, *, first: int | None = None, last: int | None = None, limit: int | None = None
    ) -> Gaps:
        """Holes in a customer's sequence numbers, between two of them if wanted."""
        wishes = {"fromSequence": first, "toSequence": last, "limit": limit}
        query = {
            name: inputs.whole(name, value, least=0, most=_LAST) for name, value in wishes.items() if value is not None
        }
        data = self._calls.gaps(inputs.customer_id(customer_id), query)
        check_same(data, "customerId", customer_id)
        count = gaps_of(data)
        listed = isinstance(data.data.get("gaps"), list)
        return Gaps(count=count, gaps=tuple(map(_gap, rows_of(data, "gaps"))) if listed else ())

    def webhook_deliveries(self, *, status: str | None = None, limit: int = 50, offset: int = 0) -> DeliveryPage:
        """The webhooks PacSpace sent, or tried to."""
        query = {
            "limit": inputs.whole("limit", limit, least=1, most=100),
            "offset": inputs.whole("offset", offset, least=0, most=_LAST),
        }
        if status is not None:
            query["status"] = inputs.text("status", status)
        data = self._calls.webhook_deliveries(query)
        rows = tuple(map(_delivery, data.items("webhooks")))
        return DeliveryPage(deliveries=rows, total=total_of(data, unnamed=len(rows)))

    def retry_webhook(self, event_id: str) -> WebhookDelivery:
        """Have PacSpace send a webhook again. NotFound for an event it does not know."""
        return _delivery(self._calls.retry_webhook(inputs.text("event_id", event_id), key=self._new_key()))


def _gap(row: Fields) -> Gap:
    return Gap(
        first=sequence_of(row, "fromSequence"),
        last=sequence_of(row, "toSequence"),
        missing=count_of(row, "missingCount"),
    )


def _delivery(row: Fields) -> WebhookDelivery:
    return WebhookDelivery(
        event_id=text_of(row, "eventId", "id"),
        event=text_of(row, "event", "eventType"),
        status=DeliveryStatus(status_word(row)),
        attempts=count_of(row, "attempts", "attemptCount"),
        body=plain(row),
    )
