"""The seller's brand on every page: name, logo, colours; and the files under /assets, built once for each brand.

A file's name carries the hash of its content, so browsers keep it for ever. The seller's accent colour is made
readable here, once: as the ground of a button, and as the colour of a link, in light and in dark. What the seller
changes in the console shows with the next page.
"""

import gzip
import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, request

from portal import config
from portal.config import ConfigError

log = logging.getLogger("portal.brand")

_STATIC = config.ROOT / "static"
_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".css": "text/css; charset=utf-8", ".js": "text/javascript"}
_CONTRAST = 4.6
"""A little more than WCAG AA asks of text (4.5), so that rounding never falls below it."""

_LIGHT, _DARK = "#f4f5f6", "#22262b"
"""The grounds of static/portal.css on which a link stands out least: --raised, in each scheme."""

_MOST_KNOWN = 64
_LOOK_AGAIN = timedelta(seconds=1)

Asset = tuple[bytes, bytes, str]


@dataclass(frozen=True)
class Brand:
    """What templates know of the seller. URLs are empty where the seller has set nothing."""

    name: str
    url: str
    support: str
    support_href: str
    logo_url: str
    address: tuple[str, ...]

    @property
    def has_logo(self) -> bool:
        return bool(self.logo_url)


def brand() -> Brand:
    """Who the seller is now."""
    known: Brand = _told()[1]["brand"]
    return known


def assets() -> dict[str, Asset]:
    """Every file under /assets: path → (plain bytes, compressed bytes, type)."""
    settings = config.current()
    return _build(settings.brand_accent, settings.brand_logo)


def stylesheet() -> bytes:
    """static/portal.css behind the seller's colours."""
    return assets()[_url("portal")][0]


def register(app: Flask, refresh: Callable[[timedelta], None]) -> None:
    """Serves /assets, and tells the templates of this app who the seller is.

    `refresh` looks for what another process has changed: a browser may ask this one for a file of that one's page.
    Raises ConfigError for a logo that can't be read.
    """
    _refuse_unreadable(config.current().brand_logo)
    assets()

    @app.get("/assets/<name>", endpoint="asset")
    def asset(name: str) -> Response:
        found = _known.get(f"/assets/{name}")
        if found is None:
            refresh(_LOOK_AGAIN)
            found = assets().get(f"/assets/{name}")
        if found is None:
            abort(404)
        return _answer(*found, etag=name)

    app.context_processor(lambda: _told()[1])


_known: dict[str, Asset] = {}
"""Every file that this process has served, also those of brands that were changed since; the newest last."""
_missed: set[str] = set()
_last: tuple[config.Config, dict[str, Any]] | None = None


def _told() -> tuple[config.Config, dict[str, Any]]:
    """What templates know, made anew when other settings are in force."""
    global _last
    settings, last = config.current(), _last
    if last is None or last[0] is not settings:
        _last = last = (
            settings,
            {
                "brand": _brand(settings),
                "stylesheet_url": _url("portal"),
                "docs_stylesheet_url": _url("docs"),
                "console_stylesheet_url": _url("console"),
                "passkeys_script_url": _url("passkeys"),
                "favicon_url": _url("favicon"),
            },
        )
    return last


def _brand(settings: config.Config) -> Brand:
    return Brand(
        name=settings.brand_name,
        url=settings.brand_url,
        support=re.sub(r"^(mailto:|https?://)", "", settings.brand_support).rstrip("/"),
        support_href=_contact(settings.brand_support),
        logo_url=_url_if_any("logo"),
        address=tuple(line.strip() for line in settings.brand_address.split("|") if line.strip()),
    )


def _answer(plain: bytes, packed: bytes, mimetype: str, *, etag: str) -> Response:
    compress = request.accept_encodings["gzip"] > 0 and len(packed) < len(plain)
    response = Response(packed if compress else plain, content_type=mimetype)
    response.set_etag(f"{etag}-gzip" if compress else etag)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.vary.add("Accept-Encoding")
    if compress:
        response.headers["Content-Encoding"] = "gzip"
    if mimetype == _TYPES[".svg"]:  # opened by itself, a drawing must not run anything
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    response.make_conditional(request)
    return response


