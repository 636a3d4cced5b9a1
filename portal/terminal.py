"""Text from outside on a terminal."""


def plain(text: object) -> str:
    """On one line, with nothing in it that a terminal obeys: `\\x1b` is shown, not sent."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
