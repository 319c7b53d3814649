"""Many processes on the same invoices: with the lease, the result is as if one had run."""

import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx

from pacspace_stripe.cli.processes import free_port, wait_for
from tests.support.town import PATIENCE, Bill, Links, Town, town

ALL_THERE_IS_TO_DO = ["hold", "stamp", "finalize", "release"]
TEN = 10
UNANSWERED = 4
"""Seconds that a busy machine has to stop a process in the middle of a call; less than its call may take."""


def test_serve_and_ten_commands_at_once_end_as_if_one_had_run(tmp_path: Path, database_url: str) -> None:
    with town(tmp_path, database_url=database_url, seconds=8, lease="20s") as place:
        at_once(place)


def at_once(place: Town) -> None:
    # Given slow vendors, so that checks of one invoice would overlap
    place.stripe("add_fault", name="slow", endpoint="* /v1/invoices/{id}*", seconds=0.25)
    place.pacspace("add_fault", name="slow", seconds=0.25)
    place.stack.serve()
    bills = [place.invoiced(), place.invoiced()]
    # When ten people check the same two invoices, again and again, while serve does
    with ThreadPoolExecutor(TEN) as people:
        said = [
            problem
            for each in people.map(lambda one: checked_until_paid(place, bills[one % 2]), range(TEN))
            for problem in each
        ]
    # Then every command went well, and each invoice was written to as if by one
    assert said == []
    place.until_paid(*bills)
    for bill in bills:
        assert place.writes(bill.invoice_id) == ALL_THERE_IS_TO_DO
        assert place.charged()[bill.invoice_id] == 1
        with place.store() as store:
            assert Links.of(store, bill).verdicts() == ["matched"]
            assert Links.of(store, bill).problems() == []


def checked_until_paid(place: Town, bill: Bill) -> list[str]:
    """Call `check --apply` until the invoice is paid, and return its errors."""
    problems: list[str] = []
    paid = False
    while not paid:
        done = place.stack.run("check", bill.invoice_id, "--apply")
        problems += [done.stdout + done.stderr] if done.returncode else []
        paid = place.invoice(bill.invoice_id)["status"] == "paid"
    return problems


def test_a_process_that_wakes_up_after_its_lease_ran_out_writes_nothing(tmp_path: Path, database_url: str) -> None:
    with town(tmp_path, database_url=database_url, lease="9s") as place:
        woken_late(place)


def woken_late(place: Town) -> None:
    # Given drafts held by serve, which are due together
    paused = place.stack.serve()
    at_checkpoint, at_finalize = place.invoiced(name="paused"), place.invoiced(name="paused")
    place.until_held(at_checkpoint, at_finalize)
    place.quiet()
    # When serve is paused in the middle of a checkpoint of one and of the finalization of the other
    place.pacspace("add_fault", name="slow", endpoint="GET /api/v1/verify/{proofRoot}", times=1, seconds=UNANSWERED)
    place.stripe("add_fault", name="slow", endpoint="POST /v1/invoices/{id}/finalize", times=1, seconds=UNANSWERED)
    wait_for("one to be finalized", lambda: finalized(place, at_checkpoint, at_finalize), seconds=PATIENCE, every=0.01)
    pause(place, paused)
    # and a command is paused in the middle of the hold of a third
    held_by_command = place.invoiced(name="paused")
    place.stripe("add_fault", name="slow", endpoint="POST /v1/invoices/{id}", times=1, seconds=UNANSWERED)
    command = place.stack.launch(tmp_log(place), "check", held_by_command.invoice_id, "--apply")
    place.until_held(held_by_command)
    pause(place, command)
    # Then another process finishes the work once their leases have run out
    bills = (at_checkpoint, at_finalize, held_by_command)
    another = free_port()
    place.stack.serve(another)
    place.until_paid(*bills)
    with place.store() as store:
        decided = [Links.of(store, bill).documents for bill in bills]
    written = place.all_writes()
    # and when the paused processes continue, they find their leases lost and write nothing
    paused.send_signal(signal.SIGCONT)
    command.send_signal(signal.SIGCONT)
    assert command.wait(timeout=PATIENCE) == 1
    assert "the lease on" in place.log("command")
    assert "Traceback" not in place.log("command")
    place.until_logged("is lost: nothing", times=2)
    assert place.all_writes() == written
    with place.store() as store:
        assert [Links.of(store, bill).documents for bill in bills] == decided
    for bill in bills:
        assert place.writes(bill.invoice_id) == ALL_THERE_IS_TO_DO
        assert place.charged()[bill.invoice_id] == 1
    # and serve still answers
    assert httpx.get(f"http://127.0.0.1:{place.stack.port}/readyz", trust_env=False).status_code == 200
    paused.terminate()
    assert paused.wait(timeout=PATIENCE) == 0
    assert "Traceback" not in place.log()


def pause(place: Town, process: subprocess.Popen[bytes]) -> None:
    """Pause a process in the middle of its work, but not of a write to SQLite, which all others would wait for."""
    process.send_signal(signal.SIGSTOP)
    while not may_write(place.stack.environment["PACSPACE_STRIPE_DATABASE_URL"]):
        process.send_signal(signal.SIGCONT)
        time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)


def may_write(database_url: str) -> bool:
    scheme, _, path = database_url.partition(":///")
    if scheme != "sqlite":
        return True
    with closing(sqlite3.connect(path, timeout=0.2)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


def finalized(place: Town, *bills: Bill) -> bool:
    return any(place.invoice(bill.invoice_id)["status"] == "open" for bill in bills)


def tmp_log(place: Town) -> Path:
    return place.stack.folder / "command.log"
