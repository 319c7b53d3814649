"""The text of an alert: the JSON body of the signed webhook, and Slack's message."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from pacspace_stripe.alerts.rules.alert import Alert, AlertType, kind_word
from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.explain.rules.explanation import Explanation, fingerprint
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.text import printable
from pacspace_stripe.vocabulary.windows import iso

MOST_WINDOWS = 20
"""Windows in one message: receivers expect a few kilobytes. Drifted ones come first; the link leads to the others."""
_LONGEST_TEXT = 1000
"""Characters of one line in Slack, which refuses a block of more than 3,000."""
_DASHBOARD = "https://dashboard.stripe.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftCause:
    """The known cause of a drift: a sentence for people, and the windows of ``explain --json``."""

    sentence: str
    document: list[Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLinks:
    """The links from a message: to Stripe's dashboard, or to the operator's own console if ``console_url`` is set."""

    livemode: bool
    console_url: str | None = None

    def link(self, alert: Alert) -> str | None:
        """Return the page of the invoice, or for a coming one the page of its subscription."""
        if alert.invoice_id:
            path = f"invoices/{alert.invoice_id}"
        elif alert.subscription_id:
            path = f"subscriptions/{alert.subscription_id}"
        else:
            return self.console_url
        return f"{self.console_url or (_DASHBOARD if self.livemode else f'{_DASHBOARD}/test')}/{path}"


def cause_of(alert: Alert, explained: str, explanations: tuple[Explanation, ...]) -> DriftCause | None:
    """Return the stored explanation of an alert's drift, without its days, which are for charts.

    ``explained`` is the fingerprint of the figures that were explained. An explanation of other figures than those of
    the alert explains nothing.
    """
    if not explanations or fingerprint(alert.windows) != explained:
        return None
    more = f" And {len(explanations) - 1} more." if explanations[1:] else ""
    windows = [one.as_json() for one in explanations[:MOST_WINDOWS]]
    document: list[Json] = [{name: value for name, value in one.items() if name != "days"} for one in windows]
    return DriftCause(sentence=sentence(explanations[0]) + more, document=document)


def webhook_body(alert: Alert, links: AlertLinks, cause: DriftCause | None = None) -> bytes:
    """Return the JSON body: ids, figures and sentences, never a secret, a person's name or an address."""
    windows = sorted(alert.windows, key=lambda window: _verdict(window) is Verdict.MATCHED)
    money = alert.amount
    document: dict[str, object] = {
        "type": alert.type.value,
        "id": alert.alert_id,
        "at": iso(alert.at),
        "kind": alert.kind,
        "livemode": links.livemode,
        "invoice": alert.invoice_id,
        "customer": alert.customer_id,
        "subscription": alert.subscription_id,
        "verdict": alert.verdict.value if alert.verdict else None,
        "reason": alert.reason.value if alert.reason else None,
        "detail": alert.detail,
        "amount_due": {"amount": money.amount, "currency": money.currency, "written": money.plain} if money else None,
        "windows": [dict(window) for window in windows[:MOST_WINDOWS]],
        "more_windows": max(0, len(windows) - MOST_WINDOWS),
        "explanation": {"sentence": cause.sentence, "windows": cause.document} if cause else None,
        "left_out": alert.left_out,
        "link": links.link(alert),
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def slack_body(alert: Alert, links: AlertLinks, cause: DriftCause | None = None) -> bytes:
    """Return Slack's body: text for the notification, blocks for the channel.

    Services that accept Slack's format but ignore blocks, such as Mattermost, read the text.
    """
    lines = [f"*{escaped(headline(alert))}*", *map(escaped, _lines(alert, cause))]
    link = links.link(alert)
    if link:
        lines.append(f"<{escaped(link)}|Open {'it' if links.console_url else 'in Stripe'}>")
    text = "\n".join(lines)
    # Verbatim: otherwise Slack turns addresses and names in a vendor's message into links and mentions.
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
    return json.dumps({"text": text, "blocks": [section]}, ensure_ascii=False).encode()


def headline(alert: Alert) -> str:
    """Return the first line of a message."""
    who = f"Invoice {alert.invoice_id}" if alert.invoice_id else f"The coming invoice of {alert.subscription_id}"
    what = kind_word(alert.kind).replace("_", " ")
    return _HEADLINES[alert.type].format(who=who, what=what, verdict=alert.verdict or Verdict.MATCHED)


_HEADLINES = {
    AlertType.DRIFTED: "{who} has drifted",
    AlertType.BLOCKED: "{who} is blocked: it has drifted already",
    AlertType.UNPROVEN: "{who} is still unproven",
    AlertType.WENT_OUT_UNPROVEN: "{who} went out unproven",
    AlertType.RECOVERED: "{who} has recovered: {verdict}",
    AlertType.ATTENTION: "{who} needs attention: {what}",
    AlertType.TEST: "A test of pacspace-stripe's alerts: nothing happened",
}


def escaped(text: str) -> str:
    """Return one line in which Slack reads no link, mention or entity that is not ours."""
    shown = [_ENTITIES.get(character, character) for character in printable(" ".join(text.split()))]
    room = sum(length <= _LONGEST_TEXT for length in accumulate(map(len, shown)))
    return "".join(shown[:room])


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def _lines(alert: Alert, cause: DriftCause | None) -> Iterator[str]:
    if alert.detail:
        yield alert.detail
    if cause:
        yield cause.sentence
    facts = [f"{alert.amount} due"] if alert.amount else []
    facts += [alert.customer_id] if alert.customer_id else []
    facts += [alert.reason.value] if alert.reason else []
    if facts:
        yield " · ".join(facts)
    if alert.left_out:
        yield f"{alert.left_out} more like this were not sent, because the invoice is flapping"


def _verdict(window: Mapping[str, str | int | None]) -> Verdict | None:
    reason = window.get("reason")
    return Reason(reason).verdict if isinstance(reason, str) and reason in set(Reason) else None
