"""Telling people: one WARNING line and one row of the audit trail, once per kind and invoice."""

import logging
from dataclasses import dataclass, replace

from pacspace_stripe.domain.memory import Memory
from pacspace_stripe.store import Store

_log = logging.getLogger("pacspace_stripe.alerts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """Alerts go to the log and the audit trail; both carry ids and figures, never secrets."""

    store: Store

    def tell(self, memory: Memory, kind: str, detail: str) -> Memory:
        """Alert once per kind: the memory that knows it was told."""
        if kind in memory.alerted:
            return memory
        _log.warning("alert=%s invoice=%s detail=%r", kind, memory.invoice_id, detail)
        self.store.journal.note(f"alert:{kind}", memory.invoice_id, detail)
        return replace(memory, alerted=(*memory.alerted, kind))
