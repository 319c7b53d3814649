"""The verifier online: what it concludes from Stripe's and PacSpace's answers, and that it contacts no other host."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import Source
from pacspace_stripe.verify import StepOutcome, VerificationReport, online_services, verify
from pacspace_stripe.verify.online import MOST_ROOTS
from pacspace_stripe.vocabulary.canonical_json import canonical
from tests.support.received_documents import ReceivedDocuments, attached, received_documents, swapped
from tests.support.worlds import ENVIRONMENT, World, world

PACSPACE = {"PACSPACE_API_BASE_URL": ENVIRONMENT["PACSPACE_API_BASE_URL"]}
STRIPE = {name: ENVIRONMENT[name] for name in ("STRIPE_API_KEY", "STRIPE_API_BASE_URL")}
Answering = Callable[[httpx.Request], httpx.Response]


class Asked:
    """A network that records every request and answers some of them otherwise."""

    def __init__(self, answering: Answering, otherwise: Answering | None = None) -> None:
        self.answering = answering
        self.otherwise = otherwise
        self.hosts: set[str] = set()
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.hosts.add(f"{request.url.scheme}://{request.url.netloc.decode()}")
        if self.otherwise and "/verify/" in request.url.path:
            return self.otherwise(request)
        return self.answering(request)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield a world with a matched invoice that went out; verifying changes nothing in it."""
    with world(tmp_path_factory.mktemp("world")) as done:
        done.subscribe()
        done.use("100")
        yield done.run()


def verified(target: str, network: Asked, environ: dict[str, str] | None = None) -> VerificationReport:
    transport = Transport(httpx_transport=httpx.MockTransport(network), sleep=lambda _: None)
    try:
        with online_services(PACSPACE | STRIPE if environ is None else environ, transport) as asked:
            return verify(target, asked)
    finally:
        transport.close()


def statement(folder: Path, found: ReceivedDocuments) -> str:
    path = folder / "statement.pdf"
    path.write_bytes(found.statement)
    return str(path)


def last(report: VerificationReport) -> tuple[StepOutcome, str]:
    return report.steps[-1].result.outcome, report.steps[-1].result.detail


def answers(made: World) -> Answering:
    return made._answer  # noqa: SLF001 - the two simulators behind their ports


def test_a_statement_holds_at_stripe_and_at_pacspace(tmp_path: Path, made: World) -> None:
    report = verified(statement(tmp_path, received_documents(made)), Asked(answers(made)))
    assert {step.result.outcome for step in report.steps} == {StepOutcome.HOLDS}, report
    assert not any("what the vendor stamped" in unproven for unproven in report.not_proven)
    assert any("not recomputed" in unproven for unproven in report.not_proven)


def test_a_bundle_holds_at_stripe_and_at_pacspace(tmp_path: Path, made: World) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(received_documents(made).bundle)
    report = verified(str(path), Asked(answers(made)))
    assert {step.result.outcome for step in report.steps} == {StepOutcome.HOLDS}, report


def test_a_payer_without_a_key_asks_pacspace_alone(tmp_path: Path, made: World) -> None:
    network = Asked(answers(made))
    report = verified(statement(tmp_path, received_documents(made)), network, PACSPACE)
    assert report.outcome is StepOutcome.HOLDS
    assert report.steps[-2].result.outcome is StepOutcome.SKIPPED
    assert network.hosts == {PACSPACE["PACSPACE_API_BASE_URL"]}


def test_no_key_is_ever_sent_to_pacspace(tmp_path: Path, made: World) -> None:
    network = Asked(answers(made))
    verified(statement(tmp_path, received_documents(made)), network)
    sent = [request for request in network.requests if "/verify/" in request.url.path]
    assert sent
    assert not any("authorization" in request.headers or request.headers.get("x-api-key") for request in sent)


def test_with_an_empty_environment_only_pacspaces_own_host_is_contacted(tmp_path: Path, made: World) -> None:
    network = Asked(lambda _: httpx.Response(404))
    verified(statement(tmp_path, received_documents(made)), network, {})
    assert network.hosts == {"https://app.pacspace.io"}


