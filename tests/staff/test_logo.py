"""What an uploaded logo may be: a picture from its first byte to its last, and a drawing that only draws."""

import struct
import time
import zlib

import pytest

from portal.domain import logos
from portal.domain.logos import LogoRefused

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">{}</svg>'


def svg(inside: str) -> bytes:
    return SVG.format(inside).encode()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 2, height: int = 2, *more: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress((b"\0" + b"\0\0\0" * 2) * 2))
    return b"\x89PNG\r\n\x1a\n" + head + rows + b"".join(more) + chunk(b"IEND")


@pytest.mark.parametrize(
    "inside",
    [
        '<path d="M0 0h9v9z" fill="#123456" style="opacity:.5;fill:url(#a)"/>',
        '<defs><linearGradient id="a"><stop offset="0"/></linearGradient></defs><rect fill="url(#a)" width="9"/>',
        '<style>.a{fill:#fff;clip-path:url("#b")}</style><clipPath id="b"><circle r="3"/></clipPath>',
        '<g id="g"><path d="M0 0"/></g><use href="#g"/><use xlink:href="#g"/>',
        "<title>A &amp; B</title><text>on &lt;script&gt;</text>",
        "<!-- drawn by hand --><g/>",
    ],
)
def test_a_plain_drawing_is_taken_as_it_is(inside: str) -> None:
    logo = logos.judge(svg(inside))
    assert (logo.media_type, logo.suffix, logo.content) == ("image/svg+xml", ".svg", svg(inside))


def test_what_drawing_programs_note_is_taken() -> None:
    drawn = (
        '<?xml version="1.0" encoding="UTF-8"?><svg xmlns="http://www.w3.org/2000/svg" '
        'xmlns:sodipodi="http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd" '
        'xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" xml:space="preserve" '
        'inkscape:export-filename="C:\\logo.png"><sodipodi:namedview pagecolor="#fff"/><path d="M0 0"/></svg>'
    )
    assert logos.judge(drawn.encode()).suffix == ".svg"


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<script href="https://evil.example/x.js"/>',
        '<g xmlns:h="http://www.w3.org/1999/xhtml"><h:script>alert(1)</h:script></g>',
        '<foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" src="javascript:alert(1)"/></foreignObject>',
        '<path onload="alert(1)"/>',
        '<path ONCLICK="alert(1)"/>',
        '<a href="javascript:alert(1)"><path/></a>',
        '<image href="https://evil.example/pixel.png"/>',
        '<image href="data:image/svg+xml;base64,PHN2Zy8+"/>',
        '<feImage href="https://evil.example/"/>',
        '<use href="https://evil.example/x.svg#a"/>',
        '<use xlink:href="data:image/svg+xml,&lt;svg/&gt;"/>',
        '<animate attributeName="href" values="javascript:alert(1)"/>',
        '<set attributeName="onclick" to="alert(1)"/>',
        '<rect fill="url(https://evil.example/#a)"/>',
        "<rect fill=\"url( 'https://evil.example/' )\"/>",
        '<rect style="background:URL(//evil.example)"/>',
        '<rect style="background:u\\72l(//evil.example)"/>',
        '<rect style="background:u/**/rl(//evil.example)"/>',
        "<style>@import 'https://evil.example/x.css';</style>",
        "<style>@im<!-- -->port 'https://evil.example/x.css';</style>",
        "<style><![CDATA[@imp]]><![CDATA[ort 'https://evil.example/x.css';]]></style>",
        "<style>a{background:url(https://evil.example)}</style>",
        "<style>a{content:'/*';background:url(https://evil.example)}b{content:'*/'}</style>",
        "<style>a{content:'/*';background:url(https://evil.example)}</style>",
        "<style>a{background:-webkit-image-set('https://evil.example/x.png' 1x)}</style>",
        "<style>a{}<style>b{}</style>@im<g/>port 'https://evil.example/x.css';</style>",
        "<style><![CDATA[</style><script>alert(1)</script>]]></style>",
        '<g xml:base="https://evil.example/"><use href="#a"/></g>',
        '<g xmlns:ev="http://www.w3.org/2001/xml-events"><ev:listener event="load" handler="#x"/></g>',
        "<?xml-stylesheet href='https://evil.example/x.css'?>",
        "<iframe/>",
        "<handler/>",
        "<g>" * 100 + "</g>" * 100,
        "<g/>" * 6000,
        '<use href="#a"/>' * 17,
    ],
)
def test_a_drawing_with_more_than_drawing_in_it_is_refused(inside: str) -> None:
    with pytest.raises(LogoRefused):
        logos.judge(svg(inside))


@pytest.mark.parametrize(
    "content",
    [
        b'<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + svg("<text>&b;</text>"),
        b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + svg("<text>&x;</text>"),
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">' + svg(""),
        b'<?xml version="1.0" encoding="UTF-7"?>' + svg("+ADw-script+AD4-"),
        b'<?xml version="1.0" encoding="ISO-2022-JP"?>' + svg("<path/>"),
        svg("<path/>").decode().encode("utf-16"),
        svg("<text>&nosuch;</text>"),
        svg("<path>"),
        svg("<path/>") + b"<script/>",
        b"\xff" + svg("<path/>"),
        b"<svg><path/></svg>",
        b'<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>',
        b"GIF89a" + b"\0" * 50,
        b"\xff\xd8\xff\xe0JFIF",
        b"",
        b" " * (logos.MOST_BYTES + 1),
        svg("<g/>" * 100_000),
    ],
)
def test_what_is_no_drawing_is_refused(content: bytes) -> None:
    with pytest.raises(LogoRefused):
        logos.judge(content)


def test_a_png_is_taken_by_its_content() -> None:
    logo = logos.judge(png())
    assert (logo.media_type, logo.suffix) == ("image/png", ".png")
    assert logos.judge(png(2, 2, chunk(b"tEXt", b"Comment\0hello"))).suffix == ".png"


@pytest.mark.parametrize(
    "content",
    [
        png() + b"<script>alert(1)</script>",
        png()[:-4] + b"\0\0\0\0",
        png()[:40],
        png(0, 2),
        png(100_000, 100_000),
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + chunk(b"IEND"),
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 0xFFFFFFFF) + b"IHDR" + b"\0" * 40,
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR") + chunk(b"IDAT") + chunk(b"IEND"),
    ],
)
def test_a_png_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(LogoRefused):
        logos.judge(content)


@pytest.mark.parametrize(
    "inside",
    [
        "<style>" + "/*a" * 80_000 + "</style>",
        '<rect style="' + "/*a" * 80_000 + '"/>',
        "<style>" + "a" * 30 + "</style>",
    ],
)
def test_a_file_made_to_be_read_for_long_is_read_at_once(inside: str) -> None:
    many = 4900 if len(inside) < 100 else 1
    began = time.monotonic()
    assert logos.judge(svg(inside * many)).suffix == ".svg"
    assert time.monotonic() - began < 2
