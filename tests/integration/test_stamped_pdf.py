"""Stamping the PDF of an invoice: which evidence, which footer, and where Stripe's PDF is taken from."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pacspace_stripe.cli import main
from pacspace_stripe.errors import (
    NotFound,
    RateLimited,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    UnexpectedAnswer,
)
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.http.client import Transport
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.stripe_api.invoice_pdf import fetch_invoice_pdf
from tests.support.invoice_pdfs import pdf_of
from tests.support.pdfs import dense, reopened, texts
from tests.support.worlds import ENVIRONMENT, World, world

PDF = b"%PDF-1.7\nwhatever"
LINK = "https://pay.stripe.com/invoice/acct_1/live_secret/pdf?s=ap"
DAY = timedelta(hours=5)


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[World]:
    """Yield a world with an invoice that was stamped, finalized and paid."""
    with world(tmp_path) as made:
        made.subscribe()
        made.use("1250.5")
        made.run(DAY)
        yield made


@pytest.fixture
def observed(tmp_path: Path) -> Iterator[World]:
    """Yield a world with an invoice that went out in observe mode."""
    with world(tmp_path, mode="observe") as made:
        made.subscribe(customer_footer="Northwind GmbH, Berlin")
        made.use("1250.5")
        made.run(DAY)
        yield made


def attached(pdf: bytes) -> dict[str, Any]:
    file = reopened(pdf)
    document: dict[str, Any] = json.loads(file.attachments["evidence.json"].get_file().read_bytes())
    return document


# -- which evidence, which footer ---------------------------------------------------------------------------------


def test_stripes_own_pdf_carries_the_stamped_decision(gated: World) -> None:
    made = gated.app.invoice_stamper.stamp(gated.invoice_id)
    invoice = gated.invoice()
    assert made.evidence_sha256 == invoice["metadata"]["pacspace_evidence_sha256"]
    assert attached(made.pdf)["confirms"] is None
    assert len(gated.app.store.chains.of_job(gated.invoice_id)) == 2  # the decision, and its confirmation
    first, last = texts(made.pdf)
    assert f"Invoice{invoice['number']}" in first
    assert dense(find_block(invoice["footer"]) or "") in first
    assert dense(find_block(invoice["footer"]) or "") in last
    assert f"proof-root:{invoice['metadata']['pacspace_proof_root']}" in str(reopened(made.pdf).docinfo.Keywords)


def test_an_invoice_of_observe_mode_gets_its_footer_by_stamp_pdf(observed: World) -> None:
    made = observed.app.invoice_stamper.stamp(observed.invoice_id)
    assert (observed.invoice()["footer"], observed.writes()) == ("Northwind GmbH, Berlin", [])
    assert dense(f"Evidence SHA-256: {made.evidence_sha256}") in texts(made.pdf)[0]
    assert "api_calls:1250.5in1record" in texts(made.pdf)[1]


def test_the_footer_made_from_evidence_is_the_one_that_was_stamped(gated: World) -> None:
    block = find_block(gated.invoice()["footer"])
    gated.stripe.account.invoices[gated.invoice_id].footer = None
    assert dense(block or "?") in texts(gated.app.invoice_stamper.stamp(gated.invoice_id).pdf)[0]


@pytest.mark.parametrize(("named", "by"), [("Evidence SHA-256: ", "Evidence SHA-256: 00"), ("0x", "0x00")])
def test_a_frozen_footer_that_names_another_record_is_not_repeated(gated: World, named: str, by: str) -> None:
    frozen = gated.stripe.account.invoices[gated.invoice_id]
    assert frozen.footer is not None
    frozen.footer = frozen.footer.replace(named, by)
    made = gated.app.invoice_stamper.stamp(gated.invoice_id, pdf=pdf_of())
    said = texts(made.pdf)[0]
    assert dense(f"Evidence SHA-256: {made.evidence_sha256}") in said
    assert dense(f"Proof root: {gated.invoice()['metadata']['pacspace_proof_root']}") in said


def test_the_settlement_ledgers_footer_names_its_record(tmp_path: Path) -> None:
    with world(tmp_path, ledger="settlement", mode="observe") as place:
        place.subscribe()
        place.bill("7")
        place.write("7")
        place.run(DAY)
        made = place.app.invoice_stamper.stamp(place.invoice_id)
        assert "torecordusage-cus_acme-2026-10" in texts(made.pdf)[0]


def test_stamping_a_pdf_asks_pacspace_nothing_and_writes_nothing(gated: World) -> None:
    before = len(gated.ledger_calls()), gated.writes()
    gated.app.invoice_stamper.stamp(gated.invoice_id)
    assert (len(gated.ledger_calls()), gated.writes()) == before


def test_stamping_twice_gives_the_same_bytes_and_one_stamp(gated: World) -> None:
    first, second = (gated.app.invoice_stamper.stamp(gated.invoice_id) for _ in range(2))
    assert first == second
    again = gated.app.invoice_stamper.stamp(gated.invoice_id, pdf=first.pdf)
    assert (first.again, again.again) == (False, True)
    assert texts(again.pdf) == texts(first.pdf)


@pytest.mark.parametrize(
    ("both", "ledger_is_down", "passed", "said", "hint"),
    [
        pytest.param(
            False,
            False,
            DAY,
            r"holds it as drifted \(LEDGER_MISSING\): .*5",
            "pacspace-stripe explain in_",
            id="drifted",
        ),
        pytest.param(
            True,
            True,
            DAY,
            r"holds it as unproven \(LEDGER_UNAVAILABLE\)",
            "checked again automatically",
            id="unproven",
        ),
        pytest.param(
            True, False, timedelta(hours=1, minutes=5), "holds it: held, compared from", "releases it if", id="early"
        ),
    ],
)
def test_a_held_draft_has_no_pdf_and_the_hint_never_bypasses_the_gate(
    tmp_path: Path, *, both: bool, ledger_is_down: bool, passed: timedelta, said: str, hint: str
) -> None:
    with world(tmp_path) as place:
        place.subscribe()
        (place.use if both else place.bill)("5")
        if ledger_is_down:
            place.ledger.add_fault("503", times=None)
        place.run(passed)
        with pytest.raises(NotFound, match=said) as refused:
            place.app.invoice_stamper.stamp(place.invoice_id)
    assert hint in refused.value.hint
    assert "finalize it" not in (str(refused.value) + refused.value.hint).lower()


def test_a_draft_that_is_not_held_has_its_pdf_once_it_has_left(tmp_path: Path) -> None:
    with world(tmp_path, mode="observe") as place:
        place.subscribe()
        place.run(timedelta(hours=1, minutes=5))
        with pytest.raises(NotFound, match="is a draft, so Stripe has no PDF of it yet") as refused:
            place.app.invoice_stamper.stamp(place.invoice_id)
        assert "Stripe plans to finalize it on 2026-11-01 01:" in refused.value.hint
        place.stripe.account.invoices[place.invoice_id].auto_advance = False
        with pytest.raises(NotFound, match="stopped outside pacspace-stripe") as refused:
            place.app.invoice_stamper.stamp(place.invoice_id)
        assert "Ask who stopped it" in refused.value.hint


def test_an_invoice_that_was_never_compared_is_not_stamped(gated: World) -> None:
    gated.restart(PACSPACE_STRIPE_DATABASE_URL=f"sqlite:///{gated.folder / 'other.db'}")
    gated.stripe.account.invoices[gated.invoice_id].metadata.clear()
    with pytest.raises(NotFound, match="was not compared yet"):
        gated.app.invoice_stamper.stamp(gated.invoice_id)


@pytest.mark.parametrize("named", ["ab" * 32, "of another invoice"])
def test_evidence_that_the_invoice_names_and_the_database_lacks_is_not_found(gated: World, named: str) -> None:
    frozen = gated.stripe.account.invoices[gated.invoice_id]
    if named == "of another invoice":
        core: dict[str, Any] = {"confirms": None, "windows": [], "decision": {}, "invoice": "in_other"}
        other = gated.app.store.chains.append(core, chain="sub_other", job_id="in_other", decided_at=gated.clock.now())
        named = other.sha256
    frozen.metadata["pacspace_evidence_sha256"] = named
    with pytest.raises(NotFound, match="is not in this database"):
        gated.app.invoice_stamper.stamp(gated.invoice_id)


# -- Stripe's link ------------------------------------------------------------------------------------------------


@dataclass
class Pages:
    """A transport that answers requests in order, and records them."""

    answers: list[httpx.Response]
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def fetched(
    pages: Callable[[httpx.Request], httpx.Response],
    link: str = LINK,
    base_url: str | None = None,
    hosts: Collection[str] = (),
) -> bytes:
    transport = Transport(httpx_transport=httpx.MockTransport(pages), sleep=lambda _: None)
    try:
        return fetch_invoice_pdf(transport, link, largest=1000, base_url=base_url, hosts=hosts)
    finally:
        transport.close()


def moved(to: str, status: int = 302) -> httpx.Response:
    return httpx.Response(status, headers={"Location": to})


def test_the_link_is_followed_without_a_key() -> None:
    pages = Pages([moved("/elsewhere"), moved("https://files.stripe.com/f", 307), httpx.Response(200, content=PDF)])
    assert fetched(pages) == PDF
    assert [str(one.url) for one in pages.asked] == [
        LINK,
        "https://pay.stripe.com/elsewhere",
        "https://files.stripe.com/f",
    ]
    assert not any({"authorization", "cookie"} & one.headers.keys() for one in pages.asked)


@pytest.mark.parametrize(
    "host",
    [
        "pay.stripe.com",
        "invoice.stripe.com",
        "invoicedata.stripe.com",
        "files.stripe.com",
        "dashboard.stripe.com",
        "stripeusercontent.com",
        "f.stripecdn.com",
    ],
)
def test_the_link_may_lead_to_any_of_stripes_own_domains(host: str) -> None:
    assert fetched(Pages([moved(f"https://{host}/f"), httpx.Response(200, content=PDF)])) == PDF


BUCKET = "a-bucket.s3.us-west-2.amazonaws.com"


def test_a_further_host_is_asked_only_if_the_operator_names_it() -> None:
    def answers() -> Pages:
        return Pages([moved(f"https://{BUCKET}/f?signed"), httpx.Response(200, content=PDF)])

    assert fetched(answers(), hosts=[BUCKET]) == PDF
    for hosts in ([], ["amazonaws.com"], ["s3.us-west-2.amazonaws.com"]):
        with pytest.raises(RemoteRefused, match=f"leads to https://{BUCKET}, which is not") as refused:
            fetched(answers(), hosts=hosts)
        assert "PACSPACE_STRIPE_PDF_HOSTS" in refused.value.hint
    for link in (f"http://{BUCKET}/f", f"https://{BUCKET}:8443/f", f"https://me@{BUCKET}/f"):
        with pytest.raises(RemoteRefused):
            fetched(answers(), link, hosts=[BUCKET])


@pytest.mark.parametrize(
    "link",
    [
        "http://pay.stripe.com/x",
        "https://evilstripeusercontent.com/x",
        "https://stripeusercontent.com.evil.example/x",
        "https://stripe.com.evil.example/x",
        "https://evilstripe.com/x",
        "https://pay.stripe.com@evil.example/x",
        "https://someone@pay.stripe.com/x",
        "https://pay.stripe.com:8443/x",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:8000/x",
        "file:///etc/passwd",
        "ftp://pay.stripe.com/x",
        "https://[::1/x",
        "",
    ],
)
def test_a_link_to_another_host_is_not_followed(link: str) -> None:
    pages = Pages([httpx.Response(200, content=PDF)])
    with pytest.raises(RemoteRefused, match="which is not Stripe's") as refused:
        fetched(pages, link, base_url="http://127.0.0.1:12111")
    assert pages.asked == []
    assert "stamp-pdf FILE.pdf" in refused.value.hint
    with pytest.raises(RemoteError):
        fetched(Pages([moved(link or "https://evil.example")]))


def test_the_simulators_own_address_is_trusted() -> None:
    pages = Pages([httpx.Response(200, content=PDF)])
    assert fetched(pages, "http://127.0.0.1:12111/invoice/x/y/pdf", base_url="http://127.0.0.1:12111") == PDF


@pytest.mark.parametrize(
    ("answer", "kind", "problem"),
    [
        (httpx.Response(202), RemoteUnavailable, "HTTP 202, it is not ready"),
        (httpx.Response(404, html="<h1>"), RemoteUnavailable, "HTTP 404, it is not ready"),
        (httpx.Response(500), RemoteUnavailable, "HTTP 500"),
        (httpx.Response(429), RateLimited, "HTTP 429"),
        (httpx.Response(403), UnexpectedAnswer, "HTTP 403"),
        (httpx.Response(200, html="<h1>Sign in</h1>"), UnexpectedAnswer, r"not a PDF \(text/html\)"),
        (httpx.Response(200, content=b""), UnexpectedAnswer, r"not a PDF \(no type\)"),
        (httpx.Response(200, content=PDF + b" " * 1000), UnexpectedAnswer, "more than 1000 bytes"),
        (moved(LINK), UnexpectedAnswer, "more than 5 redirects"),
    ],
)
def test_an_answer_that_is_no_pdf_is_an_error(answer: httpx.Response, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind, match=problem) as said:
        fetched(Pages([answer]))
    assert "live_secret" not in str(said.value)


def test_a_pdf_that_stripe_has_not_made_yet_is_asked_for_later(gated: World) -> None:
    gated.stripe.account.behaviour.pdfs_ready = False
    with pytest.raises(RemoteUnavailable, match="it is not ready"):
        gated.app.invoice_stamper.stamp(gated.invoice_id)


# -- the command --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The command over real HTTP, in this process."""

    place: World
    folder: Path
    run: Callable[..., tuple[int, str, str]]

    @property
    def out(self) -> Path:
        return self.folder / "out.pdf"