def test_a_host_that_a_document_names_is_never_contacted(tmp_path: Path, made: World) -> None:
    genuine = received_documents(made)
    document = genuine.document
    document["windows"][0]["proof"]["verify_url"] = "https://evil.example/verify"
    path = tmp_path / "forged.pdf"
    path.write_bytes(attached(genuine.plain, canonical(document)))
    network = Asked(answers(made), lambda _: httpx.Response(302, headers={"Location": "https://evil.example/verify"}))
    report = verified(str(path), network)
    assert report.outcome is StepOutcome.REFUTED
    assert network.hosts <= {PACSPACE["PACSPACE_API_BASE_URL"], STRIPE["STRIPE_API_BASE_URL"]}


def says(**changes: Any) -> Answering:  # noqa: ANN401 - JSON
    def answer(request: httpx.Request) -> httpx.Response:
        root = request.url.path.rpartition("/")[2]
        summary = {"recordCount": 1, "netChange": -100}
        return httpx.Response(200, json={"verified": True, "proofRoot": root, "summary": summary, **changes})

    return answer


def unknown(_: httpx.Request) -> httpx.Response:
    return httpx.Response(404, json={"error": {"code": "PROOF_NOT_FOUND", "message": "unknown"}})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(says(), StepOutcome.HOLDS, id="the same"),
        pytest.param(says(summary={"recordCount": 2, "netChange": -100}), StepOutcome.REFUTED, id="another count"),
        pytest.param(says(summary={"recordCount": 1, "netChange": -101}), StepOutcome.REFUTED, id="another net change"),
        pytest.param(says(summary={"recordCount": 2}), StepOutcome.REFUTED, id="another count alone"),
        pytest.param(says(verified=False), StepOutcome.REFUTED, id="not verified"),
        pytest.param(
            says(verified=False, summary=None, message="chain unavailable"), StepOutcome.CANNOT_TELL, id="no chain now"
        ),
        pytest.param(says(summary=None), StepOutcome.CANNOT_TELL, id="no figures"),
        pytest.param(says(proofRoot="0xanother"), StepOutcome.CANNOT_TELL, id="of another root"),
        pytest.param(says(verified="yes"), StepOutcome.CANNOT_TELL, id="no truth"),
        pytest.param(unknown, StepOutcome.REFUTED, id="an unknown root"),
        pytest.param(
            lambda _: httpx.Response(404, text="<html>"), StepOutcome.CANNOT_TELL, id="a page that is not there"
        ),
        pytest.param(lambda _: httpx.Response(500), StepOutcome.CANNOT_TELL, id="an error"),
        pytest.param(lambda _: httpx.Response(429), StepOutcome.CANNOT_TELL, id="too many requests"),
        pytest.param(lambda _: httpx.Response(200, text="<html>hello</html>"), StepOutcome.CANNOT_TELL, id="a page"),
        pytest.param(lambda _: httpx.Response(200, content=b"\xff\x00" * 100), StepOutcome.CANNOT_TELL, id="garbage"),
        pytest.param(
            lambda _: httpx.Response(200, content=b"[" * 100_000), StepOutcome.CANNOT_TELL, id="nested too deep"
        ),
        pytest.param(lambda _: httpx.Response(200, json=[]), StepOutcome.CANNOT_TELL, id="a list"),
        pytest.param(lambda _: httpx.Response(302, headers={"Location": "/"}), StepOutcome.CANNOT_TELL, id="elsewhere"),
    ],
)
def test_pacspaces_answer_decides_about_a_root(
    tmp_path: Path, made: World, answer: Answering, outcome: StepOutcome
) -> None:
    report = verified(statement(tmp_path, received_documents(made)), Asked(answers(made), answer))
    assert (last(report)[0], report.outcome) == (outcome, outcome), last(report)


