"""The verifier offline: genuine papers hold, every tampered one is refuted or refused, and none crashes it."""

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from pacspace_stripe.verify import OnlineServices, StepOutcome, VerificationReport, verify
from pacspace_stripe.verify.verification import PACSPACE
from pacspace_stripe.vocabulary.canonical_json import canonical, digest
from tests.support.pdfs import retouched
from tests.support.received_requests import ATTACHMENT, Papers, attached, filespec, papers, swapped, zipped
from tests.support.worlds import world

NOBODY = OnlineServices()
BAD = {StepOutcome.REFUTED, StepOutcome.CANNOT_TELL}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Papers]:
    """Of the second invoice of a subscription, matched and finalized."""
    with world(tmp_path_factory.mktemp("world")) as town:
        town.subscribe()
        town.use("100")
        town.run(timedelta(days=15))
        town.use("7.5", at=town.clock.now() - timedelta(hours=2))
        town.use("2.5", at=town.clock.now() - timedelta(hours=1))
        town.run(timedelta(days=16))
        yield papers(town)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Papers]:
    """Of another vendor's customer: as genuine, and not what the first is about."""
    with world(tmp_path_factory.mktemp("elsewhere")) as town:
        town.subscribe("cus_other")
        town.use("3", customer="cus_other")
        yield papers(town.run())


def verified(folder: Path, data: bytes, name: str = "paper") -> VerificationReport:
    path = folder / name
    path.write_bytes(data)
    return verify(str(path), NOBODY)


def refuted_steps(report: VerificationReport) -> list[str]:
    return [step.checked for step in report.steps if step.result.outcome is StepOutcome.REFUTED]


def why(report: VerificationReport) -> str:
    return "\n".join(f"{step.number}. {step.checked}: {step.result}" for step in report.steps)


# -- genuine ----------------------------------------------------------------------------------------------------------


def test_a_genuine_statement_holds(tmp_path: Path, made: Papers) -> None:
    report = verified(tmp_path, made.statement)
    assert report.outcome is StepOutcome.HOLDS, why(report)
    assert [step.number for step in report.steps] == [1, 2, 3, 4, 5, 6, 7]
    assert (report.kind, report.invoice, report.verdict) == ("PDF", made.invoice, "matched (EXACT)")


def test_a_genuine_bundle_holds(tmp_path: Path, made: Papers) -> None:
    report = verified(tmp_path, made.bundle)
    assert report.outcome is StepOutcome.HOLDS, why(report)
    assert {step.result.outcome for step in report.steps[:10]} == {StepOutcome.HOLDS}
    assert {step.result.outcome for step in report.steps[10:]} == {StepOutcome.SKIPPED}


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_evidence_by_itself_holds(tmp_path: Path, made: Papers, end: bytes) -> None:
    report = verified(tmp_path, made.evidence + end)
    assert (report.outcome, report.kind) == (StepOutcome.HOLDS, "evidence"), why(report)


def test_what_is_not_proven_is_said(tmp_path: Path, made: Papers) -> None:
    said = " ".join(verified(tmp_path, made.statement).not_proven)
    assert "not recomputed" in said
    assert "what the vendor stamped" in said


def test_a_statement_of_several_pages_names_the_evidence_on_each(tmp_path: Path, made: Papers) -> None:
    report = verified(tmp_path, retouched(made.statement, lambda pdf: pdf.pages.append(pdf.pages[0])))
    assert report.outcome is StepOutcome.HOLDS, why(report)


def test_links_and_attached_files_cover_nothing(tmp_path: Path, made: Papers) -> None:
    for kind in (pikepdf.Name.Link, pikepdf.Name.FileAttachment):
        file = {"FS": pikepdf.Dictionary(F="other.txt")} if kind == pikepdf.Name.FileAttachment else {}
        report = verified(tmp_path, retouched(made.statement, noted(Subtype=kind, **file)))
        assert report.outcome is StepOutcome.HOLDS, why(report)


def test_a_rotated_page_is_read_all_the_same(tmp_path: Path, made: Papers) -> None:
    report = verified(tmp_path, retouched(made.statement, lambda pdf: pdf.pages[0].rotate(90, relative=True)))
    assert report.outcome is StepOutcome.HOLDS, why(report)


