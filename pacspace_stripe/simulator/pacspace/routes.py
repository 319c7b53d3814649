"""Routes of all that is answered: the Balance API, the settlement API, public pages, and the dashboard."""

from collections.abc import Callable
from typing import Any

import httpx

from pacspace_stripe.simulator.http import Route, json_response
from pacspace_stripe.simulator.pacspace import (
    dashboard,
    deliveries,
    derive,
    documents,
    proofs,
    reads,
    settlement,
    writes,
)
from pacspace_stripe.simulator.pacspace.inputs import PacSpaceRequest
from pacspace_stripe.simulator.pacspace.world import World

_Answer = Callable[[World, PacSpaceRequest], dict[str, Any]]


def _enveloped(status: int, answer: _Answer) -> Callable[[World, PacSpaceRequest], httpx.Response]:
    return lambda world, call: json_response(status, {"success": True, "data": answer(world, call)})


def _balance(method: str, pattern: str, answer: _Answer, status: int = 200) -> Route:
    return Route(method, f"/api/v1/balance{pattern}", _enveloped(status, answer))


def _page(method: str, pattern: str, page: dashboard.Page) -> Route:
    return Route(method, f"/dashboard{pattern}", dashboard.in_session(page))


KEY_ROUTES = (
    _balance("POST", "/delta", writes.emit, 201),
    _balance("POST", "/delta/batch", writes.emit_batch, 201),
    _balance("GET", "/delta/{recordId}", reads.delta_status),
    _balance("GET", "/derive/{customerId}", derive.derive),
    _balance("POST", "/compare", derive.compare, 201),
    _balance("POST", "/checkpoint", proofs.checkpoint, 201),
    _balance("GET", "/checkpoints", proofs.checkpoints),
    _balance("GET", "/receipt/{customerId}", proofs.receipt),
    _balance("GET", "/invoice-proof/{customerId}", proofs.invoice_proof),
    _balance("GET", "/receipts/{receiptId}", documents.document),
    _balance("GET", "/customers", reads.customers),
    _balance("GET", "/customers/summary", reads.customers_summary),
    _balance("GET", "/customers/{customerId}", reads.customer),
    _balance("GET", "/customers/{customerId}/receipts", documents.listed),
    _balance("GET", "/gaps/{customerId}", reads.gaps),
    _balance("GET", "/usage", reads.usage),
    _balance("GET", "/limits", reads.limits),
    _balance("GET", "/webhooks", deliveries.listed),
    _balance("POST", "/webhooks/{eventId}/retry", deliveries.retry),
    Route("POST", "/api/v1/writes", settlement.write),
    Route("GET", "/api/v1/reads/bucket/{key}", settlement.bucket),
    Route("POST", "/api/v1/facts", settlement.post_fact),
    Route("GET", "/api/v1/facts/{hash}", settlement.fact),
    Route("GET", "/api/v1/facts/{hash}/verify", settlement.verify_fact),
)
"""Routes that need an API key."""
OPEN_ROUTES = (
    Route("GET", "/api/v1/verify/{proofRoot}", proofs.verify),
    Route("GET", "/api/v1/receipt/{receiptId}", documents.public),
    Route("GET", "/verify/{proofRoot}", proofs.page),
    Route("GET", "/c/{handle}", proofs.shared_record),
    Route("POST", "/dashboard/auth/request-access", dashboard.request_access),
    Route("POST", "/dashboard/auth/register", dashboard.register),
    Route("POST", "/dashboard/auth/login", dashboard.login),
    Route("POST", "/dashboard/auth/login/mfa-verify", dashboard.verify_mfa),
    _page("PATCH", "/auth/preferences", dashboard.preferences),
    _page("POST", "/api-keys", dashboard.create_key),
    _page("GET", "/api-keys", dashboard.keys),
    _page("GET", "/environments", dashboard.environments),
    _page("GET", "/environments/environment-status", dashboard.environment_status),
    _page("POST", "/environments/provision", dashboard.provision),
    _page("POST", "/customers", dashboard.create_customer),
)
"""Routes without an API key; the dashboard's pages check the session themselves."""
KEYED_ENDPOINTS = frozenset(
    f"POST /api/v1/{name}" for name in ("balance/delta", "balance/delta/batch", "balance/checkpoint")
)
"""Endpoints at which an Idempotency-Key counts (CONTRACT 1.7)."""
PRIVATE = "/dashboard/auth/"
"""Path below which nothing is logged, since passwords are sent there."""