def test_pacspace_that_is_down_refutes_nothing(tmp_path: Path, made: World) -> None:
    report = verified(statement(tmp_path, received_documents(made)), Asked(answers(made), refused))
    assert last(report)[0] is StepOutcome.CANNOT_TELL
    assert {step.result.outcome for step in report.steps[:-1]} == {StepOutcome.HOLDS}


def refused(request: httpx.Request) -> httpx.Response:
    message = "refused"
    raise httpx.ConnectError(message, request=request)


def of_many_roots(folder: Path, found: ReceivedDocuments, number: int) -> str:
    """Return evidence that names many proof roots, as a forger can write it."""
    document = found.document
    [window] = document["windows"]
    document["windows"] = [
        window
        | {"meter": f"m{one}", "lines": [line | {"id": f"il_{one}"} for line in window["lines"]]}
        | {"proof": window["proof"] | {"proof_root": f"0x{one:064x}"}}
        for one in range(number)
    ]
    path = folder / "many.json"
    path.write_bytes(canonical(document))
    return str(path)


def test_pacspace_that_is_down_is_not_asked_about_every_root(tmp_path: Path, made: World) -> None:
    network = Asked(answers(made), refused)
    report = verified(of_many_roots(tmp_path, received_documents(made), 20), network, PACSPACE)
    assert last(report)[0] is StepOutcome.CANNOT_TELL
    assert "not asked about: PacSpace does not answer" in last(report)[1]
    assert len({request.url.path for request in network.requests}) == 1


def test_no_more_than_the_limit_of_roots_are_asked_about(tmp_path: Path, made: World) -> None:
    network = Asked(answers(made), says())
    report = verified(of_many_roots(tmp_path, received_documents(made), MOST_ROOTS + 10), network, PACSPACE)
    assert last(report)[0] is StepOutcome.CANNOT_TELL
    assert f"{MOST_ROOTS} are the most" in last(report)[1]
    assert len(network.requests) == MOST_ROOTS * len(Source)


def test_a_slow_pacspace_is_asked_within_the_time_limit_only(tmp_path: Path, made: World) -> None:
    network = Asked(answers(made), says())
    seconds = iter(range(0, 1000, 10))
    with online_services(PACSPACE, Transport(httpx_transport=httpx.MockTransport(network))) as asked:
        report = verify(
            of_many_roots(tmp_path, received_documents(made), 20), replace(asked, clock=lambda: float(next(seconds)))
        )
    assert last(report)[0] is StepOutcome.CANNOT_TELL
    assert "30 seconds were over" in last(report)[1]
    assert len(network.requests) == 2 * len(Source)


# -- the invoice at Stripe --------------------------------------------------------------------------------------------


def invoice_with(made: World, change: Callable[[dict[str, Any]], None]) -> Answering:
    """Return Stripe's answer with another invoice than the one that was stamped."""
    answering = answers(made)

    def answer(request: httpx.Request) -> httpx.Response:
        response = answering(request)
        if "/v1/invoices/" not in request.url.path:
            return response
        invoice = json.loads(response.content)
        change(invoice)
        return httpx.Response(200, json=invoice)

    return answer


def stamped(**metadata: str) -> Callable[[dict[str, Any]], None]:
    return lambda invoice: invoice["metadata"].update(metadata)


