"""``pacspace-stripe serve``: the endpoint and the engine in one process."""

import logging
import os
import socket
from contextlib import closing

import click
import uvicorn

import webhooks
from pacspace_stripe.alerts.worker import AlertWorker
from pacspace_stripe.app import App, build
from pacspace_stripe.cli.logs import set_up
from pacspace_stripe.cli.signals import obey_sigterm
from pacspace_stripe.cli.templates import refuse_broken
from pacspace_stripe.cli.wiring import environment_settings
from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.worker import Engine

_WAITING = 2048
"""Connections that may wait to be accepted, as uvicorn has it."""

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
    settings = environment_settings()
    set_up(settings.log_format)
    refuse_broken(settings)
    # uvicorn raises the signal that stopped it once more: without this, nothing of what follows it would be done.
    obey_sigterm()
    # The port comes first: when it is taken, nothing was begun beside the one that listens there.
    with _listener(host, port) as listener, closing(build(settings)) as app:
        engine = Engine(store=app.store, url=settings.database_url.get_secret_value(), look=app.look)
        couriers = app.couriers()
        try:
            engine.start()
            _say(app, *listener.getsockname()[:2])
            for courier in couriers:
                courier.start()
            _server(app, engine, host, port).run(sockets=[listener])
        finally:
            _leave(_stopped(engine, couriers))


def _stopped(engine: Engine, couriers: tuple[AlertWorker, ...]) -> int:
    """How many checks are still not done. A message under way is sent again by whoever comes next."""
    for courier in couriers:
        courier.stop()
    unfinished = engine.stop()
    for courier in couriers:
        courier.close(seconds=1)
    return unfinished


def _leave(unfinished: int) -> None:
    """A check that waits for a slow answer must not keep us: as after a crash, whoever comes next makes it again."""
    if unfinished:
        _log.warning("stopped in the middle of %d checks: they are made again", unfinished)
        logging.shutdown()
        os._exit(0)


def _listener(host: str, port: int) -> socket.socket:
    """What arrives before we are ready waits in line. Raises ConfigurationError."""
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
    """A package of the same name that happens to be found first is not our endpoint."""
    if getattr(webhooks, "DISTRIBUTION", None) != "pacspace-stripe":
        variable, message = "PYTHONPATH", f"another package named webhooks comes first ({webhooks.__file__})"
        raise ConfigurationError(variable, message, hint="Take that folder off PYTHONPATH for `serve`.")


def _server(app: App, engine: Engine, host: str, port: int) -> uvicorn.Server:
    from webhooks.app import create_app  # noqa: PLC0415 - only once `webhooks` is known to be ours
    from webhooks.server import server_config  # noqa: PLC0415

    endpoint = create_app(app.inbox(engine.enqueue), ledger=app.ledger_inbox())
    return uvicorn.Server(server_config(endpoint, host=host, port=port))


def _say(app: App, host: str, port: int) -> None:
    if app.adopt_policy():
        _log.warning("the policy changed: every open invoice is looked at again")
    app.sweep.plan()
    settings = app.settings
    channels = ",".join(app.checker.parts.alerts.channels) or "log"
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
