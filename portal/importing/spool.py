"""Rows that wait on disk until all of a file has been checked."""

import pickle
import tempfile
from collections.abc import Iterator
from typing import Any

CHUNK = 1000
_IN_MEMORY = 16 << 20


class Spool:
    """Records in the order they came: in memory while they are few, else in a temporary file."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by close()
        self._waiting = list[Any]()
        self.count = 0

    def add(self, record: Any) -> None:
        self.count += 1
        self._waiting.append(record)
        if len(self._waiting) == CHUNK:
            self._flush()

    def chunks(self) -> Iterator[list[Any]]:
        """All records, up to a thousand at a time."""
        self._flush()
        end = self._file.tell()
        self._file.seek(0)
        while self._file.tell() < end:
            yield pickle.load(self._file)

    def __iter__(self) -> Iterator[Any]:
        for chunk in self.chunks():
            yield from chunk

    def close(self) -> None:
        self._file.close()

    def _flush(self) -> None:
        self._file.seek(0, 2)
        if self._waiting:
            pickle.dump(self._waiting, self._file, pickle.HIGHEST_PROTOCOL)
            self._waiting = []
