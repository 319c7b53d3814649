"""``capacity``: how long the gate takes for a number of renewals. Needs no settings, except to measure latencies."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import click

from pacspace_stripe.capacity.rules.forecast import LEDGER_CALLS, WORKERS, Anchor, Forecast, Load, forecast
from pacspace_stripe.cli.arguments import setting_value
from pacspace_stripe.cli.output import JSON_OPTION, echo_json
from pacspace_stripe.cli.session import parts
from pacspace_stripe.http.ratelimit.rules.rate import STRIPE_LIVE, Rate
from pacspace_stripe.settings import parsers
from pacspace_stripe.settings.parsers import duration, duration_of, duration_text
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.ledger import LedgerProtocol
from pacspace_stripe.vocabulary.policy import FailPolicy
from pacspace_stripe.vocabulary.text import plural
from pacspace_stripe.vocabulary.windows import Window

_NO_ACCOUNT = "pacspace-stripe-capacity"
"""A ledger account that does not exist: reading it costs what any read costs, and finds nothing."""
_SECOND, _LONGEST_GRACE = timedelta(seconds=1), timedelta(hours=72)


def _grace(written: str) -> timedelta:
    """Return a finalization grace period that Stripe takes (FACTS 2.1). Raises ValueError."""
    value = duration_of(at_least=timedelta(hours=1))(written)
    if value > _LONGEST_GRACE:
        message = "is longer than Stripe allows, 72h"
        raise ValueError(message)
    return value


@click.command()
@click.option("--invoices", type=click.IntRange(1, 10**9), required=True, help="Renewals in a month.")
@click.option(
    "--anchor",
    type=click.Choice([anchor.value for anchor in Anchor]),
    default=Anchor.FIRST_OF_MONTH.value,
    show_default=True,
    help="Whether the renewals come evenly over the month, or all at one moment.",
)
@click.option(
    "--grace", default="1h", show_default=True, callback=setting_value(_grace), help="Stripe's finalization wait."
)
@click.option(
    "--settle", default="10m", show_default=True, callback=setting_value(duration), help="PACSPACE_STRIPE_SETTLE."
)
@click.option(
    "--backstop",
    default="24h",
    show_default=True,
    callback=setting_value(duration_of(at_least=_SECOND)),
    help="PACSPACE_STRIPE_BACKSTOP.",
)
@click.option(
    "--rate",
    default=str(STRIPE_LIVE),
    show_default=True,
    callback=setting_value(parsers.rate),
    help="Stripe's limits, <per endpoint>/<in all>; 25/25 in test mode.",
)
@click.option(
    "--stripe-latency",
    default="300ms",
    show_default=True,
    callback=setting_value(duration),
    help="Stripe's time from a request to its answer.",
)
@click.option(
    "--ledger-latency",
    default="200ms",
    show_default=True,
    callback=setting_value(duration),
    help="PacSpace's time from a request to its answer.",
)
@click.option("--measure", is_flag=True, help="Measure both latencies first: six reads of each vendor.")
@JSON_OPTION
def capacity(
    *,
    invoices: int,
    anchor: str,
    grace: timedelta,
    settle: timedelta,
    backstop: timedelta,
    rate: Rate,
    stripe_latency: timedelta,
    ledger_latency: timedelta,
    measure: bool,
    as_json: bool,
) -> None:
    """Show how long the gate takes for a number of renewals, whether that is in time, and what to change."""
    if measure:
        stripe_latency, ledger_latency = measured()
    load = Load(
        invoices=invoices,
        anchor=Anchor(anchor),
        rate=rate,
        grace=grace,
        settle=settle,
        backstop=backstop,
        stripe_latency=stripe_latency,
        ledger_latency=ledger_latency,
    )
    forecasts = [forecast(load, policy) for policy in (FailPolicy.CLOSED, FailPolicy.OPEN)]
    if as_json:
        echo_json(_document(load, forecasts))
    else:
        _show(load, forecasts)


def measured() -> tuple[timedelta, timedelta]:
    """Measure how long Stripe and PacSpace take to answer a read. Raises ConfigurationError and RemoteError."""
    now = datetime.now(UTC)
    with parts() as app:
        window = Window(start=now - timedelta(days=1), end=now)
        settlement = app.settings.ledger is LedgerProtocol.SETTLEMENT
        ledger = (
            partial(app.ledger.record, _NO_ACCOUNT) if settlement else partial(app.ledger.derive, _NO_ACCOUNT, window)
        )
        return _median(lambda: next(app.stripe.list_invoices(created_since=now), None)), _median(ledger)


def _median(ask: Callable[[], object]) -> timedelta:
    """Return the median of five requests, to the millisecond; a sixth before them opens the connection."""
    took = []
    for _ in range(6):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return timedelta(milliseconds=max(1, round(statistics.median(took[1:]) * 1000)))


def assumptions(load: Load) -> tuple[str, ...]:
    """Return the assumptions that the figures rest on."""
    together = "one moment" if load.anchor is Anchor.FIRST_OF_MONTH else "even intervals over 30 days"
    stripe, ledger = duration_text(load.stripe_latency), duration_text(load.ledger_latency)
    calls = f"a first check makes 2 calls of Stripe; a second 5 (closed) or 2 (open), and {LEDGER_CALLS} of PacSpace"
    return (
        f"drafts are made at {together}, their webhooks arrive at once, and nothing else uses these limits",
        "every invoice matches at its second check, has one page of lines, and its prices and meters are known",
        f"{calls}; open confirms with 1 more",
        f"Stripe answers in {stripe}, PacSpace in {ledger}, which publishes no limit and is taken to have none",
        f"a process makes {WORKERS} first and {WORKERS} second checks at once; all processes share one PostgreSQL",
    )


def _show(load: Load, forecasts: list[Forecast]) -> None:
    when = "all at one moment" if load.anchor is Anchor.FIRST_OF_MONTH else "evenly over the month"
    click.secho(f"{plural(load.invoices, 'renewal')}, {when}", bold=True)
    click.echo(f"Stripe's limits {load.rate} a second, finalization after {duration_text(load.grace)}")
    for found in forecasts:
        click.echo("")
        click.secho(f"{found.policy.value}: {'in time' if found.fits else 'NOT in time'}", bold=True)
        for name, value in _lines(found, "last" if load.anchor is Anchor.FIRST_OF_MONTH else "each"):
            click.echo(f"  {name:<26} {value}")
        for advice in found.advice:
            click.echo(f"  -> {advice}")
    click.echo("\nThis assumes:")
    for assumption in assumptions(load):
        click.echo(f"  - {assumption}")


def _lines(found: Forecast, which: str) -> list[tuple[str, str]]:
    secured = f"{which} draft {'held' if found.policy is FailPolicy.CLOSED else 'postponed'}"
    missed = f"; {found.missed:,} {'is' if found.missed == 1 else 'are'} finalized before" if found.missed else ""
    return [
        ("calls of Stripe", f"{found.calls:,} per invoice, at most {found.per_second:.2g} invoices a second"),
        ("what limits them", found.bottleneck),
        (secured, f"after {_time(found.secured_after)}, to be in time after {_time(found.window)}{missed}"),
        (f"{which} matched one leaves", f"after {_time(found.leaves_after)}"),
        ("processes", f"{found.processes:,}, more do not help"),
    ]


def _time(value: timedelta) -> str:
    """Return a duration to the minute, or below ten minutes to the second."""
    unit = timedelta(minutes=1) if value >= timedelta(minutes=10) else _SECOND
    return duration_text(max(_SECOND, round(value / unit) * unit))


def _document(load: Load, forecasts: list[Forecast]) -> Json:
    return {
        "invoices": load.invoices,
        "anchor": load.anchor.value,
        "rate": str(load.rate),
        "grace_seconds": round(load.grace.total_seconds()),
        "policies": {found.policy.value: found.as_json() for found in forecasts},
        "assumptions": list(assumptions(load)),
    }
