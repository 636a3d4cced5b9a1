"""What is wrong with a file, gathered so that it can be corrected in one go."""

LISTED = 20


class ImportRefused(Exception):
    """`lines` name file, entry, field and what is wrong; the last says that nothing was imported and what to do."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Problems:
    """The problems of one file. Only the first twenty are kept, all are counted."""

    def __init__(self, file: str) -> None:
        self._file, self._lines, self._count = file, list[str](), 0

    def add(self, entry: str, field: str, message: str) -> None:
        """Notes a problem, e.g. of entry `subscriptions[3] (sub_01…)` in its field `items[0].quantity`."""
        self._count += 1
        if self._count <= LISTED:
            self._lines.append(": ".join(part for part in (self._file, entry, field, message) if part))

    def refuse(self) -> None:
        """Raises ImportRefused if there is a problem."""
        if not self._count:
            return
        more = [f"… and {self._count - LISTED} more"] if self._count > LISTED else []
        end = "Nothing was imported. Correct the file and import it again."
        raise ImportRefused([*self._lines, *more, end])
