"""``pacspace-stripe serve``: the endpoint and the engine in one process."""

import logging
from collections.abc import Callable

import click
import uvicorn
from starlette.applications import Starlette

import webhooks
from pacspace_stripe.app import App, build
from pacspace_stripe.cli.logs import set_up
from pacspace_stripe.cli.wiring import environment_settings
from pacspace_stripe.engine import Engine
from pacspace_stripe.errors import ConfigurationError
from webhooks.receiver import Receiver

_log = logging.getLogger(__name__)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
def serve(host: str, port: int) -> None:
    """Receive Stripe's webhooks and gate every metered invoice.

    POST /webhooks/stripe, GET /healthz, GET /readyz. Stops cleanly on SIGTERM; after a crash, starting it again is
    all there is to do.
    """
    endpoint = _our_endpoint()
    settings = environment_settings()
    set_up(settings.log_format)
    app = build(settings)
    engine = Engine(store=app.store, url=settings.database_url.get_secret_value(), look=app.look)
    try:
        engine.start()
        _say(app, host, port)
        asgi = endpoint(app.inbox(engine.enqueue))
        uvicorn.run(asgi, host=host, port=port, log_config=None, access_log=False, server_header=False)
    finally:
        engine.stop()
        app.close()


def _our_endpoint() -> Callable[[Receiver], Starlette]:
    """The ``webhooks`` that ships with us, not a package of the same name in the working folder."""
    if getattr(webhooks, "DISTRIBUTION", None) != "pacspace-stripe":
        variable, message = "PYTHONPATH", f"another package named webhooks comes first ({webhooks.__file__})"
        raise ConfigurationError(variable, message, hint="Start `pacspace-stripe serve` from another folder.")
    from webhooks.app import create_app  # noqa: PLC0415 - only once it is known to be ours

    return create_app


def _say(app: App, host: str, port: int) -> None:
    if app.adopt_policy():
        _log.warning("the policy changed: every open invoice is looked at again")
    app.sweep.plan()
    settings = app.settings
    _log.info(
        "serving host=%s port=%d mode=%s fail=%s finalize=%s livemode=%s",
        host,
        port,
        settings.mode.value,
        settings.fail.value,
        settings.finalize.value,
        settings.livemode,
    )
