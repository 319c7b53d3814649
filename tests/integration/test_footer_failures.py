"""A footer that cannot be rendered: the invoice is held until the template is corrected."""

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from pacspace_stripe.cli import cli
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.state import Waiver
from tests.integration.test_gate import kinds
from tests.support.worlds import world

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BROKEN = {
    "undefined": "{{ nobody }}",
    "syntax": "{% if %}",
    "blank": " \n",
    "markers": "— end of usage record —",
    "gone": None,
}
SETTINGS = {"strict": {}, "fast": {"finalize": "fast"}, "open": {"fail": "open"}}
MENDED = "Usage: {{ windows[0].usage }} {{ windows[0].proof_root }} {{ evidence_sha256 }}"


def broken(folder: Path, text: str | None) -> None:
    (folder / "invoice_footer.txt.jinja").write_text(text if text is not None else '{% extends "gone.jinja" %}')


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_footer_that_breaks_while_serve_runs_holds_the_invoice_until_it_is_mended(
    tmp_path: Path, text: str | None, settings: dict[str, str]
) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    with world(tmp_path, templates=str(templates), **settings) as made:
        made.subscribe()
        made.use("100")
        made.run(HOUR)
        broken(templates, text)
        made.run(2 * DAY)
        assert (made.invoice()["status"], made.invoice()["auto_advance"]) == ("draft", False)
        assert "pacspace_verdict" not in made.invoice()["metadata"]
        assert kinds(made).count("alert:footer_not_rendered") == 1
        assert "invoice_footer.txt.jinja" in made.memory().detail
        broken(templates, MENDED)
        made.run(2 * DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_proof_root"] in (find_block(made.invoice()["footer"]) or "")


def test_a_waiver_does_not_leave_without_its_footer_either(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    with world(tmp_path, templates=str(templates)) as made:
        made.subscribe()
        made.bill("100")
        made.run(DAY)
        broken(templates, "{{ nobody }}")
        waiver = Waiver(reason="agreed", by="jane", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.run(DAY)
        assert made.invoice()["status"] == "draft"
        broken(templates, MENDED)
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "waived"


def test_a_footer_too_long_for_stripe_is_alerted_and_shown(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe(customer_footer="x" * 4990)
        made.use("100")
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"
        assert kinds(made).count("alert:footer_too_long") == 1
        assert "footer_too_long" in kinds(made)
        assert "stamped without a footer: the footer would have" in made.memory().detail
        assert "stamped without a footer" in made.app.checker.check(made.invoice_id).detail
        environment = {"PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{tmp_path / 'world.db'}"}
        shown = CliRunner().invoke(cli, ["evidence", made.invoice_id], env=environment)
        assert (shown.exit_code, "stamped without a footer: the footer would have" in shown.stderr) == (0, True)
