"""The cookies of a session with one service. The Transport itself keeps no cookies, and sends none by itself."""

import warnings

import httpx

from pacspace_stripe.http.calls import Answer, Call


class Cookies:
    """Cookies that the service at ``base_url`` set, kept in memory only and given back to the same origin alone.

    Domain, path, expiry and ``Secure`` count as in a browser.
    """

    def __init__(self, base_url: str) -> None:
        self._origin = _origin(base_url)
        self._kept = httpx.Cookies()

    def __bool__(self) -> bool:
        return bool(self._kept)

    def keep(self, call: Call, answer: Answer) -> None:
        """Take the cookies that an answer to ``call`` sets."""
        if _origin(call.url) != self._origin:
            return
        # A cookie that is not ASCII could not be sent back.
        set_by = [("Set-Cookie", value) for value in answer.headers.get_list("Set-Cookie") if value.isascii()]
        request = httpx.Request(call.method, call.url)
        with warnings.catch_warnings():  # the jar warns of a header that it cannot read, and leaves it out
            warnings.simplefilter("ignore")
            self._kept.extract_cookies(httpx.Response(answer.status, headers=set_by, request=request))

    def headers(self, url: str) -> dict[str, str]:
        """Return the header for a request to ``url``; none for another origin."""
        if _origin(url) != self._origin:
            return {}
        request = httpx.Request("GET", url)
        self._kept.set_cookie_header(request)
        return {"Cookie": request.headers["Cookie"]} if "Cookie" in request.headers else {}


def _origin(url: str) -> tuple[str, str, int | None]:
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port
