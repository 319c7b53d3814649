"""Alerts from ``pacspace-stripe serve`` to real receivers, through one that fails and a process that is killed."""

from pathlib import Path

from pacspace_stripe.cli.processes import kill, wait_for
from tests.support.alert_receivers import SECRET, Receiver, receiving
from tests.support.town import PATIENCE, town


def until_got(receiver: Receiver, number: int) -> None:
    """Wait until a receiver has a number of requests."""
    wait_for(f"{number} messages", lambda: len(receiver.requests) >= number, seconds=PATIENCE)


def test_a_drift_and_its_recovery_are_delivered_although_serve_is_killed(tmp_path: Path) -> None:
    with receiving(500, 200) as webhook, receiving() as slack:
        addresses = {
            "alert_webhook_url": webhook.url,
            "alert_webhook_secret": SECRET,
            "alert_slack_url": slack.url,
        }
        with town(tmp_path, seconds=2, **addresses) as place:
            place.stack.serve()
            bill = place.invoiced("100", "90")
            until_got(webhook, 1)
            until_got(slack, 1)
            # A delivery that is not written down yet would be repeated, minutes later.
            place.until_logged("channel=webhook attempt=1 failed")
            place.until_logged("channel=slack attempt=1 delivered")
            kill(place.stack.serving[-1])
            place.stack.serve()
            until_got(webhook, 2)
            place.record(bill.customer, "10")
            until_got(webhook, 3)
            place.until_logged("channel=webhook attempt=1 delivered")
            place.until_logged("channel=slack attempt=1 delivered", times=2)
            place.until_paid(bill)
            listed = place.stack.run("alerts")
            assert "/in/T0123" not in place.log()
    failed, drift, end = webhook.verified()
    assert failed == drift
    assert (drift["type"], drift["invoice"], drift["livemode"]) == ("invoice.drifted", bill.invoice_id, False)
    assert (end["type"], end["invoice"], end["verdict"]) == ("invoice.recovered", bill.invoice_id, "matched")
    assert [body["text"].split("\n")[0] for body in slack.bodies] == [
        f"*Invoice {bill.invoice_id} has drifted*",
        f"*Invoice {bill.invoice_id} has recovered: matched*",
    ]
    assert listed.stdout.count("webhook: delivered") == listed.stdout.count("slack: delivered") == 2
