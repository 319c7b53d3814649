"""``alerts``: the newest alerts, their deliveries, and a test message."""

import sys
import uuid

import click

from pacspace_stripe.alerts.rules.alert import Alert
from pacspace_stripe.app import App
from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line, echo_table
from pacspace_stripe.cli.session import database, parts
from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.store import AlertDelivery, SentAlert
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.windows import iso


@click.command()
@click.option("--failed", is_flag=True, help="Only alerts that did not arrive at an address, after every attempt.")
@click.option("--test", "testing", is_flag=True, help="Send a test message to every address that is set, now.")
@JSON_OPTION
def alerts(*, failed: bool, testing: bool, as_json: bool) -> None:
    """List the newest alerts and their deliveries, or send a test message.

    `serve` sends the messages. Exit code 1: the test message did not arrive at every address.
    """
    if testing:
        _test(as_json=as_json)
        return
    with database() as store:
        sent = store.alerts.sent(failed=failed)
    if as_json:
        echo_json([_as_json(one) for one in sent])
    elif sent:
        rows: list[tuple[str, ...]] = [
            (
                iso(one.alert.at.replace(microsecond=0)),
                one.alert.kind,
                one.alert.job_id,
                "; ".join(map(_delivery, one.deliveries)) or "log only",
                one.alert.detail,
            )
            for one in sent
        ]
        echo_table(("at", "alert", "about", "delivered", "detail"), rows)
    else:
        click.echo("no alert failed" if failed else "no alerts")


def _test(*, as_json: bool) -> None:
    with parts() as app:
        problems = _test_messages(app)
    if as_json:
        echo_json(
            [{"channel": channel, "delivered": problem is None, "problem": problem} for channel, problem in problems]
        )
    else:
        for channel, problem in problems:
            echo_line(f"{channel}: {problem or 'delivered'}")
    sys.exit(1 if any(problem for _, problem in problems) else 0)


def _test_messages(app: App) -> list[tuple[str, str | None]]:
    """Send a test message over each channel and return what went wrong there. Raises ConfigurationError for none."""
    senders = app.alert_senders()
    if not senders:
        variable = "PACSPACE_STRIPE_ALERT_WEBHOOK_URL"
        problem = "is not set, and neither is PACSPACE_STRIPE_ALERT_SLACK_URL: alerts go to the log alone"
        raise ConfigurationError(variable, problem, hint="Set one of them, then try again.")
    problems: list[tuple[str, str | None]] = []
    for sender in senders:
        alert = Alert(alert_id=f"msg_{uuid.uuid4().hex}", job_id="-", kind="test", at=app.now())
        problems.append((sender.receiver.channel.value, sender.test(alert).problem))
        sender.close()
    return problems


def _delivery(delivery: AlertDelivery) -> str:
    state = f"{delivery.channel}: {delivery.state}"
    return f"{state} after {delivery.attempts}, {delivery.problem}" if delivery.problem else state


def _as_json(sent: SentAlert) -> dict[str, Json]:
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
                "channel": delivery.channel.value,
                "state": delivery.state.value,
                "attempts": delivery.attempts,
                "tried_at": iso(delivery.tried_at) if delivery.tried_at else None,
                "next_at": iso(delivery.due_at) if delivery.due_at else None,
                "problem": delivery.problem,
            }
            for delivery in sent.deliveries
        ],
    }
