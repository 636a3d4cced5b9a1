"""Whether an uploaded picture may be shown as the seller's logo: judged by its content, never by its name.

A PNG must be one from its first byte to its last. An SVG is a program in disguise: it may hold drawing elements only,
refer to nothing outside itself, and declare nothing; it is read without building a tree or expanding an entity.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from xml.parsers import expat

MOST_BYTES = 256 * 1024
_MOST_PIXELS, _MOST_DEPTH, _MOST_ELEMENTS, _MOST_USES = 4000, 64, 5000, 16
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_PNG = b"\x89PNG\r\n\x1a\n"
_DRAWING = {
    *("svg", "g", "defs", "title", "desc", "metadata", "style", "symbol", "use", "path", "rect", "circle", "ellipse"),
    *("line", "polyline", "polygon", "text", "tspan", "textPath", "linearGradient", "radialGradient", "stop"),
    *("pattern", "clipPath", "mask", "marker", "filter", "feBlend", "feColorMatrix", "feComponentTransfer"),
    *("feComposite", "feDropShadow", "feFlood", "feFuncA", "feFuncB", "feFuncG", "feFuncR", "feGaussianBlur"),
    *("feMerge", "feMergeNode", "feMorphology", "feOffset"),
}
_NOTES = (
    "http://www.inkscape.org/namespaces/",
    "http://sodipodi.sourceforge.net/",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "http://purl.org/dc/",
    "http://creativecommons.org/ns#",
    "http://www.bohemiancoding.com/sketch/",
    "http://www.serif.com/",
    "http://www.w3.org/XML/1998/namespace",
)
"""What drawing programs note in their files; no browser acts on it."""
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.S)
"""One that nothing closes lasts to the end, as it does in a browser; else each would be looked for anew."""
_OUTSIDE = re.compile(r"@import|url\(\s*['\"]?\s*(?!\s*['\"]?#)|image-set\(|expression\(|javascript:|data:|\\", re.I)


@dataclass(frozen=True)
class Logo:
    content: bytes
    media_type: str
    suffix: str


class LogoRefused(ValueError):
    """The file is no logo that may be shown; its text says why, for the person who sent it."""


def judge(content: bytes) -> Logo:
    """The logo that a file is. Raises LogoRefused."""
    if not content:
        raise LogoRefused("The file is empty.")
    if len(content) > MOST_BYTES:
        raise LogoRefused("The file is larger than 256 KB.")
    if content.startswith(_PNG):
        _judge_png(content)
        return Logo(content, "image/png", ".png")
    _Drawing().judge(content)
    return Logo(content, "image/svg+xml", ".svg")


def _judge_png(content: bytes) -> None:
    """Its parts, one after the other: each as long as it says, with the right sum, and nothing behind the last."""
    at = len(_PNG)
    kinds: list[bytes] = []
    while at + 12 <= len(content) and (not kinds or kinds[-1] != b"IEND"):
        (length,), kind = struct.unpack(">I", content[at : at + 4]), content[at + 4 : at + 8]
        end = at + 8 + length
        if content[end : end + 4] != struct.pack(">I", zlib.crc32(content[at + 4 : end])):
            raise LogoRefused("The PNG file is damaged.")
        kinds.append(kind)
        at = end + 4
    if at != len(content) or kinds[:1] != [b"IHDR"] or kinds[-1:] != [b"IEND"] or b"IDAT" not in kinds:
        raise LogoRefused("The PNG file is damaged.")
    width, height = struct.unpack(">II", content[16:24])
    if not (0 < width <= _MOST_PIXELS and 0 < height <= _MOST_PIXELS):
        raise LogoRefused(f"The picture is {width} × {height} pixels; up to {_MOST_PIXELS} × {_MOST_PIXELS} are taken.")


class _Drawing:
    """One reading of an SVG file; the first thing that does not belong into a drawing ends it."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(encoding="UTF-8", namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.XmlDeclHandler = self._declared
        self._parser.StartDoctypeDeclHandler = lambda *_: self._refuse("a document type; save it without one")
        self._parser.EntityDeclHandler = lambda *_: self._refuse("an entity")
        self._parser.ProcessingInstructionHandler = lambda *_: self._refuse("a processing instruction")
        self._open: list[str] = []
        self._style = ""
        self._elements = self._uses = 0

    def judge(self, content: bytes) -> None:
        try:
            content.decode("utf-8")
            self._parser.Parse(content, True)
        except (expat.ExpatError, UnicodeDecodeError):
            raise LogoRefused("The file is neither a PNG nor an SVG drawing in UTF-8.") from None

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if not self._open and (namespace, local) != (_SVG, "svg"):
            raise LogoRefused("The file is neither a PNG nor an SVG drawing.")
        is_note = namespace.startswith(_NOTES)
        if not is_note and (namespace != _SVG or local not in _DRAWING):
            self._refuse(f"the element <{local[:40]}>")
        self._elements += 1
        self._uses += local == "use"
        self._open.append(local)
        if len(self._open) > _MOST_DEPTH or self._elements > _MOST_ELEMENTS or self._uses > _MOST_USES:
            raise LogoRefused("The drawing is too complicated for a logo.")
        for attribute, value in attributes.items():
            self._attribute(attribute, value)

    def _attribute(self, name: str, value: str) -> None:
        namespace, _, local = name.rpartition(" ")
        if local.lower().startswith("on"):
            self._refuse(f"the event handler {local[:40]}")
        if local in ("href", "src") and namespace in ("", _XLINK, _SVG) and not value.strip().startswith("#"):
            self._refuse("a reference to something outside")
        if name == "http://www.w3.org/XML/1998/namespace base":
            self._refuse("a base address")
        if not namespace.startswith(_NOTES) and _leads_outside(value):
            self._refuse("a reference to something outside")

    def _text(self, text: str) -> None:
        if "style" in self._open:
            self._style += text

    def _end(self, _name: str) -> None:
        """A style is judged as a whole: comments may part its words, and the browser joins them again."""
        if self._open.pop() == "style" and "style" not in self._open:
            if _leads_outside(self._style) or "<" in self._style:
                self._refuse("a style that refers to something outside")
            self._style = ""

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if (encoding or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
            self._refuse("another encoding than UTF-8")

    def _refuse(self, what: str) -> None:
        raise LogoRefused(f"The drawing has {what} in it. Only plain drawings are taken.")


def _leads_outside(value: str) -> bool:
    """Read twice: without comments, by which words could be parted, and with them, for `/*` may stand in a string."""
    return any(_OUTSIDE.search(re.sub(r"[\x00-\x20\x7f]+", "", each)) for each in (_COMMENT.sub("", value), value))
