"""What httpx's exceptions mean for us: a table, closed by default. Vendors' error bodies are read elsewhere."""

import httpx

from pacspace_stripe.errors import RemoteError, RemoteRefused, RemoteUnavailable, UnexpectedAnswer

FOREIGN = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError, UnicodeError)
"""All that sending may raise; UnicodeError for a header or URL that is not ASCII."""

_ADDRESS = "Check the base URL and the keys in the environment: the request could not even be sent."

_MEANING: tuple[tuple[type[Exception], type[RemoteError], str], ...] = (
    (httpx.TimeoutException, RemoteUnavailable, "no answer in time"),
    (httpx.UnsupportedProtocol, RemoteRefused, "the base URL is not http(s)"),
    (httpx.InvalidURL, RemoteRefused, "the base URL is not a URL"),
    (UnicodeError, RemoteRefused, "the request is not valid HTTP"),
    (httpx.LocalProtocolError, RemoteRefused, "the request is not valid HTTP"),
    (httpx.ProxyError, RemoteUnavailable, "the proxy failed"),
    (httpx.RemoteProtocolError, RemoteUnavailable, "the connection broke"),
    (httpx.NetworkError, RemoteUnavailable, "no connection"),
    (httpx.TransportError, RemoteUnavailable, "no connection"),
    (httpx.DecodingError, UnexpectedAnswer, "the body is not in its declared encoding"),
    (httpx.TooManyRedirects, UnexpectedAnswer, "too many redirects"),
)


def httpx_failure(service: str, error: Exception) -> RemoteError:
    """The error of ours that this one of httpx's is. Its text is left out: h11 quotes headers, keys included."""
    for theirs, ours, message in _MEANING:
        if isinstance(error, theirs):
            return ours(
                service, f"{message} ({type(error).__name__})", hint=_ADDRESS if ours is RemoteRefused else None
            )
    return UnexpectedAnswer(service, f"an answer that could not be read ({type(error).__name__})")