def other_footer_root(invoice: dict[str, Any]) -> None:
    root = invoice["metadata"]["pacspace_proof_root"]
    invoice["footer"] = invoice["footer"].replace(root, swapped(root))


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        pytest.param(stamped(), StepOutcome.HOLDS, id="as stamped"),
        pytest.param(stamped(note="the merchant's own"), StepOutcome.HOLDS, id="with the merchant's own keys"),
        pytest.param(lambda invoice: invoice.update(footer=None), StepOutcome.HOLDS, id="without a footer"),
        pytest.param(stamped(pacspace_evidence_sha256="0" * 64), StepOutcome.REFUTED, id="another hash"),
        pytest.param(stamped(pacspace_proof_root="0x" + "0" * 64), StepOutcome.REFUTED, id="another root"),
        pytest.param(stamped(pacspace_usage="99"), StepOutcome.REFUTED, id="another usage"),
        pytest.param(stamped(pacspace_verdict="waived"), StepOutcome.REFUTED, id="another verdict"),
        pytest.param(stamped(pacspace_proof_root_2="0x" + "0" * 64), StepOutcome.REFUTED, id="a root more"),
        pytest.param(other_footer_root, StepOutcome.REFUTED, id="another root in the footer"),
        pytest.param(lambda invoice: invoice.update(customer="cus_x"), StepOutcome.REFUTED, id="another customer"),
        pytest.param(lambda invoice: invoice.update(metadata={}), StepOutcome.CANNOT_TELL, id="no stamp"),
        pytest.param(lambda invoice: invoice.update(id="in_x"), StepOutcome.CANNOT_TELL, id="another invoice"),
        pytest.param(lambda invoice: invoice.clear(), StepOutcome.CANNOT_TELL, id="nothing"),
    ],
)
def test_the_invoice_at_stripe_decides_about_the_stamp(
    tmp_path: Path, made: World, change: Callable[[dict[str, Any]], None], outcome: StepOutcome
) -> None:
    report = verified(statement(tmp_path, received_documents(made)), Asked(invoice_with(made, change)))
    assert (report.steps[-2].result.outcome, report.outcome) == (outcome, outcome), report.steps[-2]


def test_an_account_without_the_invoice_refutes_nothing(tmp_path: Path, made: World) -> None:
    def elsewhere(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json=NO_SUCH) if "/v1/" in request.url.path[:4] else answers(made)(request)

    report = verified(statement(tmp_path, received_documents(made)), Asked(elsewhere))
    assert report.steps[-2].result.outcome is StepOutcome.CANNOT_TELL


def test_a_key_of_the_other_mode_is_not_used(tmp_path: Path, made: World) -> None:
    network = Asked(answers(made))
    report = verified(
        statement(tmp_path, received_documents(made)), network, PACSPACE | STRIPE | {"STRIPE_API_KEY": "sk_live_1"}
    )
    assert (report.steps[-2].result.outcome, report.outcome) == (StepOutcome.SKIPPED, StepOutcome.HOLDS)
    assert network.hosts == {PACSPACE["PACSPACE_API_BASE_URL"]}


NO_SUCH = {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such invoice"}}


# -- an invoice's id, and a proof root --------------------------------------------------------------------------------


def test_an_invoice_holds_by_its_stamp(made: World) -> None:
    report = verified(made.invoice_id, Asked(answers(made)))
    assert [step.result.outcome for step in report.steps] == [StepOutcome.HOLDS] * 3, report
    assert any("What was compared" in unproven for unproven in report.not_proven)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        pytest.param(other_footer_root, StepOutcome.REFUTED, id="another root in the footer"),
        pytest.param(stamped(pacspace_delta_count="2"), StepOutcome.REFUTED, id="another count"),
        pytest.param(stamped(pacspace_proof_root="0x" + "0" * 64), StepOutcome.REFUTED, id="an unknown root"),
        pytest.param(stamped(pacspace_evidence_sha256="none"), StepOutcome.REFUTED, id="no hash"),
        pytest.param(stamped(pacspace_verdict="fine"), StepOutcome.REFUTED, id="no verdict"),
        pytest.param(stamped(pacspace_usage="99"), StepOutcome.CANNOT_TELL, id="a usage that only evidence explains"),
        pytest.param(lambda invoice: invoice.update(metadata={}), StepOutcome.CANNOT_TELL, id="no stamp"),
        pytest.param(lambda invoice: invoice.update(footer=None), StepOutcome.HOLDS, id="no footer"),
    ],
)
def test_an_invoices_own_stamp_decides(
    made: World, change: Callable[[dict[str, Any]], None], outcome: StepOutcome
) -> None:
    assert verified(made.invoice_id, Asked(invoice_with(made, change))).outcome is outcome