@pytest.fixture
def desk(gated: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    folder = gated.folder / "desk"
    folder.mkdir()
    with serve(gated.stripe, tick=lambda: None) as served:
        gated.stripe.pages_url = served.url
        database = f"sqlite:///{gated.folder / 'world.db'}"
        environment = {"STRIPE_API_BASE_URL": served.url, "PACSPACE_STRIPE_DATABASE_URL": database}
        for name, value in (ENVIRONMENT | environment).items():
            monkeypatch.setenv(name, value)

        def run(*arguments: object) -> tuple[int, str, str]:
            monkeypatch.setattr("sys.argv", ["pacspace-stripe", "stamp-pdf", *map(str, arguments)])
            with pytest.raises(SystemExit) as stopped:
                main()
            code = stopped.value.code
            assert isinstance(code, int)
            return code, *capsys.readouterr()

        yield Desk(place=gated, folder=folder, run=run)
    left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    assert left == []


def test_the_command_fetches_and_stamps_and_prints_what_it_did(desk: Desk) -> None:
    code, said, complaint = desk.run(desk.place.invoice_id, "-o", desk.out)
    evidence = desk.place.invoice()["metadata"]["pacspace_evidence_sha256"]
    assert (code, complaint) == (0, "")
    assert said == f"{desk.out}: 2 pages stamped, evidence {evidence}, {desk.out.stat().st_size:,} bytes\n"
    assert all(dense(f"Evidence SHA-256: {evidence}") in page for page in texts(desk.out.read_bytes()))


def test_the_command_stamps_a_file_in_its_own_place(desk: Desk) -> None:
    desk.out.write_bytes(pdf_of())
    for done in ("2 pages stamped,", "2 pages stamped again,"):
        code, said, _ = desk.run(desk.out, "--invoice", desk.place.invoice_id, "-o", desk.out)
        assert code == 0
        assert done in said
    assert attached(desk.out.read_bytes())["invoice"] == desk.place.invoice_id


def test_the_command_says_to_run_it_again_when_stripe_is_down(desk: Desk) -> None:
    desk.place.stripe.add_fault("503")
    code, _, complaint = desk.run(desk.place.invoice_id, "-o", desk.out)
    assert code == 1
    assert "Run it again when Stripe answers." in complaint
    assert "Nothing to do" not in complaint


def test_the_command_leaves_what_was_there_when_it_fails(desk: Desk) -> None:
    desk.out.write_bytes(b"earlier")
    (desk.folder / "in.pdf").write_bytes(b"no PDF")
    code, said, complaint = desk.run(desk.folder / "in.pdf", "--invoice", desk.place.invoice_id, "-o", desk.out)
    assert (code, said) == (1, "")
    assert complaint.splitlines()[0] == "pacspace-stripe: not a PDF, or a damaged one"
    assert desk.out.read_bytes() == b"earlier"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["in.pdf", "-o", "out.pdf"], "for a file, add --invoice"),
        (["in.pdf", "--invoice", "NW-1", "-o", "out.pdf"], "an invoice's id starts with in_"),
        (["in_unknown", "-o", "out.pdf"], "No such invoice"),
        (["in_1"], "Missing option '-o'"),
    ],
)
def test_wrong_use_is_explained(desk: Desk, arguments: list[str], problem: str) -> None:
    code, _, complaint = desk.run(*arguments)
    assert code == 2
    assert problem in complaint


