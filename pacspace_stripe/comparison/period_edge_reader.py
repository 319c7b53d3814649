"""Reading the ledger's records near the bounds of a window that drifted, for the rules of ``domain.edges``."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pacspace_stripe.comparison.rules.period_edge import EdgeRecord, Edges, Moved
from pacspace_stripe.comparison.rules.verdicts import WindowResult
from pacspace_stripe.ledger.ledgers import Ledger
from pacspace_stripe.ledger.rules.selection import Selection, is_usage_of
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.quantities import subtract
from pacspace_stripe.vocabulary.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeReader:
    """Lists the records on both sides of both bounds: four requests at most, and only about a drift.

    Each side is asked for by itself: which clock PacSpace places a record by is not documented (CONTRACT 4), so its
    own windows tell on which side it has one. As far out as the slack, and to where a summary of the time before a
    bound may be accepted: a cadence, and the slack, after it.
    """

    ledger: Ledger
    policy: Policy
    now: datetime

    def moved(self, result: WindowResult) -> Moved | None:
        """The records that make both sides agree on the other side of a bound. Raises RemoteError's children."""
        window, account = result.window, result.account
        if window is None or account is None or result.billed is None or result.recorded is None:
            return None
        selection = Selection.of(self.policy, result.meter)
        records = self._records(account, window, selection)
        if records is None:
            return None
        edges = Edges(
            window=window,
            difference=subtract(result.billed, result.recorded),
            records=records,
            attribution=selection.attribution,
            slack=self.policy.edge_slack,
            tolerance=self.policy.tolerance,
        )
        return edges.moved()

    def _records(self, account: str, window: Window, selection: Selection) -> tuple[EdgeRecord, ...] | None:
        found: list[EdgeRecord] = []
        for span, inside in self._spans(window):
            near = self.ledger.near(account, span)
            if near is None:
                return None
            mine = (delta for delta in near if is_usage_of(delta, selection))
            found += (EdgeRecord.of(delta, window, selection, inside=inside) for delta in mine)
        return tuple(found)

    def _spans(self, window: Window) -> Iterator[tuple[Window, bool]]:
        slack, start, end = self.policy.edge_slack, window.start, window.end
        reach = self.policy.cadence + slack
        first, last = min(start + reach, end), max(end - slack, start)
        inside = [(start, end)] if first >= last else [(start, first), (last, end)]
        outside = [(start - slack, start), (end, min(end + reach, self.now))]
        yield from ((Window(start=one, end=other), True) for one, other in inside if one < other)
        yield from ((Window(start=one, end=other), False) for one, other in outside if one < other)
