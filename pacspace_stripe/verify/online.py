"""What is asked over the network: Stripe about an invoice, with a key, and PacSpace about a proof root, without one.

Only these two are ever contacted, at their own addresses or those in the environment: never a host that a document
names. Whatever fails is no refutation: it leaves the question open.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from pacspace_stripe.errors import ConfigurationError, NotFound, RemoteError
from pacspace_stripe.evidence.models import EvidenceDocument, WindowModel
from pacspace_stripe.evidence.reader import ReadEvidence
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import PublicPacSpace
from pacspace_stripe.pacspace_api.inputs import DEFAULT_ADDRESS
from pacspace_stripe.settings import parsers as written
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.verify import consistency as truths
from pacspace_stripe.verify import stamps as stamped
from pacspace_stripe.verify.ledger_files import agrees
from pacspace_stripe.verify.pacspace_answers import PATIENCE, Roots
from pacspace_stripe.verify.report import Result, cannot_tell, refuted, skipped, together
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.ledger import Proof, ProofSummary

STRIPE_KEY, STRIPE_ADDRESS, PACSPACE_ADDRESS = "STRIPE_API_KEY", "STRIPE_API_BASE_URL", "PACSPACE_API_BASE_URL"
_OFFLINE = "offline"
_NO_KEY = f"{STRIPE_KEY} is not set"


@dataclass(slots=True, kw_only=True)
class Heard:
    """Invoices and answers read on the way, which name what the verification is about."""

    invoices: dict[str, Invoice] = field(default_factory=dict)
    roots: dict[str, ProofSummary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Whom to ask; ``no_stripe`` and ``no_pacspace`` say why one is missing."""

    stripe: StripeApi | None = None
    pacspace: PublicPacSpace | None = None
    no_stripe: str = _OFFLINE
    no_pacspace: str = _OFFLINE
    clock: Callable[[], float] = time.monotonic
    """In seconds, for how long is asked."""
    heard: Heard = field(default_factory=Heard)


@contextmanager
def services(environ: Mapping[str, str], transport: Transport | None = None) -> Iterator[Services]:
    """Those that the environment leads to. Raises ConfigurationError for a variable that makes no sense."""
    key, address = _written(environ, STRIPE_KEY), _written(environ, STRIPE_ADDRESS)
    pacspace_address = _written(environ, PACSPACE_ADDRESS) or DEFAULT_ADDRESS
    opened = transport or Transport(timeouts=PATIENCE)
    try:
        yield Services(
            stripe=StripeApi(opened, key, address) if key else None,
            pacspace=PublicPacSpace(base_url=pacspace_address, transport=opened),
            no_stripe="" if key else _NO_KEY,
        )
    finally:
        if transport is None:
            opened.close()


def _written(environ: Mapping[str, str], variable: str) -> str | None:
    value = environ.get(variable)
    if value is None:
        return None
    if not value.strip():
        raise ConfigurationError(variable, "is set, but empty")
    try:
        return written.stripe_key(value).get_secret_value() if variable == STRIPE_KEY else written.address(value)
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(variable, problem)


def at_stripe(services: Services, evidence: ReadEvidence) -> Result:
    """Whether the invoice at Stripe still carries the stamp of this evidence."""
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
    return stamped.on_invoice(invoice.metadata, invoice.footer, evidence)


def read_invoice(services: Services, stripe: StripeApi, invoice_id: str) -> Invoice | Result:
    """The invoice, or why it cannot be read."""
    try:
        invoice = stripe.read_invoice(invoice_id)
    except NotFound:
        return cannot_tell(f"the account of {STRIPE_KEY} has no invoice {invoice_id}")
    except (RemoteError, ValueError) as error:
        return cannot_tell(str(error))
    services.heard.invoices[invoice_id] = invoice
    return invoice


def at_pacspace(services: Services, evidence: ReadEvidence) -> Result:
    """Whether public verify says of every proof root what the evidence says; what has none stays open, asked or not."""
    document = evidence.document
    bare = [cannot_tell(f"{truths.name_of(window)}: {_why_bare(window)}") for window in truths.unbacked(document)]
    return together([*bare, *_at_pacspace(services, document)], otherwise="the evidence has no proof root")


def _why_bare(window: WindowModel) -> str:
    if window.record is None:
        return "no proof root covers what was recorded, so only the vendor says it"
    return "a settlement record has no proof root, and only the vendor can read it"


def _at_pacspace(services: Services, document: EvidenceDocument) -> list[Result]:
    if services.pacspace is None:
        return [skipped(services.no_pacspace)]
    proofs = [proof for window in document.windows if (proof := window.result().proof)]
    roots = Roots(services.pacspace, clock=services.clock)
    return [roots.about(proof.proof_root).judged(partial(_agrees, proof)) for proof in proofs]


def _agrees(proof: Proof, summary: ProofSummary) -> Result:
    return agrees(summary, proof)
