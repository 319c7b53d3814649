"""Stripe's reports on meter events that it rejected after it had accepted them (FACTS 12.7)."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from pacspace_stripe.explain.rules.rejections import RejectedSample, Rejection, RejectionReport
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.http.calls import shortened
from pacspace_stripe.stripe_api.calls import Calls, rfc3339
from pacspace_stripe.stripe_api.prices import stripe_object
from pacspace_stripe.stripe_api.rows import readable
from pacspace_stripe.vocabulary.webhooks import METER_TYPES

_THIN_EVENT = "v2.core.event"
_LONGEST_CODE = 128
_SAMPLES = 5
"""Rejected meter events of one code that are kept: Stripe itself sends a few of many."""


def rejection_reports(calls: Calls, created_since: datetime) -> Iterator[RejectionReport]:
    """Yield every report that can be read; then raise UnexpectedAnswer if there was one that cannot."""
    types = [f"v1.{kind.value}" for kind in METER_TYPES]
    rows = calls.pages_of_v2("/v2/core/events", types=types, created={"gte": rfc3339(created_since)})
    yield from readable(rows, rejections_from_stripe)


def rejections_from_stripe(data: object) -> RejectionReport:
    """Read one report. What it counts and explains with no code is kept under the code ``unknown``."""
    event = stripe_object(data, _THIN_EVENT)
    details = event.fields("data")
    reason, related = details.fields("reason"), event.optional_fields("related_object")
    start, end = details.optional_written_at("validation_start"), details.optional_written_at("validation_end")
    at = event.optional_written_at("created")
    if start is None or end is None or at is None:
        event.reject("data", "names no time")
    kinds = list(reason.items("error_types"))
    counts, samples = Counter[str](), dict[str, tuple[RejectedSample, ...]]()
    for kind in kinds:
        code = kind.text("code")[:_LONGEST_CODE]
        counts[code] += kind.integer("error_count")
        samples[code] = samples.get(code, ()) + _samples(kind)
    counts["unknown"] += max(reason.integer("error_count") - counts.total(), 0)
    return RejectionReport(
        event_id=event.text("id"),
        at=at,
        meter_id=related.text("id") if related else None,
        rejections=tuple(
            Rejection(
                event_id=event.text("id"),
                at=at,
                meter=None,
                start=start,
                end=end,
                code=code,
                count=count,
                samples=samples.get(code, ())[:_SAMPLES],
            )
            for code, count in counts.items()
            if count or len(counts) == 1
        ),
    )


def _samples(kind: Fields) -> tuple[RejectedSample, ...]:
    found = kind.items("sample_errors") if kind.data.get("sample_errors") is not None else []
    return tuple(
        RejectedSample(
            identifier=shortened(each.fields("request").optional_text("identifier") or "-"),
            message=shortened(each.optional_text("error_message") or "-"),
        )
        for each in found[:_SAMPLES]
    )
