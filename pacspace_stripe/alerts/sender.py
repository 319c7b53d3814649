"""One attempt to deliver one message.

Nothing of the vendors goes along: neither a key nor a cookie. A redirect is not followed, and nothing is tried again
here: that is the outbox's. The receiver may be on this machine or in a private network; its address is a secret.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

from standardwebhooks import Webhook

from pacspace_stripe.alerts.rules.messages import Place, Why, slack_body, webhook_body
from pacspace_stripe.alerts.rules.throttle import Alert, Channel
from pacspace_stripe.errors import RemoteError
from pacspace_stripe.http.calls import Answer, Call
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.text import printable

_LARGEST_ANSWER = 64 * 1024
_LONGEST_SAID = 200
_SHORTEST_SECRET = 8
"""Characters: a shorter part of an address is a word."""
_SUCCESS = range(200, 300)


def patience() -> Timeouts:
    """Short: who takes longer gets the message again, and has to know it by its id."""
    return Timeouts(connect=3.0, read=6.0, total=8.0, tries=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where a channel leads. ``secrets``: what messages are signed with; none for Slack, whose address is secret."""

    channel: Channel
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def fingerprint(self) -> str:
        """What tells this address from another, and does not give it away."""
        return digest(self.url.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of it. ``status`` None: no answer; ``asked``: how long the receiver wishes us to wait."""

    status: int | None
    problem: str | None = None
    asked: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Makes a message of an alert, signs and posts it. ``why``: what is known of the drift it tells."""

    transport: Transport
    place: Place
    now: Callable[[], datetime]
    why: Callable[[Alert], Why | None]

    def send(self, alert: Alert, receiver: Receiver) -> Attempt:
        """Post it once."""
        why = self.why(alert)
        if receiver.channel is Channel.SLACK:
            return self._posted(receiver, slack_body(alert, self.place, why), {})
        body = webhook_body(alert, self.place, why)
        return self._posted(receiver, body, signed(alert.alert_id, self.now(), body, receiver.secrets))

    def _posted(self, receiver: Receiver, body: bytes, headers: dict[str, str]) -> Attempt:
        call = Call(
            service=f"alerts to {receiver.channel}",
            method="POST",
            url=receiver.url,
            endpoint="POST",
            headers={"content-type": "application/json", "user-agent": "pacspace-stripe", **headers},
            content=body,
            repeatable=False,
            secrets=tuple(_secret_parts(receiver.url)),
            largest_body=_LARGEST_ANSWER,
        )
        try:
            answer = self.transport.send(call)
        except RemoteError as error:
            # An answer that is too large is one.
            problem = None if error.status in _SUCCESS else str(error)
            return Attempt(status=error.status, problem=problem, asked=error.retry_after)
        problem = None if answer.status in _SUCCESS else f"HTTP {answer.status}{_said(answer)}"
        return Attempt(status=answer.status, problem=problem)


def signed(message_id: str, at: datetime, body: bytes, secrets: tuple[str, ...]) -> dict[str, str]:
    """The headers of Standard Webhooks: one signature per secret, so that one can be rolled."""
    signatures = (Webhook(secret).sign(message_id, at, body.decode()) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _said(answer: Answer) -> str:
    """What a receiver says of its refusal, in JSON or in a word, as Slack does: ``, no_service``."""
    if answer.said.suffix:
        return answer.said.suffix
    text = answer.hide(answer.body.decode(errors="replace"))
    short = printable(" ".join(text.split()))
    return f", {short}" if short and len(short) <= _LONGEST_SAID and "<" not in short else ""


def _secret_parts(url: str) -> Iterator[str]:
    """The address, and each part of it that gives it away alone: as it is written, and as a receiver reads it."""
    parts = urlsplit(url)
    yield url
    login = f"{parts.username}:{parts.password}" if parts.password else ""
    values = (value for _, value in parse_qsl(parts.query))
    for part in (*parts.path.split("/"), parts.query, *values, parts.username, parts.password, login, parts.path):
        if part and len(part) >= _SHORTEST_SECRET:
            yield from (part, unquote(part))
