"""``alerts``: what people were told, whether it arrived, and whether it would."""

import sys
import uuid

import click

from pacspace_stripe.alerts.rules.throttle import Alert
from pacspace_stripe.app import App
from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line, echo_table
from pacspace_stripe.cli.wiring import database, parts
from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.store import Delivery, Sent
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.windows import iso


@click.command()
@click.option("--failed", is_flag=True, help="Only those that did not arrive somewhere, after every attempt.")
@click.option("--test", "testing", is_flag=True, help="Send a test message to every address that is set, now.")
@JSON_OPTION
def alerts(*, failed: bool, testing: bool, as_json: bool) -> None:
    """List the newest alerts and what became of their messages, or send a test message.

    Messages are sent by `serve`. Exit code 1: the test message did not arrive everywhere.
    """
    if testing:
        _test(as_json=as_json)
        return
    with database() as store:
        sent = store.outbox.sent(failed=failed)
    if as_json:
        echo_json([_as_json(one) for one in sent])
    elif sent:
        rows = [_row(one) for one in sent]
        echo_table(("at", "alert", "about", "delivered", "detail"), rows)
    else:
        click.echo("no alert failed" if failed else "no alerts")


def _test(*, as_json: bool) -> None:
    with parts() as app:
        tried = _tried(app)
    if as_json:
        echo_json(
            [{"channel": channel, "delivered": problem is None, "problem": problem} for channel, problem in tried]
        )
    else:
        for channel, problem in tried:
            echo_line(f"{channel}: {problem or 'delivered'}")
    sys.exit(1 if any(problem for _, problem in tried) else 0)


def _tried(app: App) -> list[tuple[str, str | None]]:
    """Each channel, and what went wrong there."""
    couriers = app.couriers()
    if not couriers:
        variable = "PACSPACE_STRIPE_ALERT_WEBHOOK_URL"
        problem = "is not set, and neither is PACSPACE_STRIPE_ALERT_SLACK_URL: alerts go to the log alone"
        raise ConfigurationError(variable, problem, hint="Set one of them, then try again.")
    tried: list[tuple[str, str | None]] = []
    for courier in couriers:
        alert = Alert(alert_id=f"msg_{uuid.uuid4().hex}", job_id="-", kind="test", at=app.now())
        tried.append((courier.receiver.channel.value, courier.test(alert).problem))
        courier.close()
    return tried


def _row(sent: Sent) -> tuple[str, ...]:
    alert = sent.alert
    ways = "; ".join(map(_way, sent.deliveries)) or "log only"
    return iso(alert.at.replace(microsecond=0)), alert.kind, alert.job_id, ways, alert.detail


def _way(delivery: Delivery) -> str:
    said = f"{delivery.channel}: {delivery.state}"
    return f"{said} after {delivery.attempts}, {delivery.problem}" if delivery.problem else said


def _as_json(sent: Sent) -> dict[str, Json]:
    alert = sent.alert
    return {
        "id": alert.alert_id,
        "type": alert.type.value,
        "kind": alert.kind,
        "at": iso(alert.at),
        "about": alert.job_id,
        "detail": alert.detail,
        "left_out": alert.left_out,
        "deliveries": [
            {
                "channel": way.channel.value,
                "state": way.state.value,
                "attempts": way.attempts,
                "tried_at": iso(way.tried_at) if way.tried_at else None,
                "next_at": iso(way.due_at) if way.due_at else None,
                "problem": way.problem,
            }
            for way in sent.deliveries
        ],
    }
