"""What the endpoint needs from the inside: someone who verifies a webhook and makes it durable, for each vendor."""

from collections.abc import Mapping
from typing import Protocol

from pacspace_stripe.stripe_api.events import Receipt


class Receiver(Protocol):
    """Called from several threads at once. Blocking is fine; taking long is not, since Stripe waits."""

    def receive(self, body: bytes, signature_header: str | None) -> Receipt:
        """Verify the raw ``body`` and make its event durable; a repeated delivery changes nothing.

        Raises SignatureError (nothing was stored), UnreadableEvent (it was recorded), StoreUnavailable (it was not).
        """
        ...

    def ready(self) -> Mapping[str, str]:
        """Whether an event could be made durable now; a few words for a person. Raises StoreUnavailable if not."""
        ...


class LedgerReceiver(Protocol):
    """The same for PacSpace's webhooks, whose signature is in headers of its own."""

    def receive(
        self, body: bytes, *, signature: str | None, timestamp: str | None, event_id: str | None = None
    ) -> Receipt:
        """Verify the raw ``body`` and make what it changes durable; a repeated delivery changes nothing.

        Raises SignatureError (nothing was stored), UnreadableEvent (it was recorded), StoreUnavailable (it was not).
        """
        ...
