"""``backfill``: the gate's check over invoices of the past, planned or applied, in portions that can be resumed."""

import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from types import FrameType

import click

from pacspace_stripe.app import App
from pacspace_stripe.backfill.backfill import Backfill
from pacspace_stripe.backfill.progress import ProgressLine
from pacspace_stripe.backfill.report_files import CsvReport, JsonReport
from pacspace_stripe.backfill.results import Bookmark, Bookmarks, DonePortion, PdfState
from pacspace_stripe.backfill.retries import RetryPolicy
from pacspace_stripe.backfill.rules.tally import STATUSES, BackfillSelection, CallCounts
from pacspace_stripe.cli.backfill.pdf_folder import PdfFolder
from pacspace_stripe.cli.backfill.summary import echo_summary, summary_json
from pacspace_stripe.cli.output import JSON_OPTION, begin_json
from pacspace_stripe.cli.session import parts, refuse_when_observing
from pacspace_stripe.errors import PacspaceStripeError
from pacspace_stripe.gate.checker import Checker
from pacspace_stripe.store import Store, is_alive
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.text import plural
from pacspace_stripe.vocabulary.windows import iso

INTERRUPTED = 130
_MOST_JOBS = 32
_CUSTOMER_ID = re.compile(r"cus_[A-Za-z0-9_]+")


