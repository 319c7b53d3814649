"""The verifier offline: genuine documents hold, every tampered one is refuted or refused, and none crashes it."""

import json
import re
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from pacspace_stripe.verify import StepOutcome, verify
from pacspace_stripe.verify.verification import PACSPACE
from pacspace_stripe.vocabulary.canonical_json import digest
from tests.support.pdfs import retouched
from tests.support.received_documents import (
    ATTACHMENT,
    NOBODY,
    ReceivedDocuments,
    attached,
    billed_more,
    evidence_with,
    filespec,
    info_keywords,
    keywords,
    of_another_customer,
    of_second_invoice,
    received_documents,
    refuted_steps,
    swapped,
    verified,
    why,
)
from tests.support.worlds import world


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ReceivedDocuments:
    return of_second_invoice(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> ReceivedDocuments:
    return of_another_customer(tmp_path_factory.mktemp("elsewhere"))


# -- genuine ----------------------------------------------------------------------------------------------------------


def test_a_genuine_statement_holds(tmp_path: Path, made: ReceivedDocuments) -> None:
    report = verified(tmp_path, made.statement)
    assert report.outcome is StepOutcome.HOLDS, why(report)
    assert [step.number for step in report.steps] == [1, 2, 3, 4, 5, 6, 7]
    assert (report.kind, report.invoice, report.verdict) == ("PDF", made.invoice, "matched (EXACT)")


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_evidence_by_itself_holds(tmp_path: Path, made: ReceivedDocuments, end: bytes) -> None:
    report = verified(tmp_path, made.evidence + end)
    assert (report.outcome, report.kind) == (StepOutcome.HOLDS, "evidence"), why(report)


def test_the_report_names_what_is_not_proven(tmp_path: Path, made: ReceivedDocuments) -> None:
    said = " ".join(verified(tmp_path, made.statement).not_proven)
    assert "not recomputed" in said
    assert "what the vendor stamped" in said


def test_a_statement_of_several_pages_names_the_evidence_on_each(tmp_path: Path, made: ReceivedDocuments) -> None:
    report = verified(tmp_path, retouched(made.statement, lambda pdf: pdf.pages.append(pdf.pages[0])))
    assert report.outcome is StepOutcome.HOLDS, why(report)


def test_links_and_attached_files_cover_nothing(tmp_path: Path, made: ReceivedDocuments) -> None:
    for kind in (pikepdf.Name.Link, pikepdf.Name.FileAttachment):
        file = {"FS": pikepdf.Dictionary(F="other.txt")} if kind == pikepdf.Name.FileAttachment else {}
        report = verified(tmp_path, retouched(made.statement, noted(Subtype=kind, **file)))
        assert report.outcome is StepOutcome.HOLDS, why(report)


def test_a_rotated_page_is_read(tmp_path: Path, made: ReceivedDocuments) -> None:
    report = verified(tmp_path, retouched(made.statement, lambda pdf: pdf.pages[0].rotate(90, relative=True)))
    assert report.outcome is StepOutcome.HOLDS, why(report)


def test_a_pdf_that_anyone_may_open_is_read_although_it_is_encrypted(tmp_path: Path, made: ReceivedDocuments) -> None:
    locked = retouched(
        made.statement,
        lambda _: None,
        encryption=pikepdf.Encryption(owner="owner", user=""),
        deterministic_id=False,
    )
    report = verified(tmp_path, locked)
    assert report.outcome is StepOutcome.HOLDS, why(report)


@pytest.mark.parametrize(
    ("settings", "usage", "verdict"),
    [
        ({}, ("100", "90"), "drifted (OVERBILLED)"),
        ({}, ("0", "5"), "drifted (STRIPE_MISSING)"),
        ({}, ("0", "0"), "matched (ZERO)"),
        ({"tolerance": "2"}, ("100", "99"), "matched (WITHIN_TOLERANCE)"),
        ({"mode": "observe"}, ("100", "90"), "drifted (OVERBILLED)"),
        ({"mode": "observe"}, ("0", "0"), "matched (ZERO)"),
        ({"usage_sign": "positive"}, ("100", "-100"), "matched (EXACT)"),
    ],
)
def test_a_statement_of_any_verdict_holds(
    tmp_path: Path, settings: dict[str, str], usage: tuple[str, str], verdict: str
) -> None:
    with world(tmp_path, **settings) as town:
        town.subscribe()
        billed, recorded = usage
        if billed != "0":
            town.bill(billed)
        if recorded != "0":
            town.record(recorded)
        found = received_documents(town.run())
    for document in (found.statement, found.evidence):
        report = verified(tmp_path, document)
        assert (report.outcome, report.verdict) == (StepOutcome.HOLDS, verdict), why(report)


@pytest.mark.parametrize("meters", [2, 5])
def test_several_meters_have_several_roots_and_all_of_them_are_checked(tmp_path: Path, meters: int) -> None:
    with world(tmp_path, ledger_account="{customer}:{meter}") as town:
        names = [f"meter_{number}" for number in range(meters)]
        town.subscribe(prices=[town.stripe.add_price(town.stripe.add_meter(name)) for name in names])
        for number, name in enumerate(names, start=1):
            town.bill(f"{number}.5", meter=name)
            town.record(f"{number}.5", account=f"cus_acme:{name}")
        found = received_documents(town.run())
    roots = [window["proof"]["proof_root"] for window in found.document["windows"]]
    assert len(set(roots)) == meters
    for document in (found.statement, found.bundle):
        report = verified(tmp_path, document)
        assert report.outcome is StepOutcome.HOLDS, why(report)
    for root in roots:
        forged = in_content(found.statement, root, f"Proof root: {swapped(root)}")
        assert verified(tmp_path, forged).outcome is StepOutcome.REFUTED


@pytest.mark.parametrize("settings", [{"ledger": "settlement"}, {"mode": "observe"}])
def test_usage_that_no_proof_root_covers_stays_open(tmp_path: Path, settings: dict[str, str]) -> None:
    with world(tmp_path, **settings) as town:
        town.subscribe()
        if "ledger" in settings:
            town.bill("100")
            town.write("100")
        else:
            town.use("100")
        found = received_documents(town.run())
    for document in (found.statement, found.bundle, found.evidence):
        report = verified(tmp_path, document)
        assert report.outcome is StepOutcome.CANNOT_TELL, why(report)
        assert [step.checked for step in report.steps if step.result.outcome is StepOutcome.CANNOT_TELL] == [PACSPACE]
        assert any("nothing of PacSpace stands behind" in unproven for unproven in report.not_proven)


def test_documents_of_an_invoice_that_changed_after_its_footer_froze_are_genuine(tmp_path: Path) -> None:
    with world(tmp_path, finalize="fast") as town:
        town.subscribe()
        town.use("100")
        while not town.stripe.invoices() or "pacspace_verdict" not in town.invoice()["metadata"]:
            town.run(timedelta(minutes=5))
        town.bill("5")
        found = received_documents(town.run())
        stamped = town.app.invoice_stamper.stamp(town.invoice_id).pdf
    assert found.document["decision"]["reason"] == "CHANGED_AT_FINALIZATION"
    for document in (found.statement, found.bundle):
        report = verified(tmp_path, document)
        assert report.outcome is StepOutcome.HOLDS, why(report)
    report = verified(tmp_path, stamped)
    assert (report.outcome, refuted_steps(report)) == (StepOutcome.CANNOT_TELL, []), why(report)
    assert "an earlier stamp that froze into the invoice" in why(report)


# -- the statement, tampered with -------------------------------------------------------------------------------------


def root_swapped(document: Any) -> None:  # noqa: ANN401 - JSON
    document["windows"][0]["proof"]["proof_root"] = swapped(document["windows"][0]["proof"]["proof_root"])


def in_content(pdf: bytes, old: str, new: str) -> bytes:
    """Return the statement with other text drawn over its footer."""

    def draw(document: pikepdf.Pdf) -> None:
        page = document.pages[0]
        document.pages[0].contents_add(b"", prepend=False)
        font = document.make_indirect(
            pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Courier)
        )
        page.add_resource(font, pikepdf.Name.Font, pikepdf.Name("/FForged"))
        drawn = f"BT /FForged 6 Tf 20 20 Td ({new}) Tj ET".encode("latin-1")
        page.contents_add(b"q " + drawn + b" Q", prepend=False)

    assert old != new
    return retouched(pdf, draw)