def test_a_pdf_that_anyone_may_open_is_read_although_it_is_encrypted(tmp_path: Path, made: Papers) -> None:
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
        found = papers(town.run())
    for paper in (found.statement, found.evidence):
        report = verified(tmp_path, paper)
        assert (report.outcome, report.verdict) == (StepOutcome.HOLDS, verdict), why(report)


@pytest.mark.parametrize("meters", [2, 5])
def test_several_meters_have_several_roots_and_all_of_them_are_checked(tmp_path: Path, meters: int) -> None:
    with world(tmp_path, ledger_account="{customer}:{meter}") as town:
        names = [f"meter_{number}" for number in range(meters)]
        town.subscribe(prices=[town.stripe.add_price(town.stripe.add_meter(name)) for name in names])
        for number, name in enumerate(names, start=1):
            town.bill(f"{number}.5", meter=name)
            town.record(f"{number}.5", account=f"cus_acme:{name}")
        found = papers(town.run())
    roots = [window["proof"]["proof_root"] for window in found.document["windows"]]
    assert len(set(roots)) == meters
    for paper in (found.statement, found.bundle):
        report = verified(tmp_path, paper)
        assert report.outcome is StepOutcome.HOLDS, why(report)
    for root in roots:
        forged = in_content(found.statement, root, f"Proof root: {swapped(root)}")
        assert verified(tmp_path, forged).outcome is StepOutcome.REFUTED


def test_the_bundle_of_a_held_draft_holds_although_nothing_is_stamped(tmp_path: Path) -> None:
    with world(tmp_path) as town:
        town.subscribe()
        town.bill("100")
        town.record("90")
        found = papers(town.run())
    report = verified(tmp_path, found.bundle)
    assert (report.outcome, report.verdict) == (StepOutcome.HOLDS, "drifted (OVERBILLED)"), why(report)


@pytest.mark.parametrize("settings", [{"ledger": "settlement"}, {"mode": "observe"}])
def test_what_no_proof_root_covers_is_the_vendors_word_alone(tmp_path: Path, settings: dict[str, str]) -> None:
    with world(tmp_path, **settings) as town:
        town.subscribe()
        if "ledger" in settings:
            town.bill("100")
            town.write("100")
        else:
            town.use("100")
        found = papers(town.run())
    for paper in (found.statement, found.bundle, found.evidence):
        report = verified(tmp_path, paper)
        assert report.outcome is StepOutcome.CANNOT_TELL, why(report)
        assert [step.checked for step in report.steps if step.result.outcome is StepOutcome.CANNOT_TELL] == [PACSPACE]
        assert any("nothing of PacSpace stands behind" in unproven for unproven in report.not_proven)


def test_papers_of_an_invoice_that_changed_after_its_footer_froze_are_genuine(tmp_path: Path) -> None:
    with world(tmp_path, finalize="fast") as town:
        town.subscribe()
        town.use("100")
        while not town.stripe.invoices() or "pacspace_verdict" not in town.invoice()["metadata"]:
            town.run(timedelta(minutes=5))
        town.bill("5")
        found = papers(town.run())
        stamped = town.app.invoice_stamper.stamp(town.invoice_id).pdf
    assert found.document["decision"]["reason"] == "CHANGED_AT_FINALIZATION"
    for paper in (found.statement, found.bundle):
        report = verified(tmp_path, paper)
        assert report.outcome is StepOutcome.HOLDS, why(report)
    report = verified(tmp_path, stamped)
    assert (report.outcome, refuted_steps(report)) == (StepOutcome.CANNOT_TELL, []), why(report)
    assert "an earlier stamp that froze into the invoice" in why(report)


# -- the statement, tampered with -------------------------------------------------------------------------------------


def evidence_with(made: Papers, change: Callable[[Any], None]) -> bytes:
    """The evidence after a forger's change, canonical again."""
    document = made.document
    change(document)
    return canonical(document)


def billed_more(document: Any) -> None:  # noqa: ANN401 - JSON
    document["windows"][0]["billed"] = "11"


def root_swapped(document: Any) -> None:  # noqa: ANN401 - JSON
    document["windows"][0]["proof"]["proof_root"] = swapped(document["windows"][0]["proof"]["proof_root"])


