"""The worker: the loop that finds what is due, and the queue that carries immediate triggers.

Invoices, early warnings, the sweep and alert deliveries are rows with a due time and a lease in our own tables. One
loop finds those that are due, once a second, also those that the queue lost; there is no other scheduler. A due job
becomes a queued check like one that an event requested; due deliveries are handed to their channel's sender, which has
a thread and connections of its own, so that a slow receiver delays no check.

DBOS is the queue. A queued workflow says "check job X" and nothing more. A check is one step, so that a recovery runs
it again from fresh reads and nothing decided before a crash is replayed. Jobs that the queue loses are found as due.
"""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from dbos import EnqueueOptions as Options

from pacspace_stripe.alerts.delivery import AlertSender
from pacspace_stripe.errors import LeaseBusy, LeaseLost, PacspaceStripeError
from pacspace_stripe.store import JobKind, Store, is_alive

APPLICATION = "pacspace-stripe"
APPLICATION_VERSION = "1"
"""Constant: with a version per deployment, DBOS would leave the queued work of the earlier one undone."""
HOLDS, CHECKS = "pacspace-holds", "pacspace-checks"
"""First checks have a queue of their own and go first: they race Stripe's clock."""
_WORKFLOW, _STEP = "pacspace_look", "pacspace_look_step"
"""Names in the queue's tables, where workflows of an earlier process may wait under them."""
_HOLD_WORKERS, _CHECK_WORKERS = 6, 6
_TAKEN_AT_ONCE = 10
"""Due jobs that are queued in one transaction: on SQLite, webhooks wait for its end."""
_QUEUE_POLL_SECONDS = 0.2
_DUE_EVERY_SECONDS = 1.0
_FINISH_SECONDS = 5
"""Wait of a stop for the checks under way. ``serve`` then ends without them, as in a crash, which they are made for:
process managers kill after ten seconds, and a check may wait longer than that for an answer."""
_ALERT_FINISH_SECONDS = 1.0
KEPT = timedelta(days=35)
"""Age up to which finished workflow rows are kept: Stripe's events are listed for 30 days."""
_PRUNED_AT_ONCE, _PRUNINGS = 500, 100
"""Rows in one transaction, which others wait for on SQLite; and the number of such transactions in a row."""

_JSON = DBOSPortableJSONSerializer()
"""Serializer for everything that the queue stores: its default is pickle, which can execute what it reads."""

_log = logging.getLogger(__name__)

RunJob = Callable[[JobKind, str, int], None]
"""Run the check of a job: its kind, its id, and the count of requested checks that this one answers."""


