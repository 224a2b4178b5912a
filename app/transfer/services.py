"""The service that files go to: the one that is named, or that of the data folder."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator

from app.config import PREFIX, Settings
from app.demo import server
from app.demo.client import Client
from app.demo.errors import DemoError
from app.postgres import embedded

_KEY = "command line"


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Client]:
    """Yield a client of the service of `CLM_URL`; without one, of that of the data folder.

    If that does not run, it is run meanwhile.
    """
    with contextlib.ExitStack() as stack:
        client = _named(settings) if settings.url else _embedded(settings, stack)
        stack.callback(client.close)
        yield client


def _named(settings: Settings) -> Client:
    if settings.key is None:
        raise DemoError(
            "with --url or CLM_URL, set CLM_KEY as well, to a key with the scope imports:write"
        )
    return Client(str(settings.url).rstrip("/"), settings.key, own=False)


def _embedded(settings: Settings, stack: contextlib.ExitStack) -> Client:
    if settings.database_url is not None or not settings.embedded:
        raise DemoError("set CLM_URL and CLM_KEY: there is no embedded database here")
    folder = settings.data_dir.resolve()
    url = embedded.running(folder)
    if url is not None:
        key = asyncio.run(server.make_key(url, _KEY))
        return Client(server.url_of(settings.host, settings.port), key)
    # A signal must unwind this stack, which stops the service.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        folder.chmod(0o711)  # root's database runs as another user, who has to pass
    port = server.choose_port(settings.host, 0)
    own = {"DATA_DIR": str(folder), "HOST": settings.host, "PORT": str(port)}
    environment = dict(os.environ) | {PREFIX + name: value for name, value in own.items()}
    service = stack.enter_context(server.run(folder, settings.host, port, environment))
    service.wait_until_ready()
    return Client(service.url, service.make_key())