def blank(pdf: pikepdf.Pdf) -> None:
    pdf.add_blank_page()


def page_without_footer(pdf: pikepdf.Pdf) -> None:
    """Add a page with text of its own and without our footer."""
    pdf.add_blank_page()
    page = pdf.pages[-1]
    font = pdf.make_indirect(
        pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Courier)
    )
    page.add_resource(font, pikepdf.Name.Font, pikepdf.Name("/F1"))
    page.contents_add(b"BT /F1 12 Tf 50 50 Td (A page of somebody else's) Tj ET")


def noted(**said: Any) -> Callable[[pikepdf.Pdf], None]:  # noqa: ANN401 - of a PDF
    """Return a change that adds an annotation to the first page."""

    def change(pdf: pikepdf.Pdf) -> None:
        note = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Rect=[0, 0, 600, 100], **said)
        pdf.pages[0].Annots = pikepdf.Array([*pdf.pages[0].get("/Annots", []), pdf.make_indirect(note)])

    return change


def xmp_keywords(made: ReceivedDocuments, old: bytes, new: bytes) -> bytes:
    def change(pdf: pikepdf.Pdf) -> None:
        packet = pdf.Root.Metadata.read_bytes()
        assert old in packet
        pdf.Root.Metadata.write(packet.replace(old, new))

    return retouched(made.statement, change)