def in_content(pdf: bytes, old: str, new: str) -> bytes:
    """The statement with other text in its footer: drawn over in the font that the page already has."""

    def draw(document: pikepdf.Pdf) -> None:
        page = document.pages[0]
        document.pages[0].contents_add(b"", prepend=False)
        font = document.make_indirect(
            pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.AlertWorker)
        )
        page.add_resource(font, pikepdf.Name.Font, pikepdf.Name("/FForged"))
        drawn = f"BT /FForged 6 Tf 20 20 Td ({new}) Tj ET".encode("latin-1")
        page.contents_add(b"q " + drawn + b" Q", prepend=False)

    assert old != new
    return retouched(pdf, draw)


def blank(pdf: pikepdf.Pdf) -> None:
    pdf.add_blank_page()


def page_without_footer(pdf: pikepdf.Pdf) -> None:
    """One more page with text of its own and nothing of ours."""
    pdf.add_blank_page()
    page = pdf.pages[-1]
    font = pdf.make_indirect(
        pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.AlertWorker)
    )
    page.add_resource(font, pikepdf.Name.Font, pikepdf.Name("/F1"))
    page.contents_add(b"BT /F1 12 Tf 50 50 Td (A page of somebody else's) Tj ET")


def noted(**said: Any) -> Callable[[pikepdf.Pdf], None]:  # noqa: ANN401 - of a PDF
    """An annotation on the first page, beside those that are there."""

    def change(pdf: pikepdf.Pdf) -> None:
        note = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Rect=[0, 0, 600, 100], **said)
        pdf.pages[0].Annots = pikepdf.Array([*pdf.pages[0].get("/Annots", []), pdf.make_indirect(note)])

    return change


def info_keywords(made: Papers, words: str | None) -> bytes:
    def change(pdf: pikepdf.Pdf) -> None:
        if words is None:
            del pdf.trailer.Info.Keywords
        else:
            pdf.trailer.Info.Keywords = words

    return retouched(made.statement, change)


def xmp_keywords(made: Papers, old: bytes, new: bytes) -> bytes:
    def change(pdf: pikepdf.Pdf) -> None:
        packet = pdf.Root.Metadata.read_bytes()
        assert old in packet
        pdf.Root.Metadata.write(packet.replace(old, new))

    return retouched(made.statement, change)


def keywords(sha256: str, root: str) -> str:
    return f"evidence-sha256:{sha256}, proof-root:{root}"


def tampered_statements(made: Papers, other: Papers) -> dict[str, bytes]:
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


def refused_statements(made: Papers) -> dict[str, bytes]:
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
def tampered(made: Papers, other: Papers) -> dict[str, bytes]:
    return tampered_statements(made, other)


def test_every_tampered_statement_is_refuted(tmp_path: Path, tampered: dict[str, bytes]) -> None:
    reports = {name: verified(tmp_path, data) for name, data in tampered.items()}
    assert {name: why(report) for name, report in reports.items() if report.outcome is not StepOutcome.REFUTED} == {}


def test_every_unreadable_statement_is_refused(tmp_path: Path, made: Papers) -> None:
    reports = {name: verified(tmp_path, data) for name, data in refused_statements(made).items()}
    assert reports.keys() == REFUSED_STATEMENTS
    assert {
        name: why(report) for name, report in reports.items() if report.outcome is not StepOutcome.CANNOT_TELL
    } == {}


def test_a_hash_that_is_not_the_stamped_one_is_named_even_of_what_cannot_be_read(
    tmp_path: Path, tampered: dict[str, bytes]
) -> None:
    report = verified(tmp_path, tampered["evidence: a name twice"])
    assert [step.result.outcome for step in report.steps] == [StepOutcome.CANNOT_TELL, StepOutcome.REFUTED]


def test_a_forger_who_changes_all_that_is_stamped_still_has_to_make_it_add_up(tmp_path: Path, made: Papers) -> None:
    forged = evidence_with(made, billed_more)
    old, new = digest(made.evidence), digest(forged)

    def everywhere(pdf: pikepdf.Pdf) -> None:
        pdf.trailer.Info.Keywords = keywords(new, made.root)
        pdf.Root.Metadata.write(pdf.Root.Metadata.read_bytes().replace(old.encode(), new.encode()))

    report = verified(tmp_path, retouched(attached(made.plain, forged), everywhere))
    assert "sums and counts add up, and the verdict follows" in refuted_steps(report)


