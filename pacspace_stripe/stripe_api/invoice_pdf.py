"""Downloads of an invoice's PDF from the link that Stripe's API names: public, short-lived, and not of the API.

The link carries its own secret, so no key is sent with it, and errors name its host only.
"""

from collections.abc import Collection

import httpx

from pacspace_stripe.errors import RemoteRefused, RemoteUnavailable, UnexpectedAnswer
from pacspace_stripe.http.calls import Answer, Call
from pacspace_stripe.http.client import Transport
from pacspace_stripe.stripe_api.calls import STRIPE

STRIPES_DOMAINS = ("stripe.com", "stripeusercontent.com", "stripecdn.com")
"""Stripe's own domains that files come from, with their subdomains (FACTS 5.7).

https://docs.stripe.com/ips names pay., invoice., invoicedata., files. and dashboard.stripe.com and f.stripecdn.com; the
API's own download links lead to stripeusercontent.com. Links were also seen to lead to signed S3 addresses, whose
bucket Stripe does not publish: PACSPACE_STRIPE_PDF_HOSTS can name that host.
"""
_ENDPOINT = "GET invoice PDF"
_MOST_REDIRECTS = 5
_OK, _ACCEPTED, _NO_CONTENT, _NOT_FOUND = 200, 202, 204, 404
_REDIRECTS = {301, 302, 303, 307, 308}
_BY_HAND = (
    "Download it from Stripe's dashboard, then run `pacspace-stripe stamp-pdf FILE.pdf --invoice INVOICE -o OUT.pdf`."
)

_ALLOW = "If Stripe's support confirms that this host is theirs, name it in PACSPACE_STRIPE_PDF_HOSTS."


def fetch_invoice_pdf(
    transport: Transport, link: str, *, largest: int, base_url: str | None = None, hosts: Collection[str] = ()
) -> bytes:
    """Return the PDF behind ``link``, of at most ``largest`` bytes.

    Each address, redirects included, must be on one of Stripe's domains or of the further ``hosts``, over https, or on
    the host of ``base_url``. Raises RemoteUnavailable when the PDF is not ready, UnexpectedAnswer for anything that is
    no PDF or too large, RemoteRefused for a link to another host.
    """
    url = link
    for _ in range(_MOST_REDIRECTS):
        _require_trusted(url, base_url, hosts)
        answer = transport.send(
            Call(
                service=STRIPE,
                method="GET",
                url=url,
                endpoint=_ENDPOINT,
                headers={"Accept": "application/pdf"},
                largest_body=largest,
            )
        )
        if answer.status not in _REDIRECTS:
            return _pdf_of(answer)
        url = str(httpx.URL(url).join(answer.headers.get("location", "")))
    raise UnexpectedAnswer(STRIPE, f"{_ENDPOINT}: more than {_MOST_REDIRECTS} redirects", hint=_BY_HAND)


def _require_trusted(url: str, base_url: str | None, hosts: Collection[str]) -> None:
    """Raise RemoteRefused for an address that is not trusted: a link is data, and may name any host."""
    try:
        asked = httpx.URL(url)
    except httpx.InvalidURL:
        asked = httpx.URL("")
    host = asked.host
    plain_https = asked.scheme == "https" and asked.port is None and not asked.userinfo
    of_stripe = any(host == domain or host.endswith(f".{domain}") for domain in STRIPES_DOMAINS)
    if plain_https and (of_stripe or host in hosts):
        return
    if base_url and not asked.userinfo:
        # The host that the settings name as Stripe's, where they allow plain http on loopback only.
        base = httpx.URL(base_url)
        if (asked.scheme, host, asked.port) == (base.scheme, base.host, base.port):
            return
    where = f"{asked.scheme}://{host}" if host else "no address"
    hint = f"{_BY_HAND} {_ALLOW}" if host and plain_https else _BY_HAND
    raise RemoteRefused(STRIPE, f"{_ENDPOINT}: the link leads to {where}, which is not Stripe's", hint=hint)


def _pdf_of(answer: Answer) -> bytes:
    if answer.status in {_ACCEPTED, _NO_CONTENT, _NOT_FOUND}:
        message = f"{_ENDPOINT}: HTTP {answer.status}, it is not ready"
        raise RemoteUnavailable(STRIPE, message, status=answer.status, hint="Stripe makes it soon: try again later.")
    if answer.status != _OK:
        raise UnexpectedAnswer(STRIPE, f"{_ENDPOINT}: HTTP {answer.status}", status=answer.status, hint=_BY_HAND)
    if not answer.body.startswith(b"%PDF-"):
        kind = answer.headers.get("content-type", "no type").partition(";")[0]
        message = f"{_ENDPOINT}: the answer is not a PDF ({kind[:60]})"
        raise UnexpectedAnswer(STRIPE, message, status=answer.status, hint=_BY_HAND)
    return answer.body