def tampered_statements(made: ReceivedDocuments, other: ReceivedDocuments) -> dict[str, bytes]:
    sha, root = digest(made.evidence), made.root
    heading, evidence = "Metered usage as recorded in PacSpace ", f" Evidence SHA-256: {sha}"
    pretty = json.dumps(made.document, indent=1).encode()
    reordered = json.dumps(dict(reversed(made.document.items())), separators=(",", ":")).encode()
    twice = b'{"invoice":"in_another",' + made.evidence[1:]
    huge = made.evidence.replace(b'"count":2', b'"count":' + b"9" * 5000)
    assert huge != made.evidence
    changed = {
        "one digit more is billed": evidence_with(made, billed_more),
        "another root in the evidence": evidence_with(made, root_swapped),
        "another place in the chain": evidence_with(made, lambda it: it["chain"].update(sequence=1)),
        "another verdict": evidence_with(made, lambda it: it["decision"].update(verdict="drifted")),
        "the confirmation of the decision": made.files["evidence/0004.json"],
        "keys in another order": reordered,
        "with spaces": pretty,
        "a name twice": twice,
        "a huge number": huge,
        "nested for ever": b"[" * 100_000,
        "cut off": made.evidence[:-10],
        "nothing": b"",
        "not JSON": b"%PDF-1.7",
        "the evidence of another invoice": other.evidence,
    }
    return {
        **{f"evidence: {name}": attached(made.plain, data) for name, data in changed.items()},
        "keywords: another hash in the document information": info_keywords(made, keywords("0" * 64, root)),
        "keywords: another root in the document information": info_keywords(made, keywords(sha, swapped(root))),
        "keywords: one root more": info_keywords(made, f"{keywords(sha, root)}, proof-root:{swapped(root)}"),
        "keywords: one hash more": info_keywords(made, f"{keywords(sha, root)}, evidence-sha256:{'0' * 64}"),
        "keywords: nothing of ours": info_keywords(made, "usage, invoice"),
        "keywords: another hash in XMP": xmp_keywords(made, sha.encode(), b"0" * 64),
        "keywords: another root in XMP": xmp_keywords(made, root.encode(), swapped(root).encode()),
        "footer: another root": in_content(made.statement, root, f"Proof root: {swapped(root)}"),
        "footer: another hash": in_content(made.statement, sha, f"Evidence SHA-256: {'0' * 64}"),
        "footer: another figure": in_content(made.statement, "10", f"{heading}api_calls: 9 in 2 records{evidence}"),
        "footer: missing on a page": retouched(made.statement, page_without_footer),
        "the pages of another invoice": attached(other.plain, made.evidence),
    }