# -- the bundle, tampered with ----------------------------------------------------------------------------------------


def link(made: Papers, number: int, change: Callable[[Any], None]) -> dict[str, bytes | None]:
    document = json.loads(made.files[f"evidence/{number:04}.json"])
    change(document)
    return {f"evidence/{number:04}.json": canonical(document)}


def rows(made: Papers, change: Callable[[Any], None]) -> dict[str, bytes | None]:
    return json_file(made, "ledger/0001-records.json", change)


def json_file(made: Papers, name: str, change: Callable[[Any], None]) -> dict[str, bytes | None]:
    document = json.loads(made.files[name])
    change(document)
    return {name: canonical(document) if isinstance(document, dict) else json.dumps(document).encode()}


def tampered_folders(made: Papers, other: Papers) -> dict[str, Mapping[str, bytes | None]]:
    """Files of bundles whose manifest is right about them: made by somebody who knows how."""
    links = {name: data for name, data in made.files.items() if name.startswith("evidence/")}
    first, second, third, fourth = sorted(links)
    root = swapped(made.root)
    return {
        "a link of the chain is missing": {second: None},
        "the first link is missing": {first: None},
        "two links change places": {first: links[second], second: links[first]},
        "a link stands twice": {fourth: links[third]},
        "the links moved up": {first: links[second], second: links[third], third: links[fourth], fourth: None},
        "an earlier decision changed": link(made, 1, billed_more),
        "the decision changed": link(made, 3, billed_more),
        "what confirms it says another figure": link(made, 4, lambda it: it["windows"][0].update(billed="11")),
        "what confirms it confirms nothing": link(made, 4, lambda it: it.update(confirms="0" * 64)),
        "a link that is not canonical": {first: links[first] + b" "},
        "a link that cannot be read": {first: b"{}"},
        "the chain of another subscription": {first: other.files["evidence/0001.json"]},
        "a record removed": rows(made, lambda it: it["records"].pop()),
        "a record removed, and the sums made right": rows(made, lambda it: it.update(records=[], net="0", count=0)),
        "a record twice": rows(made, lambda it: it["records"].append(it["records"][0])),
        "a record's amount changed": rows(made, lambda it: it["records"][0].update(delta="-8")),
        "the rows of another account": rows(made, lambda it: it.update(account="cus_other")),
        "the rows of another period": rows(made, lambda it: it.update(end="2027-01-01T00:00:00Z")),
        "no rows": {"ledger/0001-records.json": None},
        "a receipt with another count": json_file(
            made, "ledger/0001-receipt.json", lambda it: it.update(deltaCount=1, deltasCount=1)
        ),
        "no receipt": {"ledger/0001-receipt.json": None},
        "PacSpace says another count": json_file(
            made, "ledger/0001-verify.json", lambda it: it["summary"].update(recordCount=3)
        ),
        "PacSpace says another net change": json_file(
            made, "ledger/0001-verify.json", lambda it: it["summary"].update(netChange="-11")
        ),
        "PacSpace does not know the root": json_file(
            made, "ledger/0001-verify.json", lambda it: it.update(verified=False)
        ),
        "no verify answer": {"ledger/0001-verify.json": None},
        "another stamp": json_file(
            made, "stripe/invoice.json", lambda it: it["metadata"].update(pacspace_evidence_sha256="0" * 64)
        ),
        "another root stamped": json_file(
            made, "stripe/invoice.json", lambda it: it["metadata"].update(pacspace_proof_root=root)
        ),
        "another verdict stamped": json_file(
            made, "stripe/invoice.json", lambda it: it["metadata"].update(pacspace_verdict="waived")
        ),
        "another root in the footer": json_file(
            made, "stripe/invoice.json", lambda it: it.update(footer=it["footer"].replace(made.root, root))
        ),
        "the invoice of another": json_file(made, "stripe/invoice.json", lambda it: it.update(invoice="in_other")),
        "a line that bills more": json_file(made, "stripe/lines.json", lambda it: it[0].update(quantity="11")),
        "no lines": json_file(made, "stripe/lines.json", lambda it: it.clear()),
        "the statement of another": {"statement.pdf": other.statement},
        "a statement without evidence": {"statement.pdf": made.plain},
        "a statement with another root in its keywords": {
            "statement.pdf": info_keywords(made, keywords(digest(made.evidence), root))
        },
        "no statement": {"statement.pdf": None},
        "no summary": {"summary.pdf": None},
        "a summary that cannot be read": {"summary.pdf": made.plain[:-100]},
    }


