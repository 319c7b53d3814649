"""Alerts as messages: the JSON body of the signed webhook, and Slack's."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from pacspace_stripe.alerts.rules.throttle import Alert, Type, head
from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.explain.rules.explanation import Explanation, fingerprint
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.text import printable
from pacspace_stripe.vocabulary.windows import iso

MOST_WINDOWS = 20
"""Windows in one message: receivers expect a few kilobytes. The worst come first; the link leads to the others."""
_LONGEST_TEXT = 1000
"""Characters of one line in Slack, which refuses a block of more than 3,000."""
_DASHBOARD = "https://dashboard.stripe.com"

Shown = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What a drift comes from, as far as that was found out: for a person, and as ``explain --json`` has it."""

    sentence: str
    document: list[Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the reader of a message goes on. ``console_url``: pages of your own, in the place of Stripe's dashboard."""

    livemode: bool
    console_url: str | None = None

    def link(self, alert: Alert) -> str | None:
        """The page of the invoice; of a coming one, that of its subscription."""
        path = _path(alert)
        if path is None:
            return self.console_url
        return f"{self.console_url or (_DASHBOARD if self.livemode else f'{_DASHBOARD}/test')}/{path}"


def why_of(alert: Alert, explained: str, explanations: tuple[Explanation, ...]) -> Why | None:
    """What is stored about its job, if it is about the figures of this alert. ``explained``: their fingerprint.

    Without the days: those are for a chart.
    """
    if not explanations or fingerprint(alert.windows) != explained:
        return None
    more = f" And {len(explanations) - 1} more." if explanations[1:] else ""
    told = [one.as_json() for one in explanations[:MOST_WINDOWS]]
    document: list[Json] = [{name: value for name, value in one.items() if name != "days"} for one in told]
    return Why(sentence=sentence(explanations[0]) + more, document=document)


def _path(alert: Alert) -> str | None:
    if alert.invoice_id:
        return f"invoices/{alert.invoice_id}"
    return f"subscriptions/{alert.subscription_id}" if alert.subscription_id else None


def webhook_body(alert: Alert, place: Place, why: Why | None = None) -> bytes:
    """Ids, figures and words; never a secret, a name or an address of anybody."""
    windows = _worst_first(alert.windows)
    money = alert.amount
    document: dict[str, object] = {
        "type": alert.type.value,
        "id": alert.alert_id,
        "at": iso(alert.at),
        "kind": alert.kind,
        "livemode": place.livemode,
        "invoice": alert.invoice_id,
        "customer": alert.customer_id,
        "subscription": alert.subscription_id,
        "verdict": alert.verdict.value if alert.verdict else None,
        "reason": alert.reason.value if alert.reason else None,
        "detail": alert.detail,
        "amount_due": {"amount": money.amount, "currency": money.currency, "written": money.plain} if money else None,
        "windows": [dict(window) for window in windows[:MOST_WINDOWS]],
        "more_windows": max(0, len(windows) - MOST_WINDOWS),
        "explanation": {"sentence": why.sentence, "windows": why.document} if why else None,
        "left_out": alert.left_out,
        "link": place.link(alert),
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def slack_body(alert: Alert, place: Place, why: Why | None = None) -> bytes:
    """Text for a notification, blocks for the channel. Also what speaks Slack's language takes it, reading the text."""
    lines = [f"*{escaped(headline(alert))}*", *map(escaped, _lines(alert, why))]
    link = place.link(alert)
    if link:
        lines.append(f"<{escaped(link)}|Open {'it' if place.console_url else 'in Stripe'}>")
    text = "\n".join(lines)
    # Verbatim: else Slack makes links of addresses and mentions of names, wherever they stand in what a vendor said.
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
    return json.dumps({"text": text, "blocks": [section]}, ensure_ascii=False).encode()


def headline(alert: Alert) -> str:
    """What happened, in one line."""
    who = f"Invoice {alert.invoice_id}" if alert.invoice_id else f"The coming invoice of {alert.subscription_id}"
    what = head(alert.kind).replace("_", " ")
    return _HEADLINES[alert.type].format(who=who, what=what, verdict=alert.verdict or Verdict.MATCHED)


_HEADLINES = {
    Type.DRIFTED: "{who} has drifted",
    Type.BLOCKED: "{who} is blocked: it has drifted already",
    Type.UNPROVEN: "{who} is still unproven",
    Type.WENT_OUT_UNPROVEN: "{who} went out unproven",
    Type.RECOVERED: "{who} has recovered: {verdict}",
    Type.ATTENTION: "{who} needs a look: {what}",
    Type.TEST: "A test of pacspace-stripe's alerts: nothing happened",
}


def escaped(text: str) -> str:
    """One line in which Slack sees no link, mention or entity that is not ours."""
    shown = [_ENTITIES.get(character, character) for character in printable(" ".join(text.split()))]
    room = sum(length <= _LONGEST_TEXT for length in accumulate(map(len, shown)))
    return "".join(shown[:room])


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def _lines(alert: Alert, why: Why | None) -> Iterator[str]:
    if alert.detail:
        yield alert.detail
    if why:
        yield why.sentence
    facts = [f"{alert.amount} due"] if alert.amount else []
    facts += [alert.customer_id] if alert.customer_id else []
    facts += [alert.reason.value] if alert.reason else []
    if facts:
        yield " · ".join(facts)
    if alert.left_out:
        yield f"{alert.left_out} more like this were left out: it goes back and forth"


def _worst_first(windows: tuple[Shown, ...]) -> list[Shown]:
    return sorted(windows, key=lambda window: _reason(window) is Verdict.MATCHED)


def _reason(window: Shown) -> Verdict | None:
    said = window.get("reason")
    return Reason(said).verdict if isinstance(said, str) and said in set(Reason) else None
