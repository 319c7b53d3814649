"""How it went, month by month. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.report.rules.lines import Holding, InvoiceLine
from pacspace_stripe.vocabulary.money import Money, totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The invoices whose usage began in one month (UTC), counted by what was last found about them."""

    month: str
    invoices: int
    verdicts: dict[Verdict, int]
    waiting: int
    """Not compared yet."""
    held: int
    at_stake: tuple[Money, ...]

    @property
    def matched_share(self) -> str:
        """Return the share of those compared that agreed, in percent: 0 only when none did, 100 only when all did."""
        judged, agreed = self.invoices - self.waiting, self.verdicts[Verdict.MATCHED]
        if not judged:
            return "-"
        tenths = (agreed * 2000 + judged) // (2 * judged)
        tenths = max(tenths, 1) if agreed else 0
        tenths = min(tenths, 999) if agreed < judged else 1000
        return f"{tenths // 10}.{tenths % 10} %"


def counted(lines: Iterable[InvoiceLine]) -> dict[Verdict, int]:
    """How many invoices have each verdict; every verdict is there."""
    counts = dict.fromkeys(Verdict, 0)
    for line in lines:
        if line.memory.verdict is not None:
            counts[line.memory.verdict] += 1
    return counts


def held_ones(lines: Iterable[InvoiceLine]) -> list[InvoiceLine]:
    """Those that were, or would have been, held."""
    return [line for line in lines if line.holding is not Holding.NO]


def trend(lines: Iterable[InvoiceLine]) -> tuple[Month, ...]:
    """Every month that has invoices, the first one first."""
    months: dict[str, list[InvoiceLine]] = {}
    for line in lines:
        months.setdefault(line.period, []).append(line)
    return tuple(_month(name, months[name]) for name in sorted(months))


def _month(name: str, lines: list[InvoiceLine]) -> Month:
    held = held_ones(lines)
    return Month(
        month=name,
        invoices=len(lines),
        verdicts=counted(lines),
        waiting=sum(line.memory.verdict is None for line in lines),
        held=len(held),
        at_stake=totals(line.money for line in held),
    )
