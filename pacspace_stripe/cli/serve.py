"""``serve``: the webhook endpoint and the worker in one process."""

import logging
import os
import socket
from contextlib import closing

import click
import uvicorn

import webhooks
from pacspace_stripe.app import App, build
from pacspace_stripe.cli.logs import configure_logging
from pacspace_stripe.cli.session import exit_on_sigterm
from pacspace_stripe.cli.templates import refuse_broken
from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.settings import load_settings

_WAITING = 2048
"""Connections that may wait to be accepted; uvicorn's own default."""

_log = logging.getLogger(__name__)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
def serve(host: str, port: int) -> None:
    """Receive webhooks and gate every metered invoice.

    POST /webhooks/stripe, POST /webhooks/pacspace, GET /healthz, GET /readyz. Stops cleanly on SIGTERM; after a crash,
    starting it again is all there is to do.
    """
    _refuse_other_webhooks()
    settings = load_settings(os.environ)
    configure_logging(settings.log_format)
    refuse_broken(settings)
    # uvicorn raises the signal that stopped it once more: without this handler, the clean-up below would not run.
    exit_on_sigterm()
    # The port comes first: when another process has it, nothing was started beside that process.
    with _listener(host, port) as listener, closing(build(settings)) as app:
        # Only now: `webhooks` is known to be ours.
        from webhooks.app import GateService  # noqa: PLC0415
        from webhooks.server import server_config  # noqa: PLC0415

        service = GateService(app)
        try:
            service.start()
            _log_settings(app, *listener.getsockname()[:2])
            uvicorn.Server(server_config(service.endpoint(), host=host, port=port)).run(sockets=[listener])
        finally:
            if service.stop():
                # A check that waits for a slow answer must not keep the process: it is made again, as after a crash.
                logging.shutdown()
                os._exit(0)


def _listener(host: str, port: int) -> socket.socket:
    """Open the socket on which connections wait until the endpoint is ready. Raises ConfigurationError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Not `socket.create_server`: it names no protocol, and asyncio then leaves Nagle's delay on, 40 ms an answer.
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_WAITING)
    except OSError as error:
        option, problem = "--host, --port", f"cannot listen on {host} port {port}: {error.strerror}"
        raise ConfigurationError(option, problem, hint="Choose another port, or stop what listens there.") from error
    return listener


def _refuse_other_webhooks() -> None:
    """Raise ConfigurationError if Python finds another package named ``webhooks`` before ours."""
    if getattr(webhooks, "DISTRIBUTION", None) != "pacspace-stripe":
        variable, message = "PYTHONPATH", f"another package named webhooks comes first ({webhooks.__file__})"
        raise ConfigurationError(variable, message, hint="Take that folder off PYTHONPATH for `serve`.")


def _log_settings(app: App, host: str, port: int) -> None:
    settings = app.settings
    channels = ",".join(app.checker.services.alerts.channels) or "log"
    _log.info(
        "serving host=%s port=%d mode=%s fail=%s finalize=%s livemode=%s alerts=%s",
        host,
        port,
        settings.mode.value,
        settings.fail.value,
        settings.finalize.value,
        settings.livemode,
        channels,
    )