def test_a_matched_invoice_without_a_stamped_root_stays_open(made: World) -> None:
    def bare(invoice: dict[str, Any]) -> None:
        root = invoice["metadata"].pop("pacspace_proof_root")
        invoice["footer"] = invoice["footer"].replace(root, "")

    report = verified(made.invoice_id, Asked(invoice_with(made, bare)))
    assert last(report) == (StepOutcome.CANNOT_TELL, "no proof root is stamped: only the vendor says what was recorded")


def invented_record(document: Any) -> None:  # noqa: ANN401 - JSON
    [window] = document["windows"]
    record = {"key": window["account"], "bits": "-999", "writes": 1, "verified": True}
    lines = [line | {"quantity": "999"} for line in window["lines"]]
    window.update(billed="999", recorded="999", count=1, lines=lines, record=record)
    document["policy"]["ledger"] = "settlement"


@pytest.mark.parametrize("change", [lambda it: it["policy"].update(mode="observe"), invented_record])
def test_figures_without_a_root_never_hold(tmp_path: Path, made: World, change: Callable[[Any], None]) -> None:
    document = received_documents(made).document
    document["windows"][0].update(proof=None, compare=None)
    change(document)
    path = tmp_path / "forged.json"
    path.write_bytes(canonical(document))
    report = verified(str(path), Asked(answers(made)), PACSPACE)
    assert report.outcome is StepOutcome.CANNOT_TELL, report
    assert any("nothing of PacSpace stands behind" in unproven for unproven in report.not_proven)


