"""The engine: DBOS carries triggers, our table carries truth.

A queued workflow says "look at X" and nothing more; a look is one step, so that recovery runs it again from fresh
reads and nothing decided before a crash is ever replayed. Whatever the queue loses, ``serve`` finds as due.
"""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from dbos import EnqueueOptions as Options

from pacspace_stripe.errors import LeaseBusy, LeaseLost, PacspaceStripeError
from pacspace_stripe.store import Kind, Store, is_alive

APPLICATION = "pacspace-stripe"
APPLICATION_VERSION = "1"
"""One constant: a version per deploy would strand the work of the one before."""
HOLDS, CHECKS = "pacspace-holds", "pacspace-checks"
"""First looks have their own queue and go first: they race Stripe's clock."""
LOOK = "pacspace_look"
_HOLD_WORKERS, _CHECK_WORKERS = 6, 6
_TAKEN_AT_ONCE = 10
"""Due checks that are queued in one transaction: in SQLite, webhooks wait for its end."""
_POLL = 0.2
_DUE_EVERY = 1.0
_FINISH_SECONDS = 5
"""How long a stop waits for looks under way. ``serve`` then ends without them, as in a crash, which they are made for:
whoever runs us kills after ten seconds, and a look may wait longer than that for an answer."""
KEPT = timedelta(days=35)
"""How long finished workflow rows are kept: Stripe's events are listed for 30 days."""
_PRUNED_AT_ONCE, _PRUNINGS = 500, 100
"""Rows in one transaction, which others wait for on SQLite; and how many such transactions in a row."""

_JSON = DBOSPortableJSONSerializer()
"""For all that the queue stores: its default is pickle, which runs what it reads."""

_log = logging.getLogger(__name__)

Look = Callable[[Kind, str, int], None]


class Engine:
    """Queue, workers and the clock that finds due jobs. One per process; only ``serve`` starts it."""

    def __init__(self, *, store: Store, url: str, look: Look) -> None:
        self._store = store
        self._url = url
        self._look = look
        self._client: DBOSClient | None = None
        self._looking: set[int] = set()
        """The threads that look at something now."""
        self._stop = threading.Event()
        self._due = threading.Thread(target=self._find_due, name="pacspace-due", daemon=True)

    def start(self) -> None:
        """Launch the queue; free what dead processes of this host held; begin to look."""
        freed = self._store.jobs.free_leases_of_the_dead(socket.gethostname(), is_alive)
        if freed:
            _log.warning("freed leases of dead processes: %d", freed)
        # A trigger that a dead process had taken from the queue comes back at once, not when it counts as lost.
        self._store.jobs.wake_unanswered()
        DBOS(config=self._config())
        self._register()
        DBOS.launch()
        DBOS.register_queue(HOLDS, worker_concurrency=_HOLD_WORKERS, polling_interval_sec=_POLL)
        DBOS.register_queue(CHECKS, worker_concurrency=_CHECK_WORKERS, polling_interval_sec=_POLL)
        self._client = DBOSClient(system_database_url=self._url, application_name=APPLICATION, serializer=_JSON)
        self._due.start()

    def stop(self) -> int:
        """Take no new looks and give those under way a few seconds; how many of them are still not done."""
        self._stop.set()
        if self._due.is_alive():
            self._due.join(timeout=5)
        # DBOS waits in whole seconds, even for nothing.
        patience = _FINISH_SECONDS if self._looking else 0
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=patience)
        if self._client is not None:
            self._client.destroy()
        return len(self._looking)

    def enqueue(self, connection: sa.Connection, kind: Kind, job_id: str, requested: int) -> None:
        """Queue one look within the caller's transaction."""
        if self._client is None:
            message = "the engine was not started"
            raise RuntimeError(message)
        options = Options(
            queue_name=HOLDS if kind is Kind.INVOICE and requested == 1 else CHECKS,
            workflow_name=LOOK,
            workflow_id=f"check:{job_id}:{requested}",
            app_version=APPLICATION_VERSION,
        )
        self._client.enqueue_in_transaction(connection, options, kind.value, job_id, requested)

    def prune(self) -> int:
        """Delete old workflow rows, a bounded number at a time; how many.

        Those of killed processes never finished; so old, they are no less done with.
        """
        pruned = 0
        for _ in range(_PRUNINGS):
            found = self._prune_some()
            pruned += found
            if found < _PRUNED_AT_ONCE:
                break
        return pruned

    def _prune_some(self) -> int:
        before = (datetime.now(UTC) - KEPT).isoformat()
        old = DBOS.list_workflows(
            end_time=before,
            limit=_PRUNED_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        DBOS.delete_workflows([workflow.workflow_id for workflow in old])
        return len(old)

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
        @DBOS.step(name="pacspace_look_step")
        def look_once(kind: str, job_id: str, requested: int) -> str:
            self._looking.add(threading.get_ident())
            try:
                return self._guarded(Kind(kind), job_id, requested)
            finally:
                self._looking.discard(threading.get_ident())

        @DBOS.workflow(name=LOOK)
        def look(kind: str, job_id: str, requested: int) -> str:
            return look_once(kind, job_id, requested)

    def _guarded(self, kind: Kind, job_id: str, requested: int) -> str:
        """A look never fails the queue: what went wrong is logged, and the job is due again by its row."""
        try:
            self._look(kind, job_id, requested)
            if kind is Kind.SWEEP:
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
            _log.exception("invoice=%s the check failed unexpectedly; it is looked at again", job_id)
            return "failed"
        return "done"

    def _find_due(self) -> None:
        while not self._stop.wait(_DUE_EVERY):
            try:
                while not self._stop.is_set() and self._store.triggers.any_due():
                    if not self._store.triggers.take_due(self.enqueue, limit=_TAKEN_AT_ONCE):
                        break
            except PacspaceStripeError as error:
                _log.warning("cannot look for due invoices: %s", error)
            except Exception:  # noqa: BLE001 - logged with its traceback; the row is due again
                _log.exception("looking for due invoices failed; trying again")
