"""Bundles offline: a genuine one holds, and every tampered one and every malicious archive is refuted or refused."""

import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pacspace_stripe.verify import StepOutcome
from pacspace_stripe.vocabulary.canonical_json import canonical, digest
from tests.support.received_documents import (
    ReceivedDocuments,
    billed_more,
    info_keywords,
    keywords,
    of_another_customer,
    of_second_invoice,
    received_documents,
    refuted_steps,
    swapped,
    verified,
    why,
    zipped,
)
from tests.support.worlds import world


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ReceivedDocuments:
    return of_second_invoice(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> ReceivedDocuments:
    return of_another_customer(tmp_path_factory.mktemp("elsewhere"))


def link(made: ReceivedDocuments, number: int, change: Callable[[Any], None]) -> dict[str, bytes | None]:
    document = json.loads(made.files[f"evidence/{number:04}.json"])
    change(document)
    return {f"evidence/{number:04}.json": canonical(document)}


def rows(made: ReceivedDocuments, change: Callable[[Any], None]) -> dict[str, bytes | None]:
    return json_file(made, "ledger/0001-records.json", change)


def json_file(made: ReceivedDocuments, name: str, change: Callable[[Any], None]) -> dict[str, bytes | None]:
    document = json.loads(made.files[name])
    change(document)
    return {name: canonical(document) if isinstance(document, dict) else json.dumps(document).encode()}


def tampered_folders(made: ReceivedDocuments, other: ReceivedDocuments) -> dict[str, Mapping[str, bytes | None]]:
    """Return changed files of bundles; their manifests match them, as a skilled forger makes them."""
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


def test_every_tampered_bundle_is_refuted_even_with_a_matching_manifest(
    tmp_path: Path, made: ReceivedDocuments, other: ReceivedDocuments
) -> None:
    reports = {
        name: verified(tmp_path, made.with_files(changes).bundle)
        for name, changes in tampered_folders(made, other).items()
    }
    assert {name: why(report) for name, report in reports.items() if report.outcome is not StepOutcome.REFUTED} == {}


def test_a_manifest_that_does_not_match_is_refuted(
    tmp_path: Path, made: ReceivedDocuments, other: ReceivedDocuments
) -> None:
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


def test_a_file_that_could_not_be_fetched_leaves_the_question_open(tmp_path: Path, made: ReceivedDocuments) -> None:
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
        found = received_documents(town)
    report = verified(tmp_path, found.bundle)
    assert (report.outcome, refuted_steps(report)) == (StepOutcome.CANNOT_TELL, []), why(report)
    said = "the ledger got records after the proof root was made"
    assert [said in step.result.detail for step in report.steps[5:7]] == [True, True], why(report)


def entry(name: str, data: bytes = b"x") -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        archive.writestr(zipfile.ZipInfo(name), data)

    return add


def archive_with(made: ReceivedDocuments, *adds: Callable[[zipfile.ZipFile], None]) -> bytes:
    out = io.BytesIO(made.bundle)
    with zipfile.ZipFile(out, "a") as archive:
        for add in adds:
            add(archive)
    return out.getvalue()


def bomb(made: ReceivedDocuments) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", made.manifest())
        archive.writestr("evidence/0001.json", b"0" * 40_000_000)
    return out.getvalue()


def lying_bomb(made: ReceivedDocuments) -> bytes:
    """Return a ZIP bomb whose entry names a small size."""
    data, size = bomb(made), struct.pack("<I", 40_000_000)
    assert data.count(size) == 2
    return data.replace(size, struct.pack("<I", 10))


def encrypted(made: ReceivedDocuments) -> bytes:
    """Return the bundle with the encryption flag of every entry set, in both its places."""
    data = bytearray(made.bundle)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(signature), bytes(data)):
            data[found.start() + offset] |= 1
    return bytes(data)


def commented(made: ReceivedDocuments) -> bytes:
    out = io.BytesIO(made.bundle)
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = zipped({"evil.txt": b"hello"})
    return out.getvalue()


def between(made: ReceivedDocuments) -> bytes:
    """Return a bundle with an entry that the directory no longer names."""
    out = io.BytesIO(archive_with(made, entry("evil.txt")))
    with zipfile.ZipFile(out, "a") as archive:
        hidden = archive.getinfo("evil.txt")
        archive.filelist.remove(hidden)
        archive.comment = b""
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_every_malicious_archive_is_refused(tmp_path: Path, made: ReceivedDocuments) -> None:
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


def test_a_genuine_bundle_holds(tmp_path: Path, made: ReceivedDocuments) -> None:
    report = verified(tmp_path, made.bundle)
    assert report.outcome is StepOutcome.HOLDS, why(report)
    assert {step.result.outcome for step in report.steps[:10]} == {StepOutcome.HOLDS}
    assert {step.result.outcome for step in report.steps[10:]} == {StepOutcome.SKIPPED}


def test_the_bundle_of_a_held_draft_holds_although_nothing_is_stamped(tmp_path: Path) -> None:
    with world(tmp_path) as town:
        town.subscribe()
        town.bill("100")
        town.record("90")
        found = received_documents(town.run())
    report = verified(tmp_path, found.bundle)
    assert (report.outcome, report.verdict) == (StepOutcome.HOLDS, "drifted (OVERBILLED)"), why(report)
