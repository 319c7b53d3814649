"""The lease: who may act on a job now, over all processes.

One row per job with an owner token and an expiry. Whoever holds it checks it again right before every write,
so that a process that was paused and wakes up late writes nothing.
"""

import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pacspace_stripe.errors import LeaseLost
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.store.outbox import Also
from pacspace_stripe.store.records import Job

if TYPE_CHECKING:
    from pacspace_stripe.store.jobs import Jobs


_STARTED = uuid.uuid4().hex[:8]
"""What tells two processes with the same id apart."""


def process_name() -> str:
    """Host and process id: how a starting process recognises leases of dead ones on its own host."""
    return f"{socket.gethostname()}/{os.getpid()}/{_STARTED}"


def owner_token() -> str:
    """A new owner: host, process, and one acquisition."""
    return f"{process_name()}/{uuid.uuid4().hex[:12]}"


def is_dead(owner: str, host: str, alive: Callable[[int], bool]) -> bool:
    """Whether a lease's owner ran on ``host`` in a process that is gone.

    A restarted container's process often has the id of the one before: it is alive, but it is not that owner.
    """
    owner_host, _, rest = owner.partition("/")
    pid, _, started = rest.partition("/")
    if owner_host != host or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return started.partition("/")[0] != _STARTED
    return not alive(int(pid))


def is_alive(pid: int) -> bool:
    """Whether a process of this id runs on this host."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(slots=True)
class Leased:
    """A job while we hold its lease. Every save and every guard fails once the lease is gone."""

    jobs: "Jobs"
    job: Job
    owner: str
    ttl: timedelta
    saved: InvoiceState
    """What was last written down: where the story stands, whatever fails next."""
    renewed_at: datetime

    def guard(self) -> None:
        """Have most of the lease ahead, or raise LeaseLost: call right before anything that others can see.

        In its first quarter it is only asked whether it is still ours: reading waits for no disk.
        """
        now = self.jobs.now()
        young = now < self.renewed_at + self.ttl / 4
        if young and self.jobs.has(self.job.job_id, self.owner, until=now + self.ttl * 3 / 4):
            return
        if not self.jobs.renew(self.job.job_id, self.owner, self.ttl):
            message = f"the lease on {self.job.job_id} is gone: nothing more is written"
            raise LeaseLost(message)
        self.renewed_at = now

    def keep(self) -> None:
        """Renew the lease once a quarter of it is over: call before anything that takes less than the rest of it."""
        if self.jobs.now() >= self.renewed_at + self.ttl / 4:
            self.guard()

    def save(self, memory: InvoiceState, *, also: Also = lambda _: None) -> None:
        """Write down what we know now, if the lease is still ours; in the same transaction what ``also`` writes."""
        now = self.jobs.now()
        if not self.jobs.save(self.job.job_id, self.owner, memory, self.ttl, also=also):
            message = f"the lease on {self.job.job_id} is gone: nothing was saved"
            raise LeaseLost(message)
        self.saved, self.renewed_at = memory, now

    def give_back(self, memory: InvoiceState | None, next_check_at: datetime | None) -> bool:
        """End the lease: what we know, when to look again. True when somebody asked for another look meanwhile.

        Raises LeaseLost: what was found out is not saved, and whoever has the lease now finds out for themselves.
        """
        requested_again = self.jobs.give_back(self.job, self.owner, memory, next_check_at)
        if requested_again is None:
            message = f"the lease on {self.job.job_id} is gone: nothing was saved"
            raise LeaseLost(message)
        return requested_again
