"""A session in the dashboard: its cookies and token, and the requests that carry them."""

from collections.abc import Mapping

from pacspace_stripe import __version__
from pacspace_stripe.errors import RemoteError, UnexpectedAnswer
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.http.calls import Call
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.cookies import Cookies
from pacspace_stripe.pacspace_api.dashboard.failures import ADDRESS, dashboard_failure
from pacspace_stripe.pacspace_api.dashboard.parsing import opened, token_of
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.http import exact_json


class Session:
    """With the dashboard at ``base_url``, from nobody's to a person's who logged in. One thread at a time.

    Newer dashboards set cookies and want a header of their own on writes, older ones hand out a token (CONTRACT 1.2): whatever
    came at login is sent, to this address only. Raises RemoteError's children.
    """

    def __init__(self, transport: Transport, base_url: str) -> None:
        self._transport = transport
        self._base_url = base_url.rstrip("/")
        self._cookies = Cookies(self._base_url)
        self._token: str | None = None
        self._secrets: dict[str, None] = {}

    def get(self, path: str) -> object:
        """What a page answers, out of its envelope."""
        return self._opened(self._call("GET", path, None, repeatable=True))

    def post(
        self, path: str, body: Mapping[str, object], *, secrets: tuple[str, ...] = (), repeatable: bool = False
    ) -> object:
        """The same for a write, sent once unless it is ``repeatable``; no error repeats one of the ``secrets``."""
        self._secrets.update(dict.fromkeys(secrets))
        return self._opened(self._call("POST", path, body, repeatable=repeatable))

    def begin(self, data: Fields) -> None:
        """Keep what a login answered for the requests that follow. Raises UnexpectedAnswer when there is nothing."""
        self._token = token_of(data)
        if self._token is None and not self._cookies:
            data.reject("accessToken", "is missing, and no cookie was set")

    def _opened(self, call: Call) -> object:
        try:
            answer = self._transport.send(call)
            if not 200 <= answer.status < 300:  # noqa: PLR2004  # success
                raise dashboard_failure(call.endpoint, answer)
            self._cookies.keep(call, answer)
            return opened(call.endpoint, answer)
        except RemoteError as error:
            if isinstance(error, UnexpectedAnswer):
                error.hint = ADDRESS
            raise

    def _call(self, method: str, path: str, body: Mapping[str, object] | None, *, repeatable: bool) -> Call:
        url = self._base_url + path
        headers = {"User-Agent": f"pacspace-stripe/{__version__}", "Accept": "application/json"}
        if body is not None:
            headers |= {"Content-Type": "application/json", "X-Pacspace-CSRF": "1"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        return Call(
            service=PACSPACE,
            method=method,
            url=url,
            endpoint=f"{method} {path}",
            headers=headers | self._cookies.headers(url),
            content=None if body is None else exact_json(body).encode(),
            repeatable=repeatable,
            secrets=tuple(self._secrets),
        )