def test_files_that_cannot_be_read_or_written_are_named(desk: Desk) -> None:
    code, _, complaint = desk.run(desk.folder / "none.pdf", "--invoice", desk.place.invoice_id, "-o", desk.out)
    assert code == 1
    assert "none.pdf" in complaint
    code, _, complaint = desk.run(desk.place.invoice_id, "-o", desk.folder / "none" / "out.pdf")
    assert code == 1
    assert "out.pdf" in complaint


# -- the simulated Stripe -----------------------------------------------------------------------------------------


def test_the_simulated_pdf_is_behind_its_link_without_a_key(gated: World) -> None:
    link = gated.invoice()["invoice_pdf"]
    answer = gated.stripe(httpx.Request("GET", link))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    said = texts(answer.content)
    assert len(said) == 2
    assert f"Invoice{gated.invoice()['number']}" in said[0]
    assert dense(find_block(gated.invoice()["footer"]) or "?") in said[1]
    assert gated.stripe(httpx.Request("GET", link)).content == answer.content


@pytest.mark.parametrize(("old", "new"), [("/test_", "/test_0"), ("/acct_", "/acct_0")])
def test_the_simulated_pdf_is_behind_no_other_link(gated: World, old: str, new: str) -> None:
    link = gated.invoice()["invoice_pdf"].replace(old, new)
    assert gated.stripe(httpx.Request("GET", link)).status_code == 404


def test_a_simulated_pdf_of_many_lines_has_many_pages(tmp_path: Path) -> None:
    with world(tmp_path, mode="observe") as place:
        prices = [place.stripe.add_price(place.stripe.add_meter(f"meter_{number}")) for number in range(30)]
        place.subscribe(prices=prices)
        place.run(DAY)
        place.stripe.account.invoices[place.invoice_id].page_size = "a4"
        pdf = place.stripe(httpx.Request("GET", place.invoice()["invoice_pdf"])).content
        assert len(texts(pdf)) == 3
        file = reopened(pdf)
        assert [float(side) for side in file.pages[0].MediaBox] == [0, 0, 595, 842]


def test_links_of_a_simulator_that_is_not_served_look_like_stripes(gated: World) -> None:
    assert StripeSimulator(gated.clock).pages_url == "https://pay.stripe.com"
