"""PacSpace's two ledgers, the Balance API and the settlement API, behind one client; and the dashboard.

* ``client`` is the entry: ``PacSpace`` for a key, ``PublicPacSpace`` for public verify. Its parts are one module each.
* ``inputs`` checks everything that is sent. ``models`` are everything that comes back; ``parsing`` reads them, strictly
  and in every documented spelling. ``http`` sends one request and opens its envelope; ``failures`` maps error answers.
* ``reconciliation`` serves the gate: it reads no more than a comparison judges by.
* ``dashboard`` asks for access and makes keys.
* ``events`` reads signed webhooks. No event decides anything: it names the account whose figures to read again.

The room owns neither connections, retries and rate limits (``pacspace_stripe.http``), nor any decision. Facts about
PacSpace are cited as ``CONTRACT n.n``: see CONTRACT.md beside this file. README.md describes how to use the client.
"""

from pacspace_stripe.pacspace_api.client import PacSpace, PublicPacSpace
from pacspace_stripe.pacspace_api.inputs import (
    CheckpointName,
    CurrentMonth,
    Granularity,
    Month,
    NewDelta,
    Scope,
    Since,
    Source,
    Span,
    Write,
)
from pacspace_stripe.pacspace_api.models import (
    AcceptedWrites,
    Batch,
    BatchItem,
    Bucket,
    CheckpointPage,
    CheckpointRecord,
    CheckpointRoot,
    Customer,
    CustomerPage,
    CustomerReceipt,
    CustomersSummary,
    DeliveryPage,
    DeliveryStatus,
    Delta,
    DeltaState,
    FactRecord,
    Gap,
    Gaps,
    InvoiceProofRecord,
    Limits,
    NewCustomer,
    PeriodSummary,
    PlanUsage,
    ProofLinks,
    ReceiptDocument,
    ScopeBalance,
    Verification,
    WebhookDelivery,
)
from pacspace_stripe.pacspace_api.reconciliation import ReconciliationApi
from pacspace_stripe.vocabulary.windows import Window

__all__ = [
    "AcceptedWrites",
    "Batch",
    "BatchItem",
    "Bucket",
    "CheckpointName",
    "CheckpointPage",
    "CheckpointRecord",
    "CheckpointRoot",
    "CurrentMonth",
    "Customer",
    "CustomerPage",
    "CustomerReceipt",
    "CustomersSummary",
    "DeliveryPage",
    "DeliveryStatus",
    "Delta",
    "DeltaState",
    "FactRecord",
    "Gap",
    "Gaps",
    "Granularity",
    "InvoiceProofRecord",
    "Limits",
    "Month",
    "NewCustomer",
    "NewDelta",
    "PacSpace",
    "PeriodSummary",
    "PlanUsage",
    "ProofLinks",
    "PublicPacSpace",
    "ReceiptDocument",
    "ReconciliationApi",
    "Scope",
    "ScopeBalance",
    "Since",
    "Source",
    "Span",
    "Verification",
    "WebhookDelivery",
    "Window",
    "Write",
]