class Worker:
    """The loop, the queue and its worker threads. One per process; only ``serve`` starts it."""

    def __init__(self, *, store: Store, url: str, run_job: RunJob, alert_senders: Sequence[AlertSender] = ()) -> None:
        self._store = store
        self._url = url
        self._run_job = run_job
        self._alert_senders = alert_senders
        self._client: DBOSClient | None = None
        self._busy_threads: set[int] = set()
        """Ids of the threads that check a job now."""
        self._stop = threading.Event()
        self._loop = threading.Thread(target=self._find_due, name="pacspace-due", daemon=True)

    def start(self) -> None:
        """Free the leases of dead processes of this host, launch the queue, and start the loop."""
        freed = self._store.jobs.free_leases_of_the_dead(socket.gethostname(), is_alive)
        freed += self._store.alerts.free_leases_of_the_dead(socket.gethostname(), is_alive)
        if freed:
            _log.warning("freed leases of dead processes: %d", freed)
        # Triggers that a dead process had taken from the queue are due at once, not when they count as lost.
        self._store.jobs.wake_unanswered()
        DBOS(config=self._config())
        self._register()
        DBOS.launch()
        DBOS.register_queue(HOLDS, worker_concurrency=_HOLD_WORKERS, polling_interval_sec=_QUEUE_POLL_SECONDS)
        DBOS.register_queue(CHECKS, worker_concurrency=_CHECK_WORKERS, polling_interval_sec=_QUEUE_POLL_SECONDS)
        self._client = DBOSClient(system_database_url=self._url, application_name=APPLICATION, serializer=_JSON)
        self._loop.start()

    def stop(self) -> int:
        """Begin nothing new, give checks under way a few seconds, and return how many of them are not done.

        An alert under way that is not done is sent again by the process that finds its lease expired or dead.
        """
        self._stop.set()
        for sender in self._alert_senders:
            sender.stop()
        if self._loop.is_alive():
            self._loop.join(timeout=5)
        # DBOS waits in whole seconds, even when nothing is under way.
        seconds = _FINISH_SECONDS if self._busy_threads else 0
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=seconds)
        if self._client is not None:
            self._client.destroy()
        for sender in self._alert_senders:
            sender.close(seconds=_ALERT_FINISH_SECONDS)
        return len(self._busy_threads)

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _find_due(self) -> None:
        more = False
        while not self._stop.wait(0 if more else _DUE_EVERY_SECONDS):
            # Alerts first, and in each round: a backlog of thousands of due jobs must not delay them.
            for sender in self._alert_senders:
                self._guarded(sender.start_if_due)
            more = bool(self._guarded(self._queue_due_jobs))

    def _queue_due_jobs(self) -> bool:
        """Queue one portion of the due jobs, and return whether there may be more."""
        triggers = self._store.triggers
        return triggers.any_due() and len(triggers.take_due(self.enqueue, limit=_TAKEN_AT_ONCE)) == _TAKEN_AT_ONCE

    @staticmethod
    def _guarded(find: Callable[[], bool | None]) -> bool | None:
        """Survive a database that does not answer: the rows stay due."""
        try:
            return find()
        except PacspaceStripeError as error:
            _log.warning("cannot find what is due, trying again: %s", error)
        except Exception:  # noqa: BLE001 - logged with its traceback; the rows stay due
            _log.exception("cannot find what is due, trying again")
        return None

    # -- the queue ----------------------------------------------------------------------------------------------------

    def enqueue(self, connection: sa.Connection, kind: JobKind, job_id: str, requested: int) -> None:
        """Queue one check within the caller's transaction."""
        if self._client is None:
            message = "the worker was not started"
            raise RuntimeError(message)
        options = Options(
            queue_name=HOLDS if kind is JobKind.INVOICE and requested == 1 else CHECKS,
            workflow_name=_WORKFLOW,
            workflow_id=f"check:{job_id}:{requested}",
            app_version=APPLICATION_VERSION,
        )
        self._client.enqueue_in_transaction(connection, options, kind.value, job_id, requested)

    def prune(self) -> int:
        """Delete workflow rows older than ``KEPT``, a bounded number at a time, and return how many.

        Rows of killed processes never finished, and are deleted at that age too.
        """
        pruned = 0
        for _ in range(_PRUNINGS):
            before = (datetime.now(UTC) - KEPT).isoformat()
            old = DBOS.list_workflows(end_time=before, limit=_PRUNED_AT_ONCE, load_input=False, load_output=False)
            DBOS.delete_workflows([workflow.workflow_id for workflow in old])
            pruned += len(old)
            if len(old) < _PRUNED_AT_ONCE:
                break
        return pruned

    def _config(self) -> DBOSConfig:
        return DBOSConfig(
            name=APPLICATION,
            system_database_url=self._url,
            application_version=APPLICATION_VERSION,
            executor_id=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            log_level="WARNING",
            serializer=_JSON,
        )

    def _register(self) -> None:
        @DBOS.step(name=_STEP)
        def check_once(kind: str, job_id: str, requested: int) -> str:
            self._busy_threads.add(threading.get_ident())
            try:
                return self._check(JobKind(kind), job_id, requested)
            finally:
                self._busy_threads.discard(threading.get_ident())

        @DBOS.workflow(name=_WORKFLOW)
        def check(kind: str, job_id: str, requested: int) -> str:
            return check_once(kind, job_id, requested)

    def _check(self, kind: JobKind, job_id: str, requested: int) -> str:
        """Run one check and return its outcome. A failure is logged and never fails the queue: the row is due again."""
        try:
            self._run_job(kind, job_id, requested)
            if kind is JobKind.SWEEP:
                self.prune()
        except LeaseBusy:
            return "busy"
        except LeaseLost as error:
            _log.warning("invoice=%s %s", job_id, error)
            return "lease lost"
        except PacspaceStripeError as error:
            _log.warning("invoice=%s %s", job_id, error)
            return type(error).__name__
        except Exception:  # noqa: BLE001 - logged with its traceback; the row is due again
            _log.exception("invoice=%s the check failed unexpectedly and is retried", job_id)
            return "failed"
        return "done"
