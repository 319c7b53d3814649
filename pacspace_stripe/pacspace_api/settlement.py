"""The older settlement API (CONTRACT 7): writes that add up under a key, the reading of that sum, and facts.

It is another ledger than the Balance API's: what is written to one is not seen in the other.
"""

from collections.abc import Callable, Mapping, Sequence

from pacspace_stripe.errors import InvalidInput
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.http import PacSpaceHttp
from pacspace_stripe.pacspace_api.inputs import Write
from pacspace_stripe.pacspace_api.models import (
    AcceptedWrites,
    Bucket,
    FactRecord,
)
from pacspace_stripe.pacspace_api.parsing import read

BUCKET = "/api/v1/reads/bucket/{id}"
_FACTS = "/api/v1/facts"
_MOST_ITEMS = 100
"""Writes in one request of ours; PacSpace names no limit."""


class SettlementApi:
    """``PacSpace.settlement``. Thread-safe.

    Raises InvalidInput before anything is sent, RemoteError's children after.
    """

    def __init__(self, http: PacSpaceHttp, new_key: Callable[[], str]) -> None:
        self._http = http
        self._new_key = new_key

    def write(self, items: Sequence[Write], *, idempotency_key: str | None = None) -> AcceptedWrites:
        """Add 1 to 100 amounts to their records.

        Sent once, because no page says that an idempotency key counts here (CONTRACT 1.7). After RemoteUnavailable,
        compare ``total_writes`` of the record before you send it again.
        """
        if not 1 <= len(items) <= _MOST_ITEMS:
            message = f"1 to {_MOST_ITEMS} writes go at once"
            raise InvalidInput(message)
        body = {"items": [item.body() for item in items]}
        key = self._key(idempotency_key)
        return read(
            AcceptedWrites, "writes", self._http.post("writes", "/api/v1/writes", body, key=key, repeatable=False)
        )

    def bucket(self, key: str) -> Bucket:
        """Return the sum of a record's writes. Raises NotFound for a key that nothing was written to."""
        return read(Bucket, "bucket", self._http.get("bucket", BUCKET, inputs.text("key", key)), key=key)

    def post_fact(
        self, content: object, *, metadata: Mapping[str, object] | None = None, idempotency_key: str | None = None
    ) -> FactRecord:
        """Store a fact: text, or any JSON value, Decimals exactly. Sent once, like ``write``."""
        body = {"content": content, "metadata": inputs.mapping("metadata", metadata)}
        data = self._http.post("fact", _FACTS, body, key=self._key(idempotency_key), repeatable=False)
        return read(FactRecord, "fact", data)

    def fact(self, content_hash: str) -> FactRecord:
        """Return a fact by its hash. Raises NotFound for one that was never posted."""
        data = self._http.get("fact", f"{_FACTS}/{{id}}", inputs.text("content_hash", content_hash))
        return read(FactRecord, "fact", data, contentHash=content_hash)

    def verify_fact(self, content_hash: str) -> FactRecord:
        """Return a fact with PacSpace's word on whether it is ``verified``."""
        data = self._http.get("fact", f"{_FACTS}/{{id}}/verify", inputs.text("content_hash", content_hash))
        Fields(PACSPACE, "fact", data).flag("verified")
        return read(FactRecord, "fact", data, contentHash=content_hash)

    def _key(self, given: str | None) -> str:
        return self._new_key() if given is None else inputs.idempotency_key(given)
