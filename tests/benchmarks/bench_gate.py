"""Cost of the gate beside its calls: one matched invoice from first sight to release, in process."""

import statistics
import time
from pathlib import Path

from tests.support.worlds import world

INVOICES = 40


def test_a_matched_invoice_costs_little_beside_its_calls(tmp_path: Path) -> None:
    with world(tmp_path, settle="0") as made:
        made.stripe.configure(finalization_delay=1)
        for number in range(INVOICES):
            made.subscribe(f"cus_{number}")
            made.use("10", customer=f"cus_{number}")
        began = time.perf_counter()
        made.run(7200)
        took = (time.perf_counter() - began) * 1000
        calls = len(made.stripe_calls()) + len(made.ledger_calls())
        simulated = simulator_ms(made.stripe_calls().count("GET /v1/invoices/{id}"), tmp_path)
        print(f"\n{INVOICES} invoices: {took / INVOICES:.1f} ms each, {calls / INVOICES:.1f} calls each;")
        print(f"a whole look is {took / calls / simulated:.1f} times the simulator's own time for a call")
        assert len(made.left) == INVOICES


def simulator_ms(reads: int, folder: Path) -> float:
    """The median time that the simulator alone takes to answer a read."""
    (folder / "alone").mkdir()
    with world(folder / "alone") as made:
        made.subscribe()
        made.use("1")
        made.run(3700)
        times = []
        for _ in range(max(reads, 30)):
            began = time.perf_counter()
            made.app.stripe.read_invoice(made.invoice_id)
            times.append((time.perf_counter() - began) * 1000)
        return statistics.median(times)