def test_every_tampered_bundle_is_refuted_even_with_a_manifest_that_fits(
    tmp_path: Path, made: Papers, other: Papers
) -> None:
    reports = {
        name: verified(tmp_path, made.with_files(changes).bundle)
        for name, changes in tampered_folders(made, other).items()
    }
    assert {name: why(report) for name, report in reports.items() if report.outcome is not StepOutcome.REFUTED} == {}


def test_a_manifest_that_does_not_fit_is_refuted(tmp_path: Path, made: Papers, other: Papers) -> None:
    earlier = digest(made.files["evidence/0001.json"])
    manifests: dict[str, bytes] = {
        "of another invoice": made.manifest(invoice="in_other"),
        "of evidence that is not there": made.manifest(evidence_sha256="0" * 64),
        "of an earlier decision": made.manifest(evidence_sha256=earlier),
        "of a confirmation": made.manifest(evidence_sha256=digest(made.files["evidence/0004.json"])),
        "of no files": made.manifest(files={}),
        "of one file more": made.manifest(files={"stripe/more.json": {"sha256": "0" * 64, "bytes": 1}}),
        "with spaces": json.dumps(json.loads(made.manifest()), indent=1).encode(),
        "of another bundle": other.manifest(),
    }
    reports = {
        name: verified(tmp_path, zipped({**made.files, "manifest.json": data})) for name, data in manifests.items()
    }
    assert {name: why(report) for name, report in reports.items() if report.outcome is not StepOutcome.REFUTED} == {}


def test_what_could_not_be_fetched_leaves_the_question_open(tmp_path: Path, made: Papers) -> None:
    name = "ledger/0001-records.json"
    short = made.with_files({name: None})
    manifest = short.manifest(missing=[{"name": name, "why": "PacSpace: no answer"}])
    report = verified(tmp_path, zipped({**short.files, "manifest.json": manifest}))
    assert (report.outcome, refuted_steps(report)) == (StepOutcome.CANNOT_TELL, []), why(report)


def test_a_ledger_that_grew_after_the_root_was_made_refutes_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as town:
        town.subscribe()
        town.use("100")
        town.run()
        town.record("3")
        found = papers(town)
    report = verified(tmp_path, found.bundle)
    assert (report.outcome, refuted_steps(report)) == (StepOutcome.CANNOT_TELL, []), why(report)
    said = "the ledger got records after the proof root was made"
    assert [said in step.result.detail for step in report.steps[5:7]] == [True, True], why(report)


def entry(name: str, data: bytes = b"x") -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        archive.writestr(zipfile.ZipInfo(name), data)

    return add


def archive_with(made: Papers, *adds: Callable[[zipfile.ZipFile], None]) -> bytes:
    out = io.BytesIO(made.bundle)
    with zipfile.ZipFile(out, "a") as archive:
        for add in adds:
            add(archive)
    return out.getvalue()


def bomb(made: Papers) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", made.manifest())
        archive.writestr("evidence/0001.json", b"0" * 40_000_000)
    return out.getvalue()


def lying_bomb(made: Papers) -> bytes:
    """Its entry says that it is small."""
    data, size = bomb(made), struct.pack("<I", 40_000_000)
    assert data.count(size) == 2
    return data.replace(size, struct.pack("<I", 10))


def encrypted(made: Papers) -> bytes:
    """The flag of every entry set, in both its places."""
    data = bytearray(made.bundle)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(signature), bytes(data)):
            data[found.start() + offset] |= 1
    return bytes(data)


def commented(made: Papers) -> bytes:
    out = io.BytesIO(made.bundle)
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = zipped({"evil.txt": b"hello"})
    return out.getvalue()


