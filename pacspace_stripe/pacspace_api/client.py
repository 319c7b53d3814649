"""The one client of PacSpace: for the gate, the command line and users, with both of PacSpace's ledgers."""

from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import uuid4

from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.balance import BalanceApi
from pacspace_stripe.pacspace_api.http import PacSpaceHttp
from pacspace_stripe.pacspace_api.inputs import Source
from pacspace_stripe.pacspace_api.models import Verification
from pacspace_stripe.pacspace_api.proofs import ProofsApi, proof_summary
from pacspace_stripe.pacspace_api.reconciliation import ReconciliationApi
from pacspace_stripe.pacspace_api.settlement import SettlementApi
from pacspace_stripe.pacspace_api.tenant import CustomersApi, TenantApi
from pacspace_stripe.vocabulary.ledger import ProofSummary


class PublicPacSpace:
    """The public part of PacSpace, which needs no key. Thread-safe; also a context manager.

    ``transport`` shares connections and rate limits with others; its owner closes it. Raises InvalidInput.
    """

    def __init__(self, *, base_url: str | None = None, transport: Transport | None = None) -> None:
        self.base_url = inputs.address("", base_url, None).rstrip("/")
        self._owned = transport is None
        self._transport = transport or Transport()
        self._public = PacSpaceHttp(self._transport, None, self.base_url)

    def verify(self, proof_root: str, source: Source = Source.DB) -> Verification:
        """Return the public knowledge about a proof root; see ``ProofsApi.verify``."""
        return ProofsApi(self._public).verify(proof_root, source)

    def proof_summary(self, proof_root: str, source: Source = Source.DB) -> ProofSummary:
        """Return public verify of a root, read only as far as a comparison judges it."""
        return proof_summary(self._public, proof_root, source)

    def close(self) -> None:
        """Close the connections, unless the transport was passed in."""
        if self._owned:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class PacSpace(PublicPacSpace):
    """A client of PacSpace for one API key. Thread-safe; also a context manager.

    ``balance``, ``proofs``, ``customers`` and ``tenant`` are the Balance API, ``settlement`` is the older settlement
    API, ``reconciliation`` is what the gate compares by. The address is ``base_url`` if given, else for test keys
    ``sandbox_url`` if given, else PacSpace's own. ``transport`` shares connections and rate limits with others; its
    owner closes it. Raises InvalidInput.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str | None = None,
        sandbox_url: str | None = None,
        credit_pool_id: str | None = None,
        transport: Transport | None = None,
        new_key: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        key = inputs.api_key(api_key)
        # Selects one of the tenant's contracts (CONTRACT 1.3); the name is PacSpace's own.
        pool = {} if credit_pool_id is None else {"X-Credit-Pool-Id": inputs.idempotency_key(credit_pool_id)}
        super().__init__(base_url=inputs.address(key, base_url, sandbox_url), transport=transport)
        # Public requests go out without the key here too. Errors hide it, should PacSpace repeat it.
        http = self._public = PacSpaceHttp(self._transport, key, self.base_url, headers=pool)
        self.balance = BalanceApi(http, new_key)
        self.proofs = ProofsApi(http)
        self.customers = CustomersApi(http, new_key)
        self.tenant = TenantApi(http, new_key)
        self.settlement = SettlementApi(http, new_key)
        self.reconciliation = ReconciliationApi(http, self.balance)
