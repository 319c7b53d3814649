"""The requests we make of PacSpace."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import quote, urlencode

from pacspace_stripe import __version__
from pacspace_stripe.domain import quantities
from pacspace_stripe.domain.ledger import Balance, Checkpoint, Comparison, InvoiceProof, ProofSummary, Unsettled
from pacspace_stripe.domain.windows import Window, iso
from pacspace_stripe.errors import NotFound, RemoteRefused, RemoteUnavailable
from pacspace_stripe.pacspace_api import reading
from pacspace_stripe.pacspace_api.failures import PACSPACE, pacspace_failure
from pacspace_stripe.transport import Answer, Call, Transport
from pacspace_stripe.transport.answers import Fields, error_body

_PENDING_REST = 1.0
"""Seconds before a pending checkpoint is asked for again, when PacSpace names none."""
_PAGE = 100
_MOST_PAGES = 10
_NOTHING = Decimal(0)


class PacSpaceApi:
    """PacSpace at ``base_url``. Thread-safe.

    Every method raises RemoteError's children, with PacSpace's own code in ``code``: RemoteUnavailable and
    RateLimited for another time, UnexpectedAnswer for what no document shows, RemoteRefused (NotFound) for a clear no;
    and, from ``compare`` and ``checkpoint``, what the transport's guard raises. Balances are raw and signed, windows
    ``[start, end)`` in UTC.
    """

    def __init__(self, transport: Transport, api_key: str, base_url: str) -> None:
        self._transport = transport
        self._key = {"X-Api-Key": api_key}
        self._base_url = base_url.rstrip("/")

    def derive(self, account: str, window: Window) -> Balance:
        """The balance over all verified deltas of the window (3.4); zero of nothing for an unknown account."""
        path = f"/api/v1/balance/derive/{_segment(account)}"
        # The limit cuts only the list of deltas; the balance is always over all of them.
        query = {**_scope(window), "limit": "1"}
        try:
            data = self._get("derive", "/api/v1/balance/derive/{id}", path, query)
        except NotFound:
            return Balance(account=account, window=window, net=_NOTHING, count=0, known=False)
        return reading.balance_from_pacspace(data, account, window)

    def compare(self, account: str, window: Window, *, yours: Decimal, theirs: Decimal) -> Comparison:
        """What PacSpace says of two balances of the window (3.5). Changes nothing there; NotFound: unknown account."""
        sent = Comparison(
            your_balance=yours, their_balance=theirs, neutral_balance=None, matches_yours=None, matches_theirs=None
        )
        body: dict[str, str | Decimal] = {
            "customerId": account,
            "yourBalance": yours,
            "theirBalance": theirs,
            "startingBalance": _NOTHING,
            **_scope(window),
        }
        answer = self._post("/api/v1/balance/compare", body)
        return reading.comparison_from_pacspace(reading.data_of("compare", answer), sent)

    def checkpoint(self, account: str, window: Window, *, idempotency_key: str) -> Checkpoint:
        """Freeze the window's verified deltas under one root (3.6); the root may come later.

        The same key and window give the same checkpoint. Raises RemoteUnavailable while PacSpace is still at it, and
        RemoteRefused when PacSpace gave it up.
        """
        until = self._transport.deadline()
        body = {"customerId": account, **_scope(window)}
        answer = self._post("/api/v1/balance/checkpoint", body, key=idempotency_key, until=until)
        while reading.is_pending(answer):
            asked = error_body(answer.body).retry_after
            if not self._transport.rest(_PENDING_REST if asked is None else max(asked, 0.1), until=until):
                message = "the checkpoint is still being made"
                raise RemoteUnavailable(PACSPACE, message, status=answer.status, code="IDEMPOTENCY_PENDING")
            answer = self._post("/api/v1/balance/checkpoint", body, key=idempotency_key, until=until)
        return _made(reading.data_of("checkpoint", answer), account)

    def find_checkpoint(self, account: str, window: Window, checkpoint_id: str) -> Checkpoint | None:
        """A checkpoint made before, with its root once it is committed (3.7); None when it is not listed."""
        path = "/api/v1/balance/checkpoints"
        seen = 0
        for _ in range(_MOST_PAGES):
            query = {"customerId": account, **_scope(window), "limit": str(_PAGE), "offset": str(seen)}
            page = self._get("checkpoints", path, path, query)
            rows = page.items("checkpoints")
            found = next((row for row in rows if row.optional_text("checkpointId") == checkpoint_id), None)
            if found:
                return _made(found, account)
            seen += len(rows)
            if not rows or seen >= reading.total_of(page, unnamed=_PAGE):
                break
        return None

    def invoice_proof(self, account: str, window: Window) -> InvoiceProof:
        """Where the window's proof is shown (3.9); all None when there is no such account or checkpoint."""
        path = f"/api/v1/balance/invoice-proof/{_segment(account)}"
        try:
            data = self._get("invoice-proof", "/api/v1/balance/invoice-proof/{id}", path, _scope(window))
        except NotFound:
            return InvoiceProof(proof_root=None, verify_url=None, verification_api_url=None)
        return reading.invoice_proof_from_pacspace(data, account)

    def verify(self, proof_root: str) -> ProofSummary:
        """What anyone may ask about a root (3.13), so without our key; not verified when PacSpace does not know it."""
        endpoint, path = "/api/v1/verify/{id}", f"/api/v1/verify/{_segment(proof_root)}"
        try:
            answer = self._send("GET", endpoint, path, headers={})
        except NotFound:
            return ProofSummary(proof_root=proof_root, verified=False, record_count=None, net_change=None)
        return reading.proof_summary_from_pacspace(reading.data_of("verify", answer, bare=True), proof_root)

    def verify_address(self, proof_root: str) -> str:
        """Where anyone may ask about a root, without a key (3.13)."""
        return f"{self._base_url}/api/v1/verify/{_segment(proof_root)}"

    def unsettled(self, account: str, window: Window) -> Unsettled:
        """Deltas of the window that are neither verified nor failed, and sequence gaps (3.11, 3.12).

        Which clock places a delta is not documented (4), so those of the day before count too. Looks at the newest
        1,000 deltas only.
        """
        since = window.start - timedelta(days=1)
        try:
            unverified = sum(reading.is_unsettled(row, since, window.end) for row in self._recent(account))
            gaps = self._get(
                "gaps", "/api/v1/balance/gaps/{id}", f"/api/v1/balance/gaps/{_segment(account)}", {"limit": str(_PAGE)}
            )
        except NotFound:
            return Unsettled(unverified=0, gaps=0)
        return Unsettled(unverified=unverified, gaps=reading.gaps_of(gaps))

    def _recent(self, account: str) -> list[Fields]:
        rows: list[Fields] = []
        path = f"/api/v1/balance/customers/{_segment(account)}"
        for page in range(1, _MOST_PAGES + 1):
            query = {"deltaPage": str(page), "deltaLimit": str(_PAGE)}
            activity = self._get("customer", "/api/v1/balance/customers/{id}", path, query).fields("recentActivity")
            found = activity.items("items")
            rows += found
            if not found or len(rows) >= reading.total_of(activity, unnamed=page * _PAGE):
                break
        return rows

    def _get(self, what: str, endpoint: str, path: str, query: Mapping[str, str]) -> Fields:
        answer = self._send("GET", endpoint, f"{path}?{urlencode(query)}", headers=self._key)
        return reading.data_of(what, answer)

    def _post(
        self, path: str, body: Mapping[str, str | Decimal], *, key: str | None = None, until: datetime | None = None
    ) -> Answer:
        headers = {**self._key, "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self._send("POST", path, path, headers=headers, content=_exact(body), until=until)

    def _send(
        self,
        method: str,
        endpoint: str,
        path: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        until: datetime | None = None,
    ) -> Answer:
        """One call; only answers of success come back."""
        call = Call(
            service=PACSPACE,
            method=method,
            url=f"{self._base_url}{path}",
            endpoint=f"{method} {endpoint}",
            headers={"User-Agent": f"pacspace-stripe/{__version__}", "Accept": "application/json", **headers},
            content=content,
        )
        answer = self._transport.send(call, until=until)
        if not 200 <= answer.status < 300:  # noqa: PLR2004  # success
            raise pacspace_failure(call.endpoint, answer)
        return answer


def _made(data: Fields, account: str) -> Checkpoint:
    if reading.has_failed(data):
        message = "PacSpace could not make this checkpoint"
        raise RemoteRefused(PACSPACE, message, code="CHECKPOINT_FAILED", hint="Ask PacSpace why; nothing was proven.")
    return reading.checkpoint_from_pacspace(data, account)


def _scope(window: Window) -> dict[str, str]:
    """A custom window, ``[startDate, endDate)`` (4)."""
    return {"timePreset": "custom", "startDate": iso(window.start), "endDate": iso(window.end)}


def _segment(an_id: str) -> str:
    """An id as one path segment, whatever it contains; never one that names another path."""
    if not an_id.strip("."):
        message = "an id is needed"
        raise ValueError(message)
    return quote(an_id, safe="")


def _exact(body: Mapping[str, str | Decimal]) -> bytes:
    """A flat JSON object whose numbers have exactly the digits of their Decimals: ``json`` would need floats."""
    values = {
        name: quantities.text(value) if isinstance(value, Decimal) else json.dumps(value)
        for name, value in body.items()
    }
    return f"{{{','.join(f'{json.dumps(name)}:{value}' for name, value in values.items())}}}".encode()
