"""Results of checks, printed for people and as JSON, and the exit code that they lead to."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pacspace_stripe.cli.output import echo_json, echo_line, echo_table, moment, quantity
from pacspace_stripe.comparison.rules.reconcile import without_retry_time
from pacspace_stripe.comparison.rules.verdicts import NOTHING_METERED
from pacspace_stripe.errors import RemoteError
from pacspace_stripe.gate.rules.result import CheckResult


def report_results(
    found: CheckResult | list[CheckResult],
    *,
    as_json: bool,
    planned: bool = False,
    failure: RemoteError | None = None,
) -> None:
    """Print one result, as one JSON object, or a list of results, as a list; then exit. Raises ``failure`` instead."""
    results = found if isinstance(found, list) else [found]
    if as_json:
        echo_json([result.as_json() for result in found] if isinstance(found, list) else found.as_json())
    else:
        for result in results:
            echo_result(result, planned=planned)
    if failure is not None:
        raise failure
    sys.exit(exit_code(results))


def exit_code(results: list[CheckResult]) -> int:
    """Return 0 if every invoice matched or bills no usage, and 1 if any drifted or is unproven."""
    return 0 if all(result.good for result in results) else 1


def echo_result(result: CheckResult, *, planned: bool) -> None:
    """Print one result for people: the verdict, both figures per window, then the writes, done or ``planned``."""
    metered = result.verdict is not None or result.detail != NOTHING_METERED
    verdict = result.verdict.value if result.verdict else "not judged" if metered else NOTHING_METERED
    reason = f" ({result.reason.value})" if result.reason else ""
    echo_line(f"{result.invoice_id}  {result.status}  {verdict}{reason}", bold=True)
    if not metered:
        echo_line("  Nothing on it bills usage: it is not held, and Stripe goes on with it as planned.")
    elif result.detail:
        # The detail names the next check as it was planned then; the line below names it as it is planned now.
        echo_line(f"  {without_retry_time(result.detail)}")
    for window in result.windows:
        if "sentence" in window:
            echo_line(f"  {window['sentence']}")
    echo_windows(result.windows)
    for window in result.windows:
        if window.get("proof_root"):
            echo_line(f"  {window['meter']} up to {window['end']}: proof root {window['proof_root']}")
    _echo_beside("The early warning said", result.early_warning)
    _echo_beside("Compared now, before the gate does", result.so_far)
    for step in result.steps:
        echo_line(f"  {'would ' if planned else 'did: '}{step}")
    if result.next_check_at:
        label = "would check again at" if planned else "next check"
        echo_line(f"  {label} {result.next_check_at:%Y-%m-%d %H:%M:%S} UTC")


def _echo_beside(title: str, other: CheckResult | None) -> None:
    if other is not None:
        echo_line(f"  {title}:")
        echo_result(replace(other, next_check_at=None), planned=True)


def echo_windows(windows: Iterable[Mapping[str, object]]) -> None:
    """Print both figures of each window, in the shape that evidence and check results give them."""
    echo_table(
        ("account", "meter", "from (UTC)", "to", "billed", "recorded", "records", "reason"),
        [
            (
                *(str("-" if window[name] is None else window[name]) for name in ("account", "meter")),
                *(moment(window[name]) for name in ("start", "end")),
                *(quantity(window[name]) for name in ("billed", "recorded", "count")),
                str("-" if window["reason"] is None else window["reason"]),
            )
            for window in windows
        ],
        right=frozenset({"billed", "recorded", "records"}),
    )
