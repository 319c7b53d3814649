"""Questions to Stripe about an invoice, with a key, and to PacSpace about a proof root, without one.

Only these two are ever contacted, at their own addresses or those in the environment: never a host that a document
names. A document names as many roots as it likes; the answers still come within a time limit. A question that fails,
or that is not asked, stays open: it never refutes, and never counts as agreement.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from pacspace_stripe.errors import ConfigurationError, InvalidInput, NotFound, RemoteError, RemoteUnavailable
from pacspace_stripe.evidence.models import WindowModel
from pacspace_stripe.evidence.reader import ReadEvidence
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.pacspace_api import PublicPacSpace, Source
from pacspace_stripe.pacspace_api.inputs import DEFAULT_ADDRESS
from pacspace_stripe.settings import parsers
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.verify import stamps
from pacspace_stripe.verify.consistency import name_of, unbacked
from pacspace_stripe.verify.report import (
    Result,
    SourceAnswer,
    StepOutcome,
    cannot_tell,
    printable,
    refuted,
    skipped,
    together,
)
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.ledger import ProofSummary
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.text import plural

STRIPE_KEY, STRIPE_ADDRESS, PACSPACE_ADDRESS = "STRIPE_API_KEY", "STRIPE_API_BASE_URL", "PACSPACE_API_BASE_URL"
_OFFLINE = "offline"
_NO_KEY = f"{STRIPE_KEY} is not set"
_TIMEOUTS = Timeouts(total=10.0)
"""Timeouts of one question: a person waits for the answer."""
LONGEST = 30.0
"""Seconds for all proof roots of a document together: no question is started later."""
MOST_ROOTS = 50
_NOT_ASKED = "the other proof roots were not asked about"
_SILENT = f"{_NOT_ASKED}: PacSpace does not answer"
_LATE = f"{_NOT_ASKED}: {LONGEST:.0f} seconds were over"
_MANY = f"{_NOT_ASKED}: {MOST_ROOTS} are the most"

SourceReply = ProofSummary | Result
"""The answer of one source, or why there is none."""


@dataclass(slots=True, kw_only=True)
class OnlineAnswers:
    """Invoices and answers read during a verification, which name what it is about."""

    invoices: dict[str, Invoice] = field(default_factory=dict)
    roots: dict[str, ProofSummary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineServices:
    """The services that may be asked; ``no_stripe`` and ``no_pacspace`` say why one is missing."""

    stripe: StripeApi | None = None
    pacspace: PublicPacSpace | None = None
    no_stripe: str = _OFFLINE
    no_pacspace: str = _OFFLINE
    clock: Callable[[], float] = time.monotonic
    """Seconds, for the time limit on questions."""
    answers: OnlineAnswers = field(default_factory=OnlineAnswers)


@contextmanager
def online_services(environ: Mapping[str, str], transport: Transport | None = None) -> Iterator[OnlineServices]:
    """Open the services that the environment leads to. Raises ConfigurationError for a variable that makes no sense."""
    key, address = _variable(environ, STRIPE_KEY), _variable(environ, STRIPE_ADDRESS)
    pacspace_address = _variable(environ, PACSPACE_ADDRESS) or DEFAULT_ADDRESS
    opened = transport or Transport(timeouts=_TIMEOUTS)
    try:
        yield OnlineServices(
            stripe=StripeApi(opened, key, address) if key else None,
            pacspace=PublicPacSpace(base_url=pacspace_address, transport=opened),
            no_stripe="" if key else _NO_KEY,
        )
    finally:
        if transport is None:
            opened.close()


def _variable(environ: Mapping[str, str], variable: str) -> str | None:
    value = environ.get(variable)
    if value is None:
        return None
    if not value.strip():
        raise ConfigurationError(variable, "is set, but empty")
    try:
        return parsers.stripe_key(value).get_secret_value() if variable == STRIPE_KEY else parsers.address(value)
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(variable, problem)


def at_stripe(services: OnlineServices, evidence: ReadEvidence) -> Result:
    """Check that the invoice at Stripe still carries the stamp of this evidence."""
    document = evidence.document
    if services.stripe is None:
        return skipped(services.no_stripe)
    if services.stripe.livemode != document.livemode:
        modes = ("live", "test") if document.livemode else ("test", "live")
        return skipped("the invoice is of {} mode, STRIPE_API_KEY of {} mode".format(*modes))
    invoice = read_invoice(services, services.stripe, document.invoice)
    if isinstance(invoice, Result):
        return invoice
    if invoice.customer_id != document.customer:
        return refuted(f"the invoice is {invoice.customer_id}'s at Stripe, the evidence says {document.customer}'s")
    return stamps.on_invoice(invoice.metadata, invoice.footer, evidence)


def read_invoice(services: OnlineServices, stripe: StripeApi, invoice_id: str) -> Invoice | Result:
    """Return the invoice, or why it cannot be read."""
    try:
        invoice = stripe.read_invoice(invoice_id)
    except NotFound:
        return cannot_tell(f"the account of {STRIPE_KEY} has no invoice {invoice_id}")
    except (RemoteError, ValueError) as error:
        return cannot_tell(str(error))
    services.answers.invoices[invoice_id] = invoice
    return invoice


def at_pacspace(services: OnlineServices, evidence: ReadEvidence) -> Result:
    """Check that public verify agrees with the evidence about every proof root.

    Matched usage without a root stays open, asked or not.
    """
    document = evidence.document
    results = [cannot_tell(f"{name_of(window)}: {_why_unbacked(window)}") for window in unbacked(document)]
    if services.pacspace is None:
        results.append(skipped(services.no_pacspace))
    else:
        public = PublicVerify(services.pacspace, clock=services.clock)
        proofs = [proof for window in document.windows if (proof := window.result().proof)]
        results += [public.about(proof.proof_root).compared(partial(stamps.agrees, proof=proof)) for proof in proofs]
    return together(results, otherwise="the evidence has no proof root")


def _why_unbacked(window: WindowModel) -> str:
    if window.record is None:
        return "no proof root covers what was recorded, so only the vendor says it"
    return "a settlement record has no proof root, and only the vendor can read it"


class PublicVerify:
    """PacSpace's public verify about the roots of one document: each root once, source by source, within limits.

    ``db`` decides; ``both`` and ``chain`` can contradict it, and their silence is no finding.
    """

    def __init__(self, pacspace: PublicPacSpace, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pacspace = pacspace
        self._clock = clock
        self._until = clock() + LONGEST
        self._found: dict[str, RootAnswers] = {}
        self._silent = False
        self._without_chain = False

    def about(self, root: str) -> "RootAnswers":
        """Return the answers about a root, or why there is none."""
        if root in self._found:
            return self._found[root]
        reason = None
        if self._silent:
            reason = _SILENT
        elif len(self._found) >= MOST_ROOTS:
            reason = _MANY
        elif self._clock() >= self._until:
            reason = _LATE
        if reason is not None:
            return RootAnswers(root=root, by_source={Source.DB: cannot_tell(reason)})
        self._found[root] = found = RootAnswers(root=root, by_source=dict(self._replies(root)))
        return found

    def _replies(self, root: str) -> Iterator[tuple[Source, SourceReply]]:
        """Ask ``db`` first: it answers at once, and if it does not, no source does. The chain may be slow or away."""
        reply, answered = self._ask(root, Source.DB)
        yield Source.DB, reply
        self._silent = not answered
        for source in (Source.BOTH, Source.CHAIN):
            if self._silent or self._without_chain:
                return
            reply, answered = self._ask(root, source)
            yield source, reply
            self._without_chain = not answered

    def _ask(self, root: str, source: Source) -> tuple[SourceReply, bool]:
        try:
            return self._pacspace.proof_summary(root, source), True
        except (RemoteError, InvalidInput) as error:
            return cannot_tell(str(error)), not isinstance(error, RemoteUnavailable)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootAnswers:
    """The answers of public verify's sources about one root; ``db`` is always among them."""

    root: str
    by_source: Mapping[Source, SourceReply]

    @property
    def summary(self) -> ProofSummary | None:
        """The first answer that confirms the root, with figures if any source gives some."""
        found = [reply for reply in self.by_source.values() if isinstance(reply, ProofSummary) and reply.verified]
        return next((reply for reply in found if reply.record_count is not None), found[0] if found else None)

    def compared(self, agree: Callable[[ProofSummary], Result]) -> Result:
        """Return whether the sources agree with what ``agree`` holds them to.

        1. Other figures of any source refute.
        2. Else ``db`` decides.
        3. Where ``db`` cannot tell, another source that agrees is enough.
        """
        results = {
            source: reply if isinstance(reply, Result) else agree(reply) for source, reply in self.by_source.items()
        }
        # 1. A root that a source does not confirm may still be on its way; figures that differ are a finding.
        decisive = []
        for reply in self.by_source.values():
            if isinstance(reply, ProofSummary) and not (reply.record_count is None and reply.net_change is None):
                result = agree(replace(reply, verified=True))
                if result.outcome is StepOutcome.REFUTED:
                    decisive.append(result)
        # 3.
        if not decisive and results[Source.DB].outcome is StepOutcome.CANNOT_TELL:
            others = (result for source, result in results.items() if source is not Source.DB)
            decisive = [result for result in others if result.outcome is StepOutcome.HOLDS]
        # 2.
        decided = together(decisive or [results[Source.DB]], otherwise="")
        return replace(decided, sources=tuple(self._sources()))

    def _sources(self) -> Iterator[SourceAnswer]:
        root = printable(self.root)
        for source, reply in self.by_source.items():
            if isinstance(reply, Result):
                words, confirms = reply.detail, False
            else:
                words, confirms = _in_words(reply), reply.verified
            yield SourceAnswer(proof_root=root, source=source.value, said=printable(words), confirms=confirms)


def _in_words(summary: ProofSummary) -> str:
    if summary.unknown:
        return "does not know it"
    figures = [] if summary.record_count is None else [plural(summary.record_count, "record")]
    figures += [] if summary.net_change is None else [f"net change {text(summary.net_change)}"]
    confirms = "confirms it" if summary.verified else "does not confirm it"
    words = f"{confirms}, {', '.join(figures) or 'without figures'}"
    return f"{words} ({summary.message})" if summary.message and not summary.verified else words
