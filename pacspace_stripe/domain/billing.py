"""What one invoice bills: its metered lines per meter, window and ledger account, and the figures that name them.

Pure. Every metered line is mapped and recognised first; what is not, is a problem of its own and never a guess.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from pacspace_stripe.domain.invoices import Formula, Invoice, LineItem, Meter, Price, UsageType
from pacspace_stripe.domain.quantities import equal, text, total
from pacspace_stripe.domain.verdicts import BilledLine, Finding, Reason, WindowResult
from pacspace_stripe.domain.windows import Window

ACCOUNT_METADATA_KEY = "pacspace_customer_id"
_ACCOUNT = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""PacSpace's rule for a ``customerId`` (pacspace-api 1.9)."""
_SUMMED = (Formula.SUM, Formula.COUNT)
"""Aggregations that a ledger's sum of records can agree with."""
SHARED_ACCOUNT = "several meters share this ledger account"


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledUsage:
    """What one invoice bills for one meter and window, before the ledger is asked."""

    meter: str
    meter_id: str | None
    window: Window | None
    account: str | None
    quantity: Decimal | None
    lines: tuple[BilledLine, ...]
    problem: Reason | None = None
    detail: str = ""
    by_record: bool = False
    """``account`` is the key of a settlement record: see ``domain.records``."""
    split_for: str | None = None
    """The Stripe customer, where the records of its ledger account tell their meter: several may share it."""

    @property
    def key(self) -> str:
        """What it is about, as ``WindowResult.key`` says it."""
        return f"{self.meter}|{self.window or '-'}"

    def result(
        self, reason: Reason, detail: str = "", *, recorded: Decimal | None = None, count: int | None = None
    ) -> WindowResult:
        """The usage as a result with its reason, beside the ledger's figures where they were read."""
        return WindowResult(
            account=self.account,
            meter=self.meter,
            window=self.window,
            billed=self.quantity,
            recorded=recorded,
            count=count,
            reason=reason,
            detail=detail,
            lines=tuple(sorted(self.lines, key=lambda line: line.line_id)),
        )


def metered_lines(invoice: Invoice, prices: Mapping[str, Price]) -> tuple[LineItem, ...]:
    """The lines whose price is metered, or of a kind we do not know: those that the gate is about."""
    return tuple(line for line in invoice.line_items if _is_metered(line, prices))


def _is_metered(line: LineItem, prices: Mapping[str, Price]) -> bool:
    if line.price_id is None:
        return line.subscription_id is not None
    price = prices.get(line.price_id)
    return price is None or price.usage_type in (UsageType.METERED, UsageType.UNKNOWN)


def billed_usage(
    invoice: Invoice,
    prices: Mapping[str, Price],
    meters: Mapping[str, Meter],
    account_template: str,
    *,
    split: bool = False,
) -> tuple[BilledUsage, ...]:
    """Sum the metered lines per meter and window, each with its ledger account or its problem.

    ``split``: the records of one ledger account tell their meter, so several meters may share it.
    """
    groups: dict[tuple[str, Window | None], list[LineItem]] = {}
    for line in metered_lines(invoice, prices):
        groups.setdefault((_meter_name(line, prices, meters), line.window), []).append(line)
    usages = [_billed(invoice, lines, prices, meters, account_template) for lines in groups.values()]
    if split:
        return tuple(replace(usage, split_for=invoice.customer_id) for usage in usages)
    return _without_shared_accounts(usages)


def _meter_name(line: LineItem, prices: Mapping[str, Price], meters: Mapping[str, Meter]) -> str:
    price = prices.get(line.price_id or "")
    meter = meters.get(price.meter_id or "") if price else None
    return meter.event_name if meter else line.price_id or line.line_id


