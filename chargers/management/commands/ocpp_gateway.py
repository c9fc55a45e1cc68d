"""`manage.py ocpp_gateway`: the process that holds the sockets of the stations."""

import asyncio
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from chargers import owning
from chargers.central import DjangoCentral
from chargers.server import OcppServer


class Command(BaseCommand):
    help = "Accept charging stations over OCPP 1.6-J (WebSocket, Basic authentication)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--bind", default="127.0.0.1:9000", help="HOST:PORT to listen on")

    def handle(self, *args: Any, **options: Any) -> None:
        host, _, port = options["bind"].rpartition(":")
        owning.everybody_offline(timezone.now())
        asyncio.run(_serve(host, int(port)))


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    central = DjangoCentral()
    server = OcppServer(central)
    await server.start(host=host, port=port)
    looking = asyncio.create_task(central.look_after(server))
    stopping = asyncio.create_task(stop.wait())
    # A task that dies takes the process down, so that the supervisor starts everything again.
    await asyncio.wait({looking, stopping}, return_when=asyncio.FIRST_COMPLETED)
    await server.stop()
    looking.cancel()
    await asyncio.to_thread(central.close)
    if looking.done() and not looking.cancelled():
        looking.result()
