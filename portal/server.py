"""The web server: granian with a few processes of a few threads, stopping when what is in hand is done."""

import socket
from contextlib import closing

import click

from portal import config

_STOP_SECONDS = 8
"""A worker told to stop while it starts would hang for ever; this bounds it."""


def refuse_taken(host: str, port: int) -> None:
    """Ends the command with one line if somebody else listens there."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as taken:
            raise click.ClickException(
                f"Port {port} can't be used ({taken.strerror}). Choose another: --port N."
            ) from None


def serve(host: str, port: int) -> None:
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    settings = config.current()
    Granian(
        "wsgi:app",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=settings.web_workers,
        blocking_threads=settings.web_threads,
        respawn_failed_workers=True,
        workers_kill_timeout=_STOP_SECONDS,
        working_dir=config.ROOT,
        log_access=False,
        log_level=LogLevels.warning,
    ).serve()
