"""PacSpace from Python: the whole of both its ledgers, exactly, with errors that say what to do."""

from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import uuid4

from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.balance import BalanceApi
from pacspace_stripe.pacspace_api.calls import Calls
from pacspace_stripe.pacspace_api.customers import CustomersApi
from pacspace_stripe.pacspace_api.http import Wire
from pacspace_stripe.pacspace_api.proofs import ProofsApi
from pacspace_stripe.pacspace_api.results import Source, Verification
from pacspace_stripe.pacspace_api.settlement import SettlementApi
from pacspace_stripe.pacspace_api.tenant import TenantApi


def _new_key() -> str:
    return uuid4().hex


class PublicPacSpace:
    """What anyone may ask of PacSpace, without a key. Thread-safe; also a context manager.

    ``transport`` shares connections and patience with others; it is then yours to close. Raises InvalidInput.
    """

    def __init__(self, *, base_url: str | None = None, transport: Transport | None = None) -> None:
        address = inputs.address("", base_url, None)
        self._owned = transport is None
        self._transport = transport or Transport()
        self._public = ProofsApi(Calls(Wire(self._transport, None, address)))

    def verify(self, proof_root: str, source: Source = Source.DB) -> Verification:
        """What anyone may know of a proof root; see ``ProofsApi.verify``."""
        return self._public.verify(proof_root, source)

    def close(self) -> None:
        """Close the connections, unless the transport is yours."""
        if self._owned:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class PacSpace(PublicPacSpace):
    """A client of PacSpace for one API key. Thread-safe; also a context manager.

    ``balance``, ``proofs``, ``customers`` and ``tenant`` are the Balance API, ``settlement`` is the older settlement
    API. The address is ``base_url`` if given, else for test keys ``sandbox_url`` if given, else PacSpace's own.
    ``transport`` shares connections and patience with others; it is then yours to close. Raises InvalidInput.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str | None = None,
        sandbox_url: str | None = None,
        credit_pool_id: str | None = None,
        transport: Transport | None = None,
        new_key: Callable[[], str] = _new_key,
    ) -> None:
        key = inputs.api_key(api_key)
        # Which of a tenant's contracts is meant (CONTRACT 1.3); the name is PacSpace's own.
        pool = {} if credit_pool_id is None else {"X-Credit-Pool-Id": inputs.idempotency_key(credit_pool_id)}
        address = inputs.address(key, base_url, sandbox_url)
        super().__init__(base_url=address, transport=transport)
        calls = Calls(Wire(self._transport, key, address, headers=pool))
        self.base_url = address.rstrip("/")
        self.balance = BalanceApi(calls, new_key)
        # What anyone may ask goes out without the key here too, and no error repeats it.
        self.proofs = self._public = ProofsApi(calls)
        self.customers = CustomersApi(calls, new_key)
        self.tenant = TenantApi(calls, new_key)
        self.settlement = SettlementApi(calls, new_key)