@lru_cache(maxsize=8)
def _build(accent: str, logo: str) -> dict[str, Asset]:
    files = {
        "portal.css": _colours(accent).encode() + _without_comments((_STATIC / "portal.css").read_text()).encode(),
        "console.css": _without_comments((_STATIC / "console.css").read_text()).encode(),
        "docs.css": _without_comments((_STATIC / "docs.css").read_text()).encode(),
        "passkeys.js": (_STATIC / "passkeys.js").read_bytes(),
        "favicon.svg": (_STATIC / "favicon.svg").read_bytes().replace(b"#0b5cad", accent.encode()),
    }
    if picture := _picture(logo):
        files["logo" + Path(logo).suffix.lower()] = picture
    built = {_path(name, content): _asset(name, content) for name, content in files.items()}
    for path in [*_known][: max(0, len(_known) + len(built) - _MOST_KNOWN)]:
        _known.pop(path, None)
    _known.update(built)
    return built


def _asset(name: str, content: bytes) -> Asset:
    return content, gzip.compress(content, 9, mtime=0), _TYPES[Path(name).suffix]


def _path(name: str, content: bytes) -> str:
    stem, suffix = Path(name).stem, Path(name).suffix
    return f"/assets/{stem}-{hashlib.sha256(content).hexdigest()[:12]}{suffix}"


def _url(stem: str) -> str:
    return next(path for path in assets() if path.startswith(f"/assets/{stem}-"))


def _url_if_any(stem: str) -> str:
    return next((path for path in assets() if path.startswith(f"/assets/{stem}-")), "")


def _refuse_unreadable(logo: str) -> None:
    if logo and config.uploaded(logo) is None:
        _read(Path(logo))


def _picture(logo: str) -> bytes | None:
    """The logo's file. One that has gone since the start is missed, and no page for it."""
    try:
        return (config.uploaded(logo) or _read(Path(logo))) if logo else None
    except ConfigError as wrong:
        if logo not in _missed:
            _missed.add(logo)
            log.warning("pages show no logo until the next start: %s", wrong)
        return None


def _read(path: Path) -> bytes:
    if path.suffix.lower() not in {".svg", ".png"}:
        raise ConfigError("PORTAL_BRAND_LOGO must be the path of an SVG or PNG file.")
    try:
        return path.read_bytes()
    except OSError as wrong:
        raise ConfigError(f"PORTAL_BRAND_LOGO can't be read: {wrong.strerror}.") from None


def _contact(support: str) -> str:
    if not support or re.match(r"(mailto:|https?://)", support):
        return support
    return f"mailto:{support}" if "@" in support else f"https://{support}"


def _without_comments(css: str) -> str:
    return re.sub(r"\n\s*", "\n", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)).strip()


# Colours: relative luminance and contrast as WCAG 2 defines them.


def _colours(accent: str) -> str:
    """The custom properties that depend on the seller's accent, for both schemes."""
    light = _properties(ground=accent, link=readable(accent, on=_LIGHT))
    lifted = readable(accent, on=_DARK)
    dark = _properties(ground=lifted, link=lifted)
    return f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


@dataclass(frozen=True)
class Sample:
    """How an accent looks in one scheme: what it was made to be readable, and by how much it is (`contrast`)."""

    scheme: str
    paper: str
    ground: str
    text: str
    text_contrast: float
    link: str
    link_contrast: float


def samples(accent: str) -> tuple[Sample, Sample]:
    """An accent in light and in dark."""
    light, dark = readable(accent, on=_LIGHT), readable(accent, on=_DARK)
    return _sample("light", _LIGHT, accent, light), _sample("dark", _DARK, dark, dark)


def _sample(scheme: str, paper: str, ground: str, link: str) -> Sample:
    text = _text_on(ground)
    return Sample(scheme, paper, ground, text, contrast(text, ground), link, contrast(link, paper))


def _text_on(ground: str) -> str:
    return "#ffffff" if contrast("#ffffff", ground) >= _CONTRAST else "#000000"


def _properties(*, ground: str, link: str) -> str:
    text = _text_on(ground)
    hover = _mix(ground, "#000000" if text == "#ffffff" else "#ffffff", 0.15)
    return f"--accent:{ground};--accent-hover:{hover};--on-accent:{text};--link:{link}"


def readable(colour: str, *, on: str) -> str:
    """The colour, darkened or lightened no more than it takes to be read on a ground."""
    towards = "#000000" if _luminance(on) > 0.5 else "#ffffff"
    steps = (_mix(colour, towards, share / 50) for share in range(51))
    return next(mixed for mixed in steps if contrast(mixed, on) >= _CONTRAST)


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _mix(colour: str, towards: str, share: float) -> str:
    pairs = zip(_channels(colour), _channels(towards), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
