"""Statements of more windows than any footer can name."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pikepdf import Pdf

from pacspace_stripe.documents import examples
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.views import StatementView, footer_view, statement_windows
from pacspace_stripe.gate.rules.footer import ROOTS_IN_TABLE
from pacspace_stripe.verify import OnlineServices, StepOutcome, verify
from pacspace_stripe.vocabulary.canonical_json import canonical, digest
from tests.support.document_views import root
from tests.support.pdfs import dense, pages, retouched
from tests.support.received_documents import ReceivedDocuments, attached, received_documents
from tests.support.worlds import world


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceivedDocuments]:
    with world(tmp_path_factory.mktemp("world")) as town:
        town.subscribe()
        town.use("100")
        yield received_documents(town.run(timedelta(hours=4)))


def evidence_of(made: ReceivedDocuments, windows: int) -> bytes:
    """Return the evidence of an invoice with that many metered lines, each with a proof root."""
    document = made.document
    [window] = document["windows"]
    document["windows"] = [
        {
            **window,
            "meter": f"meter_{number}",
            "lines": [{**line, "id": f"{line['id']}_{number}"} for line in window["lines"]],
            "proof": {
                **window["proof"],
                "proof_root": root(number),
                "verify_url": f"https://app.pacspace.io/verify/{root(number)}",
            },
        }
        for number in range(windows)
    ]
    return canonical(document)


def view_of(evidence: bytes) -> StatementView:
    document, documents = json.loads(evidence), Documents(Templates())
    return replace(
        examples.statement(),
        verdict="matched",
        reason="EXACT",
        windows=statement_windows(document),
        evidence=evidence,
        footer=documents.render_footer(footer_view(document, digest(evidence))),
    )


def statement_with(made: ReceivedDocuments, windows: int) -> tuple[bytes, str]:
    """Return the PDF, and the footer that its view had."""
    view = view_of(evidence_of(made, windows))
    return Documents(Templates()).render_statement(view), view.footer


@pytest.mark.parametrize("windows", [1, 4, 25])
def test_every_root_is_on_every_page_while_an_invoices_footer_could_hold_them(
    made: ReceivedDocuments, windows: int
) -> None:
    pdf, footer = statement_with(made, windows)
    assert all(dense(footer) in dense(page) for page in pages(pdf))


@pytest.mark.parametrize("windows", [30, 90, 120, 250])
def test_with_more_windows_each_page_names_the_evidence_and_says_where_the_roots_are(
    tmp_path: Path, made: ReceivedDocuments, windows: int
) -> None:
    pdf, _ = statement_with(made, windows)
    shown = [dense(page) for page in pages(pdf)]
    sha256 = digest(evidence_of(made, windows))
    assert all(dense(ROOTS_IN_TABLE) in page and f"EvidenceSHA-256:{sha256}" in page for page in shown)
    assert all(root(number) in "".join(shown) for number in range(windows))
    assert outcome(tmp_path, pdf) is StepOutcome.HOLDS


def outcome(folder: Path, pdf: bytes) -> StepOutcome:
    path = folder / "statement.pdf"
    path.write_bytes(pdf)
    return verify(str(path), OnlineServices()).outcome


def without_last_page(pdf: Pdf) -> None:
    del pdf.pages[-1]


def test_a_long_statement_with_other_roots_or_without_some_is_refuted(tmp_path: Path, made: ReceivedDocuments) -> None:
    evidence = evidence_of(made, 90)
    other = canonical(json.loads(evidence.replace(root(7).encode(), root(400).encode())))
    pdf, _ = statement_with(made, 90)
    assert outcome(tmp_path, attached(pdf, other)) is StepOutcome.REFUTED
    assert outcome(tmp_path, retouched(pdf, without_last_page)) is StepOutcome.REFUTED
    forged = Documents(Templates()).render_statement(replace(view_of(evidence), windows=view_of(other).windows))
    assert outcome(tmp_path, forged) is StepOutcome.REFUTED
