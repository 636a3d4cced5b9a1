"""What the portal logs, as it would be written down."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from portal.logs import JsonLine


class Log(logging.Handler):
    """Every line as the portal writes it, of every logger, from INFO on."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonLine())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("mail.", "asyncio")):  # the mail server of the tests is no part of the portal
            self.lines.append(self.format(record))


@contextmanager
def kept() -> Iterator[Log]:
    """Every line while the block lasts."""
    handler, root = Log(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)
