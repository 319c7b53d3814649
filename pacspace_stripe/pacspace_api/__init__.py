"""PacSpace's two ledgers: the Balance API and the settlement API; and, apart, the ``dashboard`` that makes keys.

Owns the requests, once, in ``calls``, and the reading of PacSpace's answers in all their documented spellings: for the
gate into ``domain.ledger`` (``PacSpaceApi``), for everybody else into typed results (``PacSpace``). Does not own how
requests travel (``transport``), webhooks, or any decision. Section numbers are those of the contract.
"""

from pacspace_stripe.pacspace_api.api import PacSpaceApi
from pacspace_stripe.pacspace_api.balance import BalanceApi, NewDelta
from pacspace_stripe.pacspace_api.client import PacSpace, PublicPacSpace
from pacspace_stripe.pacspace_api.customers import Customer, CustomerPage, CustomersApi, CustomersSummary, NewCustomer
from pacspace_stripe.pacspace_api.failures import pacspace_failure
from pacspace_stripe.pacspace_api.parsing import (
    balance_from_pacspace,
    checkpoint_from_pacspace,
    comparison_from_pacspace,
    invoice_proof_from_pacspace,
    proof_summary_from_pacspace,
)
from pacspace_stripe.pacspace_api.proofs import ProofsApi
from pacspace_stripe.pacspace_api.results import (
    Batch,
    BatchItem,
    CheckpointPage,
    CheckpointRecord,
    CustomerReceipt,
    DeliveryStatus,
    Delta,
    Derived,
    InvoiceProofRecord,
    PeriodSummary,
    ReceiptDocument,
    Source,
    Status,
    Verification,
)
from pacspace_stripe.pacspace_api.scopes import CheckpointName, CurrentMonth, Granularity, Month, Scope, Since, Span
from pacspace_stripe.pacspace_api.settlement import Bucket, Fact, SettlementApi, Write, Written
from pacspace_stripe.pacspace_api.tenant import (
    DeliveryPage,
    Gap,
    Gaps,
    Limits,
    TenantApi,
    Usage,
    WebhookDelivery,
)
from pacspace_stripe.vocabulary.windows import Window

__all__ = [
    "BalanceApi",
    "Batch",
    "BatchItem",
    "Bucket",
    "CheckpointName",
    "CheckpointPage",
    "CheckpointRecord",
    "CurrentMonth",
    "Customer",
    "CustomerPage",
    "CustomerReceipt",
    "CustomersApi",
    "CustomersSummary",
    "DeliveryPage",
    "DeliveryStatus",
    "Delta",
    "Derived",
    "Fact",
    "Gap",
    "Gaps",
    "Granularity",
    "InvoiceProofRecord",
    "Limits",
    "Month",
    "NewCustomer",
    "NewDelta",
    "PacSpace",
    "PacSpaceApi",
    "PeriodSummary",
    "ProofsApi",
    "PublicPacSpace",
    "ReceiptDocument",
    "Scope",
    "SettlementApi",
    "Since",
    "Source",
    "Span",
    "Status",
    "TenantApi",
    "Usage",
    "Verification",
    "WebhookDelivery",
    "Window",
    "Write",
    "Written",
    "balance_from_pacspace",
    "checkpoint_from_pacspace",
    "comparison_from_pacspace",
    "invoice_proof_from_pacspace",
    "pacspace_failure",
    "proof_summary_from_pacspace",
]