REFUSED_STATEMENTS = {
    "a note over the footer",
    "a link with a look of its own",
    "a stamp of a kind that nobody knows",
    "without keywords in the document information",
    "without keywords in XMP",
    "without metadata",
    "a page without text",
    "without an attachment",
    "an attachment of another name",
    "two attachments of the name",
    "a second one among the associated files",
    "a second one in a note",
    "two contents of one attachment",
    "encrypted",
    "cut in half",
    "cut at its end",
    "without a cross-reference table",
    "only a header",
    "a bomb in the attachment",
    "a bomb in a page",
    "metadata with declarations",
    "metadata that are no XML",
}


def refused_statements(made: ReceivedDocuments) -> dict[str, bytes]:
    genuine = made.statement

    def second(pdf: pikepdf.Pdf) -> pikepdf.Object:
        return pdf.make_indirect(filespec(pdf, ATTACHMENT, b"{}").obj)

    def among_associated(pdf: pikepdf.Pdf) -> None:
        pdf.Root.AF.append(second(pdf))

    def in_note(pdf: pikepdf.Pdf) -> None:
        note = {"/Type": pikepdf.Name.Annot, "/Subtype": pikepdf.Name.FileAttachment, "/Rect": [0, 0, 9, 9]}
        pdf.pages[0].Annots = pikepdf.Array([pdf.make_indirect(pikepdf.Dictionary({**note, "/FS": second(pdf)}))])

    def two_contents(pdf: pikepdf.Pdf) -> None:
        pdf.Root.AF[0].EF.F = pdf.make_stream(b"{}")

    def without_metadata(pdf: pikepdf.Pdf) -> None:
        del pdf.Root.Metadata

    def bomb(pdf: pikepdf.Pdf) -> None:
        packed = zlib.compress(b"0" * 8_000_000)
        for name in list(pdf.Root.AF[0].EF.keys()):
            pdf.Root.AF[0].EF[name].write(packed, filter=pikepdf.Name.FlateDecode)

    def page_bomb(pdf: pikepdf.Pdf) -> None:
        packed = zlib.compress(b" " * 300_000_000, 9)
        pdf.pages[0].Contents = pdf.make_stream(b"")
        pdf.pages[0].Contents.write(packed, filter=pikepdf.Name.FlateDecode)

    def metadata(data: bytes) -> bytes:
        return retouched(genuine, lambda pdf: pdf.Root.Metadata.write(data))

    locked = pikepdf.Encryption(owner="owner", user="secret")
    return {
        "without keywords in the document information": info_keywords(made, None),
        "without keywords in XMP": xmp_keywords(made, b"pdf:Keywords", b"pdf:Others"),
        "without metadata": retouched(genuine, without_metadata),
        "a page without text": retouched(genuine, blank),
        "a note over the footer": retouched(genuine, noted(Subtype=pikepdf.Name.FreeText)),
        "a link with a look of its own": retouched(genuine, noted(Subtype=pikepdf.Name.Link, AP={})),
        "a stamp of a kind that nobody knows": retouched(genuine, noted()),
        "without an attachment": made.plain,
        "an attachment of another name": attached(made.plain, made.evidence, name="other.json"),
        "two attachments of the name": attached(made.plain, made.evidence, more={ATTACHMENT: b"{}"}),
        "a second one among the associated files": retouched(genuine, among_associated),
        "a second one in a note": retouched(genuine, in_note),
        "two contents of one attachment": retouched(genuine, two_contents),
        "encrypted": retouched(genuine, lambda _: None, encryption=locked, deterministic_id=False),
        "cut in half": genuine[: len(genuine) // 2],
        "cut at its end": genuine[:-20],
        "without a cross-reference table": re.sub(rb"startxref\s+\d+", b"startxref 7", genuine),
        "only a header": b"%PDF-1.7\n",
        "a bomb in the attachment": retouched(genuine, bomb),
        "a bomb in a page": retouched(genuine, page_bomb),
        "metadata with declarations": metadata(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        "metadata that are no XML": metadata(b"<a><b>"),
    }


@pytest.fixture(scope="module")
def tampered(made: ReceivedDocuments, other: ReceivedDocuments) -> dict[str, bytes]:
    return tampered_statements(made, other)


def test_every_tampered_statement_is_refuted(tmp_path: Path, tampered: dict[str, bytes]) -> None:
    reports = {name: verified(tmp_path, data) for name, data in tampered.items()}
    assert {name: why(report) for name, report in reports.items() if report.outcome is not StepOutcome.REFUTED} == {}


def test_every_unreadable_statement_is_refused(tmp_path: Path, made: ReceivedDocuments) -> None:
    reports = {name: verified(tmp_path, data) for name, data in refused_statements(made).items()}
    assert reports.keys() == REFUSED_STATEMENTS
    assert {
        name: why(report) for name, report in reports.items() if report.outcome is not StepOutcome.CANNOT_TELL
    } == {}


def test_a_hash_that_is_not_the_stamped_one_is_refuted_even_for_unreadable_evidence(
    tmp_path: Path, tampered: dict[str, bytes]
) -> None:
    report = verified(tmp_path, tampered["evidence: a name twice"])
    assert [step.result.outcome for step in report.steps] == [StepOutcome.CANNOT_TELL, StepOutcome.REFUTED]


def test_a_forger_who_changes_every_stamp_is_refuted_by_the_sums(tmp_path: Path, made: ReceivedDocuments) -> None:
    forged = evidence_with(made, billed_more)
    old, new = digest(made.evidence), digest(forged)

    def everywhere(pdf: pikepdf.Pdf) -> None:
        pdf.trailer.Info.Keywords = keywords(new, made.root)
        pdf.Root.Metadata.write(pdf.Root.Metadata.read_bytes().replace(old.encode(), new.encode()))

    report = verified(tmp_path, retouched(attached(made.plain, forged), everywhere))
    assert "sums and counts add up, and the verdict follows" in refuted_steps(report)


# -- a PDF that only names a root -------------------------------------------------------------------------------------


def test_a_pdf_with_only_the_printed_footer_is_refused_with_what_to_do_next(
    tmp_path: Path, made: ReceivedDocuments
) -> None:
    said = why(verified(tmp_path, made.plain))
    assert f"`pacspace-stripe verify {made.root}`" in said
    assert "ask the vendor" in said
    (bare,) = verified(tmp_path, retouched(made.plain, only_somebody_elses_page)).steps
    assert bare.result.detail == "the PDF cannot be verified: it carries no evidence.json"


def only_somebody_elses_page(pdf: pikepdf.Pdf) -> None:
    page_without_footer(pdf)
    del pdf.pages[0]


# -- files of another kind --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"hello", b"GIF89a", b"\x00" * 1000, b"[]", b"{}", b"{" * 100_000])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes) -> None:
    assert verified(tmp_path, data).outcome is StepOutcome.CANNOT_TELL


@pytest.mark.parametrize("target", ["nowhere.pdf", ".", "a\x00b", "x" * 5000, ""])
def test_a_target_that_is_no_file_is_refused(target: str) -> None:
    assert verify(target, NOBODY).outcome is StepOutcome.CANNOT_TELL


@pytest.mark.parametrize("target", ["in_123", f"0x{'ab' * 32}"])
def test_an_invoice_id_or_a_root_proves_nothing_offline(target: str) -> None:
    report = verify(target, NOBODY)
    assert report.outcome is StepOutcome.CANNOT_TELL
    assert {step.result.outcome for step in report.steps} == {StepOutcome.SKIPPED}


def test_no_text_of_a_document_can_act_on_a_terminal(tmp_path: Path, made: ReceivedDocuments) -> None:
    hostile = evidence_with(made, lambda it: it["windows"][0].update(meter="\x1b]0;evil\x07\u202e\x9b31m", billed="11"))
    report = verified(tmp_path, hostile)
    said = "".join(step.result.detail for step in report.steps)
    assert report.outcome is StepOutcome.REFUTED
    assert said.isprintable()