def test_a_waived_invoice_holds_and_is_named_waived(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run()
        waiver = Waiver(reason="agreed by phone", by="fin", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.run()
        found = received_documents(made)
        path = tmp_path / "bundle.zip"
        path.write_bytes(found.bundle)
        bundle, stamp = (verified(target, Asked(answers(made))) for target in (str(path), made.invoice_id))
    assert (bundle.outcome, bundle.verdict) == (StepOutcome.HOLDS, "waived (OVERBILLED)"), bundle
    assert stamp.outcome is StepOutcome.HOLDS, stamp


def test_an_invoice_without_a_key_cannot_be_read(made: World) -> None:
    report = verified(made.invoice_id, Asked(answers(made)), PACSPACE)
    assert report.outcome is StepOutcome.CANNOT_TELL


def test_an_invoice_that_stripe_does_not_know_leaves_the_question_open(made: World) -> None:
    assert verified("in_unknown", Asked(answers(made))).outcome is StepOutcome.CANNOT_TELL


def test_a_root_that_pacspace_knows_holds(made: World) -> None:
    report = verified(received_documents(made).root, Asked(answers(made)), PACSPACE)
    assert (report.outcome, report.kind) == (StepOutcome.HOLDS, "proof root")
    assert "1 record, net change -100" in last(report)[1]


def test_a_root_alone_shows_its_net_change_and_no_recorded_usage(made: World) -> None:
    report = verified(received_documents(made).root, Asked(answers(made)), {})
    assert report.figures is not None
    (window,) = report.figures.windows
    assert (window.recorded, window.net_change, window.records) == (None, "-100", "1")
    assert "must show the same" not in report.figures.compare


def test_an_unknown_root_is_refuted_only_where_pacspace_says_so(made: World) -> None:
    root = "0x" + "0" * 64
    assert verified(root, Asked(answers(made), unknown), PACSPACE).outcome is StepOutcome.REFUTED
    assert verified(root, Asked(answers(made)), PACSPACE).outcome is StepOutcome.CANNOT_TELL


@pytest.mark.parametrize("by", ["statement", "root", "invoice"])
def test_a_chain_that_pacspace_cannot_reach_refutes_nothing(tmp_path: Path, made: World, by: str) -> None:
    found = received_documents(made)
    target = {"statement": statement(tmp_path, found), "root": found.root, "invoice": made.invoice_id}[by]
    away = says(verified=False, summary=None, message="chain unavailable")
    report = verified(target, Asked(answers(made), away))
    assert report.outcome is StepOutcome.CANNOT_TELL
    assert "does not say that there is none" in last(report)[1]


def by_source(**said: Answering) -> Answering:
    """Return public verify with an answer for each source."""
    return lambda request: said[request.url.params.get("source", "db")](request)


away = says(verified=False, summary=None, message="chain unavailable")
other_figures = says(summary={"recordCount": 2, "netChange": -100})


@pytest.mark.parametrize(
    ("db", "both", "chain", "outcome"),
    [
        pytest.param(says(), says(), says(), StepOutcome.HOLDS, id="all agree"),
        pytest.param(says(), says(), says(summary=None), StepOutcome.HOLDS, id="the chain names no figures"),
        pytest.param(says(), away, away, StepOutcome.HOLDS, id="the chain is away"),
        pytest.param(says(), refused, refused, StepOutcome.HOLDS, id="the chain does not answer"),
        pytest.param(says(), unknown, unknown, StepOutcome.HOLDS, id="not on the chain yet"),
        pytest.param(says(), says(), other_figures, StepOutcome.REFUTED, id="the chain has other figures"),
        pytest.param(says(), other_figures, away, StepOutcome.REFUTED, id="both have other figures"),
        pytest.param(unknown, says(), says(), StepOutcome.REFUTED, id="the database does not know it"),
        pytest.param(away, says(), says(), StepOutcome.HOLDS, id="the database cannot tell and the chain can"),
        pytest.param(away, unknown, unknown, StepOutcome.CANNOT_TELL, id="no source answers"),
    ],
)
def test_every_source_is_asked_and_its_silence_refutes_nothing(
    tmp_path: Path, made: World, *, db: Answering, both: Answering, chain: Answering, outcome: StepOutcome
) -> None:
    network = Asked(answers(made), by_source(db=db, both=both, chain=chain))
    report = verified(statement(tmp_path, received_documents(made)), network, PACSPACE)
    assert last(report)[0] is outcome, last(report)
    confirmed = report.steps[-1].result.sources[1:]
    said_so = any(answer.confirms for answer in confirmed)
    assert any("the public chain has" in unproven for unproven in report.not_proven) is not said_so


def test_the_report_shows_what_each_source_answered(tmp_path: Path, made: World) -> None:
    found = received_documents(made)
    network = Asked(answers(made), by_source(db=says(), both=says(summary=None), chain=away))
    (db, both, chain) = verified(statement(tmp_path, found), network, PACSPACE).steps[-1].result.sources
    assert {answer.proof_root for answer in (db, both, chain)} == {found.root}
    assert (db.source, db.said) == ("db", "confirms it, 1 record, net change -100")
    assert (both.source, both.said) == ("both", "confirms it, without figures")
    assert (chain.source, chain.said) == ("chain", "does not confirm it, without figures (chain unavailable)")


def test_a_chain_that_does_not_answer_is_not_asked_about_every_root(tmp_path: Path, made: World) -> None:
    network = Asked(answers(made), by_source(db=says(), both=refused, chain=refused))
    verified(of_many_roots(tmp_path, received_documents(made), 20), network, PACSPACE)
    asked = [request.url.path for request in network.requests if request.url.params.get("source")]
    assert len(set(asked)) == 1


def test_a_root_is_open_while_pacspace_is_down(made: World) -> None:
    network = Asked(answers(made), lambda _: httpx.Response(503))
    assert verified(received_documents(made).root, network, PACSPACE).outcome is StepOutcome.CANNOT_TELL


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STRIPE_API_KEY", ""),
        ("STRIPE_API_KEY", "pk_live_publishable"),
        ("STRIPE_API_BASE_URL", "http://stripe.example"),
        ("PACSPACE_API_BASE_URL", "http://pacspace.example"),
        ("PACSPACE_API_BASE_URL", "not an address"),
    ],
)
def test_an_invalid_variable_is_named_without_its_value(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable) as refused, online_services({variable: value}):
        pass
    assert not value or value not in str(refused.value)
