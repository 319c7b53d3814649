"""The exact quantities that an invoice bills, by meter and window: what a stamp and a waiver name. Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import Finding
from pacspace_stripe.usage.rules.usage import BilledUsage
from pacspace_stripe.vocabulary.quantities import equal, text


def billed_figures(usages: Iterable[BilledUsage]) -> dict[str, str]:
    """The exact quantities that the lines bill, by meter and window."""
    return {usage.key: _figure(usage.quantity) for usage in usages}


def figures_of(finding: Finding) -> dict[str, str]:
    """The same of what was compared, as a stamp and a waiver name it: a draft's line may lag behind its meter."""
    return {result.key: _figure(result.billed) for result in finding.windows}


def _figure(billed: Decimal | None) -> str:
    """A meter below zero bills nothing (FACTS 4.2)."""
    return "unknown" if billed is None else text(max(billed, Decimal(0)))


def same_figures(left: Mapping[str, str], right: Mapping[str, str]) -> bool:
    """Whether two sets of billed figures agree, digit by digit as far as the sources keep them."""
    return left.keys() == right.keys() and all(
        one == other or ("unknown" not in (one, other) and equal(Decimal(one), Decimal(other)))
        for one, other in ((left[key], right[key]) for key in left)
    )
