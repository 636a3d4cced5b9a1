"""Ports for servers that are started by their number, each given out once in a whole test run.

A port that the system calls free may be somebody else's a moment later: another test's server, or just a connection
that goes out. These lie below those that systems give out by themselves, a range of its own for each test process of
a run; two runs at the same time begin at different places.
"""

import itertools
import os
import socket

_FIRST, _EACH = 20_000, 1_000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
_begin = os.getpid() * 61 % _EACH
_numbers = itertools.cycle(_FIRST + _EACH * _worker + (_begin + n) % _EACH for n in range(_EACH))


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    for number in itertools.islice(_numbers, _EACH):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return number
    raise RuntimeError("no port of this test process is free")
