"""Flipped bytes: the verifier never crashes, and a document whose evidence changed never holds."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pacspace_stripe.errors import UnreadableDocument
from pacspace_stripe.verify import StepOutcome, verify
from pacspace_stripe.verify.bundle import read_bundle
from pacspace_stripe.verify.pdf import read_pdf
from tests.support.received_documents import NOBODY, ReceivedDocuments, attached, received_documents
from tests.support.worlds import world

flips = st.lists(st.tuples(st.integers(min_value=0), st.integers(min_value=1, max_value=255)), min_size=1, max_size=4)
fuzzed = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceivedDocuments]:
    with world(tmp_path_factory.mktemp("world")) as town:
        town.subscribe()
        town.use("100")
        yield received_documents(town.run())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tempfile.mkdtemp(dir=tmp_path_factory.mktemp("fuzz")))


def flipped(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for at, mask in changes:
        changed[at % len(changed)] ^= mask
    return bytes(changed)


def outcome(folder: Path, data: bytes) -> StepOutcome:
    path = folder / "document"
    path.write_bytes(data)
    return verify(str(path), NOBODY).outcome


@fuzzed
@given(changes=flips)
def test_a_statement_with_flipped_bytes_holds_only_with_its_evidence(
    made: ReceivedDocuments, folder: Path, changes: list[tuple[int, int]]
) -> None:
    data = flipped(made.statement, changes)
    if outcome(folder, data) is StepOutcome.HOLDS:
        assert read_pdf(data).evidence == made.evidence


@fuzzed
@given(changes=flips)
def test_evidence_with_flipped_bytes_never_holds_in_a_statement(
    made: ReceivedDocuments, folder: Path, changes: list[tuple[int, int]]
) -> None:
    evidence = flipped(made.evidence, changes)
    data = attached(made.plain, evidence)
    assert (outcome(folder, data) is StepOutcome.HOLDS) == (evidence == made.evidence)


@fuzzed
@given(changes=flips)
def test_a_bundle_with_flipped_bytes_holds_only_with_its_files(
    made: ReceivedDocuments, folder: Path, changes: list[tuple[int, int]]
) -> None:
    data = flipped(made.bundle, changes)
    if outcome(folder, data) is StepOutcome.HOLDS:
        files = {name: content for name, content in read_bundle(data).files.items() if name != "manifest.json"}
        assert files == made.files


@fuzzed
@given(start=st.integers(min_value=0), length=st.integers(min_value=0, max_value=500), new=st.binary(max_size=300))
def test_a_document_spliced_with_another_never_crashes(
    made: ReceivedDocuments, folder: Path, start: int, length: int, new: bytes
) -> None:
    for genuine in (made.statement, made.bundle, made.evidence):
        at = start % len(genuine)
        data = genuine[:at] + new + genuine[at + length :]
        outcome(folder, data)


@fuzzed
@given(head=st.sampled_from([b"%PDF-1.7\n", b"PK\x03\x04", b"PK\x05\x06", b"{", b""]), rest=st.binary(max_size=400))
def test_arbitrary_bytes_prove_nothing(folder: Path, head: bytes, rest: bytes) -> None:
    assert outcome(folder, head + rest) is StepOutcome.CANNOT_TELL


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999])
def test_a_truncated_document_is_refused(made: ReceivedDocuments, folder: Path, share: float) -> None:
    for genuine in (made.statement, made.bundle):
        assert outcome(folder, genuine[: int(len(genuine) * share)]) is StepOutcome.CANNOT_TELL


def test_a_truncated_pdf_raises_only_the_documented_error(made: ReceivedDocuments) -> None:
    for end in range(0, len(made.statement), 997):
        with pytest.raises(UnreadableDocument):
            read_pdf(made.statement[:end])