def _billed(
    invoice: Invoice,
    lines: list[LineItem],
    prices: Mapping[str, Price],
    meters: Mapping[str, Meter],
    account_template: str,
) -> BilledUsage:
    price = prices.get(lines[0].price_id or "")
    meter = meters.get(price.meter_id or "") if price else None
    known = [line.quantity for line in lines if line.quantity is not None]
    account = ledger_account(
        account_template,
        customer_id=invoice.customer_id,
        meter=meter.event_name if meter else None,
        metadata=invoice.subscription_metadata,
    )
    problem, detail = _shape_problem(lines, price, meter)
    if problem is None and account is None:
        problem, detail = Reason.UNMAPPED, "no ledger account: check the template and the subscription's metadata"
    return BilledUsage(
        meter=_meter_name(lines[0], prices, meters),
        meter_id=meter.meter_id if meter else None,
        window=lines[0].window,
        account=account,
        quantity=total(known) if len(known) == len(lines) else None,
        lines=tuple(BilledLine(line_id=line.line_id, quantity=line.quantity) for line in lines),
        problem=problem,
        detail=detail,
    )


def _shape_problem(lines: list[LineItem], price: Price | None, meter: Meter | None) -> tuple[Reason | None, str]:
    """Whatever makes a line's quantity something else than raw usage of one meter in one window."""
    problems = {
        "its price could not be read": price is None,
        "the price's usage type is not known": price is not None and price.usage_type is not UsageType.METERED,
        "a metered price without a meter (legacy usage records)": price is not None and price.meter_id is None,
        "its meter could not be read": price is not None and price.meter_id is not None and meter is None,
        "tiered prices are not compared yet": price is not None and price.tiered,
        "package prices are not compared yet": price is not None and price.package,
        "the meter's aggregation is not compared yet": meter is not None and meter.formula not in _SUMMED,
        "proration of a metered item": any(line.proration for line in lines),
        "two prices bill one meter": len({line.price_id for line in lines}) > 1,
        "a line without a quantity": any(line.quantity is None for line in lines),
        "a negative quantity": any(line.quantity is not None and line.quantity < 0 for line in lines),
        "a line without a period": lines[0].window is None,
    }
    found = next((text for text, present in problems.items() if present), None)
    return (Reason.UNKNOWN_SHAPE, found) if found else (None, "")


def ledger_account(template: str, *, customer_id: str, meter: str | None, metadata: Mapping[str, str]) -> str | None:
    """The PacSpace ``customerId``: the subscription's own metadata first, else the template; None when not legal."""
    account = metadata.get(ACCOUNT_METADATA_KEY)
    if not account:
        if "{meter}" in template and meter is None:
            return None
        account = template.replace("{customer}", customer_id).replace("{meter}", meter or "")
    return account if _ACCOUNT.fullmatch(account) else None


def _without_shared_accounts(usages: list[BilledUsage]) -> tuple[BilledUsage, ...]:
    """Several meters on one ledger account cannot be told apart where its records do not tell their meter."""
    shared = shared_accounts((usage.account, usage.meter) for usage in usages)
    return tuple(
        replace(usage, problem=Reason.UNMAPPED, detail=SHARED_ACCOUNT)
        if usage.problem is None and usage.account in shared
        else usage
        for usage in usages
    )


def shared_accounts(uses: Iterable[tuple[str | None, str]]) -> frozenset[str]:
    """The ledger accounts that more than one meter uses, of pairs ``(account, meter)``."""
    meters_of: dict[str, set[str]] = {}
    for account, meter in uses:
        if account is not None:
            meters_of.setdefault(account, set()).add(meter)
    return frozenset(account for account, meters in meters_of.items() if len(meters) > 1)


def billed_figures(usages: Iterable[BilledUsage]) -> dict[str, str]:
    """The exact quantities that the lines bill, by meter and window."""
    return {
        f"{usage.meter}|{usage.window or '-'}": "unknown" if usage.quantity is None else text(usage.quantity)
        for usage in usages
    }


def figures_of(finding: Finding) -> dict[str, str]:
    """The same of what was compared, as a stamp and a waiver name it: a draft's line may lag behind its meter."""
    return {result.key: "unknown" if result.billed is None else text(result.billed) for result in finding.windows}


def same_figures(left: Mapping[str, str], right: Mapping[str, str]) -> bool:
    """Whether two sets of billed figures agree, digit by digit as far as the sources keep them."""
    return left.keys() == right.keys() and all(
        one == other or ("unknown" not in (one, other) and equal(Decimal(one), Decimal(other)))
        for one, other in ((left[key], right[key]) for key in left)
    )