def between(made: Papers) -> bytes:
    """An entry that the directory no longer names."""
    out = io.BytesIO(archive_with(made, entry("evil.txt")))
    with zipfile.ZipFile(out, "a") as archive:
        hidden = archive.getinfo("evil.txt")
        archive.filelist.remove(hidden)
        archive.comment = b""
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_every_archive_with_a_trick_is_refused(tmp_path: Path, made: Papers) -> None:
    archives = {
        "two entries of one name": archive_with(made, entry("stripe/lines.json")),
        "two names that differ by case": archive_with(made, entry("Manifest.json")),
        "a way up": archive_with(made, entry("../evil")),
        "a way up inside": archive_with(made, entry("evidence/../manifest.json")),
        "an absolute path": archive_with(made, entry("/etc/passwd")),
        "a Windows path": archive_with(made, entry("C:\\evil")),
        "a NUL in a name": made.bundle.replace(b"summary.pdf", b"summary\x00pdf"),
        "control characters in a name": archive_with(made, entry("\x1b[31m")),
        "a folder": archive_with(made, entry("evidence/", b"")),
        "a bomb": bomb(made),
        "a chain that takes minutes to read": archive_with(
            made, *(entry(f"evidence/1{number:04}.json", b"[" + b"0," * 1_000_000 + b"0]") for number in range(9))
        ),
        "a bomb that lies about its size": lying_bomb(made),
        "packed in another way": zipped({**made.files, "manifest.json": made.manifest()}, packing=zipfile.ZIP_LZMA),
        "encrypted": encrypted(made),
        "another archive before it": zipped({"evil.txt": b"hello"}) + made.bundle,
        "another archive behind it": made.bundle + zipped({"evil.txt": b"hello"}),
        "bytes before it": b"PK\x03\x04" + made.bundle,
        "bytes behind it": made.bundle + b"\x00",
        "a comment behind it": commented(made),
        "bytes between its entries": between(made),
        "cut off": made.bundle[:-50],
        "only a beginning": b"PK\x03\x04",
        "empty": b"PK\x05\x06" + b"\x00" * 18,
        "without a manifest": zipped(made.files),
        "a manifest that is no JSON": zipped({**made.files, "manifest.json": b"{"}),
        "a manifest with a name twice": zipped({**made.files, "manifest.json": b'{"files":{},"files":{}}'}),
        "a manifest of another version": zipped({**made.files, "manifest.json": made.manifest(format="x")}),
    }
    reports = {name: verified(tmp_path, data) for name, data in archives.items()}
    assert {
        name: why(report) for name, report in reports.items() if report.outcome is not StepOutcome.CANNOT_TELL
    } == {}


# -- a PDF that only names a root -------------------------------------------------------------------------------------


def test_an_invoice_with_only_the_printed_footer_is_sent_where_more_is_known(tmp_path: Path, made: Papers) -> None:
    said = why(verified(tmp_path, made.plain))
    assert f"`pacspace-stripe verify {made.root}`" in said
    assert "ask the vendor" in said
    (bare,) = verified(tmp_path, retouched(made.plain, only_somebody_elses_page)).steps
    assert bare.result.detail == "the PDF cannot be verified: it carries no evidence.json"


def only_somebody_elses_page(pdf: pikepdf.Pdf) -> None:
    page_without_footer(pdf)
    del pdf.pages[0]


# -- what is no paper at all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"hello", b"GIF89a", b"\x00" * 1000, b"[]", b"{}", b"{" * 100_000])
def test_anything_else_is_refused(tmp_path: Path, data: bytes) -> None:
    assert verified(tmp_path, data).outcome is StepOutcome.CANNOT_TELL


@pytest.mark.parametrize("target", ["nowhere.pdf", ".", "a\x00b", "x" * 5000, ""])
def test_what_is_no_file_is_refused(target: str) -> None:
    assert verify(target, NOBODY).outcome is StepOutcome.CANNOT_TELL


@pytest.mark.parametrize("target", ["in_123", f"0x{'ab' * 32}"])
def test_what_can_only_be_asked_about_proves_nothing_offline(target: str) -> None:
    report = verify(target, NOBODY)
    assert report.outcome is StepOutcome.CANNOT_TELL
    assert {step.result.outcome for step in report.steps} == {StepOutcome.SKIPPED}


def test_nothing_that_a_document_says_can_act_on_a_terminal(tmp_path: Path, made: Papers) -> None:
    hostile = evidence_with(made, lambda it: it["windows"][0].update(meter="\x1b]0;evil\x07\u202e\x9b31m", billed="11"))
    report = verified(tmp_path, hostile)
    said = "".join(step.result.detail for step in report.steps)
    assert report.outcome is StepOutcome.REFUTED
    assert said.isprintable()
