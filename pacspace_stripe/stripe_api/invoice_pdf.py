"""Getting an invoice's PDF from the link that Stripe's API names: public, short-lived, and not of the API.

The link carries its own secret, so no key goes with it, and errors name its host only.
"""

import httpx

from pacspace_stripe.errors import RemoteRefused, RemoteUnavailable, UnexpectedAnswer
from pacspace_stripe.transport import Answer, Call, Transport
from pacspace_stripe.transport.stripe_sdk import STRIPE

_ENDPOINT = "GET invoice PDF"
_MOST_REDIRECTS = 5
_OK, _ACCEPTED, _NO_CONTENT, _NOT_FOUND = 200, 202, 204, 404
_REDIRECTS = {301, 302, 303, 307, 308}
_BY_HAND = (
    "Download it from Stripe's dashboard, then run `pacspace-stripe stamp-pdf FILE.pdf --invoice INVOICE -o OUT.pdf`."
)


def fetch_invoice_pdf(transport: Transport, link: str, *, largest: int, base_url: str | None = None) -> bytes:
    """The PDF behind ``link``, of at most ``largest`` bytes.

    Only Stripe's hosts, over https, and that of ``base_url`` are asked, redirects included.
    Raises RemoteUnavailable when the PDF is not ready, UnexpectedAnswer for anything that is no PDF or too large,
    RemoteRefused for a link to elsewhere.
    """
    url = link
    for _ in range(_MOST_REDIRECTS):
        _require_trusted(url, base_url)
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


def _require_trusted(url: str, base_url: str | None) -> None:
    """A link is data: it must not send us to any host it likes."""
    try:
        asked = httpx.URL(url)
    except httpx.InvalidURL:
        asked = httpx.URL("")
    if not (_is_stripes(asked) or (base_url and _is_base(asked, httpx.URL(base_url)))):
        where = f"{asked.scheme}://{asked.host}" if asked.host else "no address"
        raise RemoteRefused(STRIPE, f"{_ENDPOINT}: the link leads to {where}, which is not Stripe's", hint=_BY_HAND)


def _is_stripes(asked: httpx.URL) -> bool:
    at_stripe = asked.host == "stripe.com" or asked.host.endswith(".stripe.com")
    return at_stripe and asked.scheme == "https" and asked.port is None and not asked.userinfo


def _is_base(asked: httpx.URL, base: httpx.URL) -> bool:
    """The settings take a base URL over plain http on loopback only."""
    return (asked.scheme, asked.host, asked.port) == (base.scheme, base.host, base.port) and not asked.userinfo


def _pdf_of(answer: Answer) -> bytes:
    if answer.status in {_ACCEPTED, _NO_CONTENT, _NOT_FOUND}:
        message = f"{_ENDPOINT}: HTTP {answer.status}, it is not ready"
        raise RemoteUnavailable(STRIPE, message, status=answer.status, hint="Stripe makes it soon: try again later.")
    if answer.status != _OK:
        raise UnexpectedAnswer(STRIPE, f"{_ENDPOINT}: HTTP {answer.status}", status=answer.status, hint=_BY_HAND)
    if not answer.body.startswith(b"%PDF-"):
        said = answer.headers.get("content-type", "no type").partition(";")[0]
        message = f"{_ENDPOINT}: what came is not a PDF ({said[:60]})"
        raise UnexpectedAnswer(STRIPE, message, status=answer.status, hint=_BY_HAND)
    return answer.body