def _moment(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """Return midnight UTC of a date, or a moment with its zone. Raises BadParameter."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        message = f"{value!r}: write a date as 2026-07-01, or a moment as 2026-07-01T00:00:00Z"
        raise click.BadParameter(message) from None
    if found.tzinfo is None and len(value) > len("2026-07-01"):
        message = f"{value!r}: a moment needs its zone, as in 2026-07-01T00:00:00Z"
        raise click.BadParameter(message)
    if found.microsecond:
        message = f"{value!r}: Stripe counts in whole seconds"
        raise click.BadParameter(message)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _customers(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids of customers, each once. Raises BadParameter."""
    for one in value:
        if not _CUSTOMER_ID.fullmatch(one):
            message = f"{one!r}: a customer's id starts with cus_"
            raise click.BadParameter(message)
    return tuple(dict.fromkeys(value))


def _statuses(_: click.Context, __: click.Parameter, value: str) -> tuple[InvoiceStatus, ...]:
    """Return the statuses in the order of ``STATUSES``. Raises BadParameter."""
    known = {status.value: status for status in STATUSES}
    named = [name.strip() for name in value.split(",")]
    wrong = next((name for name in named if name not in known), None)
    if wrong is not None:
        message = f"{wrong!r} is none of paid, open and draft"
        raise click.BadParameter(message)
    return tuple(status for status in STATUSES if status.value in named)


@click.command()
@click.option("--since", metavar="DATE", callback=_moment, required=True, help="Invoices created from then on.")
@click.option("--until", metavar="DATE", callback=_moment, help="Invoices created before then. Without it: before now.")
@click.option(
    "--customer", "customers", multiple=True, callback=_customers, help="Only this customer's invoices; repeatable."
)
@click.option(
    "--status",
    "statuses",
    default="paid,open,draft",
    show_default=True,
    callback=_statuses,
    help="Only invoices of these statuses.",
)
@click.option("--apply", "act", is_flag=True, help="Stamp finalized invoices and gate drafts.")
@click.option("--resume", is_flag=True, help="With --apply: continue where the same backfill was stopped.")
@click.option(
    "--jobs",
    default=16,
    show_default=True,
    type=click.IntRange(1, _MOST_JOBS),
    help="Invoices checked at the same time.",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one row per invoice and window to this file, as it goes.",
)
@click.option(
    "--pdf-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Put the stamped PDF of each finalized invoice that is matched or waived into this folder.",
)
@JSON_OPTION
def backfill(
    since: datetime,
    until: datetime | None,
    customers: tuple[str, ...],
    statuses: tuple[InvoiceStatus, ...],
    *,
    csv_file: Path | None,
    pdf_dir: Path | None,
    act: bool,
    resume: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Compare the invoices of the past with the ledger, and plan the proof or, with --apply, write it.

    Without --apply nothing is written anywhere: it prints verdicts and what --apply would take. With --apply, finalized
    invoices get metadata (their footers are frozen) and drafts are gated as by a webhook. Drifted invoices that have
    left are reported, not held. No invoice is un-paid, voided or opened again; one without metered lines is left alone.

    A DATE is midnight UTC, or a moment with its zone, 2026-07-01T02:00:00+02:00. The span is half-open, [since, until),
    and is about when Stripe created the invoice: usage of June is billed by an invoice created on 1 July. The newest
    invoices come first, as Stripe lists them.

    --pdf-dir names each file by the invoice's number, or by its id; a file with the same evidence is kept.

    Exit code 0: all matched or nothing metered; 1: any drifted or unproven, or without its PDF; 2: usage; 130: stopped
    by Ctrl-C.
    """
    if resume and not act:
        message = "--resume goes with --apply: a dry run stores nothing, so it cannot be resumed"
        raise click.UsageError(message)
    with parts(level=logging.ERROR) as app:
        if act:
            refuse_when_observing(app, "backfill --apply")
        end = until or app.now().replace(microsecond=0)
        if end <= since:
            message = f"--until ({iso(end)}) is not after --since ({iso(since)})"
            raise click.UsageError(message)
        selection = BackfillSelection(since=since, until=end, customers=customers, statuses=statuses)
        if pdf_dir and act:
            _make_folder(pdf_dir)
        run = BackfillRun(
            app=app,
            selection=selection,
            act=act,
            open_end=until is None,
            csv_file=csv_file,
            pdf_dir=pdf_dir,
            as_json=as_json,
        )
        code = run.go(jobs=jobs, resume=resume)
    sys.exit(code)


def _make_folder(folder: Path) -> None:
    """Make the folder and write a file there, so that a problem shows before the first invoice. Raises BadParameter."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        message = f"{folder}: {error.strerror or error}"
        raise click.BadParameter(message, param_hint="--pdf-dir") from error


@dataclass(slots=True, kw_only=True)
class BackfillRun:
    """One run of the command: in which order it reports, stores its place, and continues."""

    app: App
    selection: BackfillSelection
    act: bool
    open_end: bool
    csv_file: Path | None
    pdf_dir: Path | None
    as_json: bool

    def go(self, *, jobs: int, resume: bool) -> int:
        """Run to the end, or until the operator stops it; return the exit code."""
        bookmark = self._bookmark(resume=resume)
        self.selection = replace(self.selection, until=bookmark.until)
        if self.act:
            self.app.store.jobs.free_leases_of_the_dead(socket.gethostname(), is_alive)
        finished = False
        with ExitStack() as open_files, stopping() as stop:
            csv_report = self._csv(open_files, bookmark.report_bytes)
            json_report = self._json()
            if self.act and not resume:
                self._bookmarks.forget(self.selection, open_end=self.open_end)
            progress = ProgressLine(selection=self.selection, before=dict(bookmark.tally.outcomes))
            try:
                run = self._backfill(jobs, stop, self._checker(open_files), progress)
                for portion in run.portions(self.selection, bookmark.place):
                    self._report(portion, bookmark, csv_report, json_report)
                    finished = portion.next is None
            except (PacspaceStripeError, KeyboardInterrupt) as error:
                self._echo_how_to_continue(bookmark, progress, at_once=isinstance(error, KeyboardInterrupt))
                raise
            finally:
                progress.end(finished=finished)
                if json_report:
                    json_report.end(summary_json(self.app, self.selection, bookmark, finished=finished, act=self.act))
        if finished:
            bookmark.beyond.clear()
        if finished and self.act:
            self._bookmarks.forget(self.selection, open_end=self.open_end)
        if not self.as_json:
            echo_summary(self.app, self.selection, bookmark, act=self.act, finished=finished)
        if not finished:
            self._echo_how_to_continue(bookmark, progress)
            return INTERRUPTED
        return 0 if bookmark.tally.good and PdfState.FAILED not in bookmark.tally.pdfs else 1

    @property
    def _bookmarks(self) -> Bookmarks:
        return Bookmarks(store=self.app.store)

    def _bookmark(self, *, resume: bool) -> Bookmark:
        found = self._bookmarks.find(self.selection, open_end=self.open_end) if resume else None
        if resume:
            behind = (
                f"{plural(found.tally.invoices, 'invoice')} done before"
                if found
                else "nothing to resume: starting from the beginning"
            )
            click.echo(f"backfill: {behind}", err=True)
        return found or Bookmark(until=self.selection.until)

    def _checker(self, open_files: ExitStack) -> Checker:
        """Return the checker. A dry run keeps coverage in a database of its own, which is deleted afterwards."""
        if self.act:
            return self.app.checker
        folder = open_files.enter_context(TemporaryDirectory(prefix="pacspace-stripe-"))
        lost_after = timedelta(seconds=1)
        apart = Store(f"sqlite:///{folder}/coverage.db", now=self.app.now, lost_after=lost_after)
        open_files.callback(apart.close)
        apart.migrate()
        return self.app.checker.with_coverage_in(apart.coverage)

    def _backfill(self, jobs: int, stop: threading.Event, checker: Checker, progress: ProgressLine) -> Backfill:
        app, retries = self.app, RetryPolicy(stop=stop, busy_for=self.app.settings.lease * 2)
        pdfs = PdfFolder(app=app, folder=self.pdf_dir, retries=retries, act=self.act) if self.pdf_dir else None
        return Backfill(
            stripe=app.stripe,
            store=app.store,
            checker=checker,
            retries=retries,
            apply=self.act,
            jobs=jobs,
            then=pdfs.add if pdfs else None,
            watcher=progress,
        )

    def _json(self) -> JsonReport | None:
        if not self.as_json:
            return None
        begin_json()
        return JsonReport(sys.stdout)

    def _csv(self, open_files: ExitStack, kept_bytes: int) -> CsvReport | None:
        if self.csv_file is None:
            return None
        try:
            return open_files.enter_context(CsvReport.at(self.csv_file, kept_bytes))
        except OSError as error:
            message = f"{self.csv_file}: {error.strerror or error}"
            raise click.BadParameter(message, param_hint="--csv") from error

    def _report(
        self, portion: DonePortion, bookmark: Bookmark, csv_report: CsvReport | None, json_report: JsonReport | None
    ) -> None:
        """Write the rows first and the place behind them second.

        A crash in between makes rows appear twice, which the CSV file's stored length cuts off; it never loses one.
        """
        rows = [row.credited(bookmark.beyond.pop(row.invoice_id, None)) for row in portion.rows]
        for row in rows:
            row.add_to(bookmark.tally, self.app.settings.policy)
        # A dry run writes nothing, so no write of it can be missing from the count.
        again = [(row.invoice_id, row.credited(bookmark.beyond.get(row.invoice_id)).written) for row in portion.beyond]
        bookmark.beyond |= {invoice_id: wrote for invoice_id, wrote in again if wrote and self.act}
        bookmark.tally.calls += CallCounts(lists=portion.lists)
        if json_report:
            json_report.write(rows)
        if csv_report:
            bookmark.report_bytes = csv_report.write(rows)
        if portion.next is not None:
            bookmark.place = portion.next
            if self.act:
                self._bookmarks.keep(self.selection, bookmark, open_end=self.open_end)

    def _echo_how_to_continue(self, bookmark: Bookmark, progress: ProgressLine, *, at_once: bool = False) -> None:
        progress.end()
        if at_once:
            click.echo("backfill: stopped at once: writes in flight may have happened, and are not counted", err=True)
        if self.act:
            how = "the same command with --resume continues"
        elif bookmark.place.created_at and len(self.selection.listings()) == 1:
            rest = iso(bookmark.place.created_at + timedelta(seconds=1))
            how = f"the same command with --until {rest} does the rest"
        else:
            how = "a dry run stores nothing: the same command starts from the beginning"
        click.echo(f"backfill: not finished, {plural(bookmark.tally.invoices, 'invoice')} done; {how}", err=True)


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Stop after what is in flight on Ctrl-C or SIGTERM, and at once on a second one."""
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {one: signal.getsignal(one) for one in signals}

    def ask(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        if number == signal.SIGINT:
            # Written past the file object, which may be in the middle of another line.
            os.write(2, b"\nbackfill: stopping after what is in flight (Ctrl-C again: at once)\n")

    try:
        for one in signals:
            signal.signal(one, ask)
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
