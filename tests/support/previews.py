"""Previews compared with the checks that follow them, and all state compared before and after a preview."""

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import BuiltinMethodType, FunctionType, MethodType

import sqlalchemy as sa

from pacspace_stripe.app import App
from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.errors import PacspaceStripeError
from pacspace_stripe.gate.case import BackfillRequest
from pacspace_stripe.gate.checker import Checker
from pacspace_stripe.gate.rules.actions import Finalize, Prove
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.simulator.stripe.tables import Ids
from pacspace_stripe.store import Store
from pacspace_stripe.store.tables import metadata, rates
from tests.support.worlds import World

_ANSWERED_BY_A_NEW_CHECKPOINT = {Reason.NOT_SETTLED, Reason.ROOT_STALE, Reason.LEDGER_UNAVAILABLE}
"""Reasons that only a real checkpoint can find."""


class _State(pickle.Pickler):
    """Every value that an object reaches, except for those without one (locks, code) and for ids, which requests
    have too.
    """

    def persistent_id(self, found: object) -> str | None:
        left_out = isinstance(found, FunctionType | MethodType | BuiltinMethodType | Ids)
        return type(found).__name__ if left_out or type(found).__module__ == "_thread" else None


def state_of(value: object) -> bytes:
    """Return every byte of a simulator's own state."""
    written = io.BytesIO()
    _State(written).dump(value)
    return written.getvalue()


def rows_of(store: Store) -> dict[str, list[sa.Row[tuple[object, ...]]]]:
    """Return all rows of our database except for the rate limits, which a preview shares with all other requests."""
    with store.engine.connect() as connection:
        return {
            name: list(connection.execute(sa.select(table)).all())
            for name, table in metadata.tables.items()
            if name != rates.name
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """Everything that a preview might change."""

    stripe: bytes
    ledger: bytes
    rows: dict[str, list[sa.Row[tuple[object, ...]]]]

    @classmethod
    def of(cls, stripe: StripeSimulator, ledger: PacSpaceSimulator, store: Store) -> "Everything":
        return cls(
            stripe=state_of(stripe.account),
            ledger=state_of(ledger._world),  # noqa: SLF001 - all of it, whatever it shows
            rows=rows_of(store),
        )


def differs(previewed: CheckResult, ran: CheckResult) -> str | None:
    """Return the difference between a check and its preview; None if they agree as far as a preview can know."""
    new_checkpoint = str(Prove()) in previewed.steps and ran.verdict is Verdict.UNPROVEN
    if new_checkpoint and ran.reason in _ANSWERED_BY_A_NEW_CHECKPOINT:
        return None
    if str(Finalize()) in previewed.steps and (
        ran.reason is Reason.CHANGED_AT_FINALIZATION or "the draft's line says" in ran.detail
    ):
        # The final lines bill other usage, and so another amount, than the draft's.
        return None
    other_request = all(result.detail.startswith("PacSpace: ") for result in (previewed, ran))
    alike = [name for name in CheckResult.__slots__ if name not in ("status", "detail" if other_request else "")]
    names = [name for name in alike if getattr(previewed, name) != getattr(ran, name)]
    if not names:
        return None
    told = [f"{name}: {getattr(previewed, name)!r}, ran {getattr(ran, name)!r}" for name in names]
    return f"{previewed.invoice_id}: preview {'; '.join(told)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewedChecker(Checker):
    """A checker that previews each check right before it."""

    world: "Previewed"

    def check(
        self, invoice_id: str, *, waiver: Waiver | None = None, backfill: BackfillRequest | None = None
    ) -> CheckResult:
        plain = Checker(
            services=self.services, transport=self.transport, lease=self.lease, now=self.now, beside=self.beside
        )
        if backfill:
            return plain.check(invoice_id, backfill=backfill)
        try:
            # The simulator makes a draft's lines when they are read: this is not the preview's doing.
            read = self.services.stripe.read_invoice(invoice_id)
        except PacspaceStripeError:
            return plain.check(invoice_id, waiver=waiver)
        previewed = self.world.previewed(lambda: plain.preview_of(read, waiver=waiver))
        ran = plain.check(invoice_id, waiver=waiver)
        if previewed is not None:
            self.world.checks += 1
            self.world.wrong += [said for said in [differs(previewed, ran)] if said]
        return ran


class Previewed(World):
    """A world in which each check is previewed first."""

    def __post_init__(self) -> None:
        self.wrong: list[str] = []
        """Places where a preview changed anything, or where the check differed from it."""
        self.checks = 0
        # A preview beside each check doubles the requests of one moment: waiting for the rate limit is no change by it.
        self.settings.setdefault("PACSPACE_STRIPE_RATE", "500/500")
        super().__post_init__()

    def restart(self, **settings: str) -> App:
        app = super().restart(**settings)
        plain = app.checker
        checker = PreviewedChecker(
            services=plain.services, transport=plain.transport, lease=plain.lease, now=plain.now, world=self
        )
        self.app = replace(app, checker=checker)
        return self.app

    def previewed(self, preview: Callable[[], CheckResult]) -> CheckResult | None:
        """Preview, and note any change; its requests are not counted among those of the product.

        Return None if it had to wait for a rate limit: then time has passed, and the world has changed.
        """
        before, at, logs = self._everything(), self.clock.now(), (self.stripe.log, self.ledger.log)
        lengths = [len(log) for log in logs]
        result = preview()
        for log, length in zip(logs, lengths, strict=True):
            del log[length:]
        if self.clock.now() != at:
            return None
        after = self._everything()
        changed = [part for part in Everything.__slots__ if getattr(after, part) != getattr(before, part)]
        self.wrong += [f"{result.invoice_id}: the preview changed {part}" for part in changed]
        return result

    def _everything(self) -> Everything:
        return Everything.of(self.stripe, self.ledger, self.app.store)
