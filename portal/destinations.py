"""Where webhooks may go: never into the seller's own network (server-side request forgery).

A destination is looked at when it is saved and again each time something is sent: its name is resolved, every address
it has must be public, and the connection is made to an address that was looked at, not to the name.
PORTAL_WEBHOOK_PRIVATE allows http and private addresses, for development.
"""

import ipaddress
import re
import socket
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from portal import config

_HOST = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
)
_URL = re.compile(r"[\x21-\x7e]{1,2048}")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "198.18.0.0/15",
        "240.0.0.0/4",
        "2001::/23",  # Teredo, ORCHID and the like
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address inside
        "3fff::/20",
    )
)


class Unacceptable(Exception):
    """Nothing may be sent to this destination; the text says why."""


class Unknown(Exception):
    """The name has no address, or nobody answered for it in time."""


@dataclass(frozen=True)
class Place:
    """What a destination's URL says."""

    secure: bool
    host: str
    port: int
    path: str


def place(url: str) -> Place:
    """The parts of a URL that has an acceptable form. Raises Unacceptable."""
    if not _URL.fullmatch(url) or "\\" in url:
        raise Unacceptable("it has characters that a URL can't have")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Unacceptable("it is not a URL") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and config.current().webhook_private):
        raise Unacceptable("it must begin with https://")
    if "@" in parts.netloc:
        raise Unacceptable("it must not contain a user name or password")
    if parts.fragment or port == 0:
        raise Unacceptable("it must not contain a fragment, nor port 0")
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(secure, _host(parts.hostname or "", parts.netloc), port or (443 if secure else 80), path)


def resolve(host: str, port: int, *, within: float) -> list[str]:
    """The addresses of a host, each of them looked at. Raises Unacceptable, Unknown."""
    found = _literal(host) or _looked_up(host, port, within)
    if not config.current().webhook_private and not all(map(is_public, found)):
        raise Unacceptable("its host has an address that is not public")
    return found


def check(url: str, *, within: float = 2.0) -> None:
    """What is asked of a destination that is to be saved. Raises Unacceptable.

    A name without an address is let pass: it may not have been set up yet, and is looked at again before anything
    is sent.
    """
    where = place(url)
    try:
        resolve(where.host, where.port, within=within)
    except Unknown:
        return


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet at large."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip not in _UNICAST:
            return False
    strange = ip.is_multicast or ip.is_reserved or ip.is_loopback or ip.is_link_local or ip.is_unspecified
    return ip.is_global and not strange and not any(ip in each for each in _NOT_PUBLIC if each.version == ip.version)


def _host(host: str, netloc: str) -> str:
    """Names in ASCII and plain addresses; no spelling that others may read as another address."""
    if netloc.startswith("["):
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise Unacceptable("its host is not an address") from None
    name = host[:-1] if host.endswith(".") else host
    if not _HOST.fullmatch(name):
        raise Unacceptable("its host is not a name in ASCII (write xn--… for other scripts)")
    try:
        packed = socket.inet_aton(name)
    except OSError:
        return name
    if socket.inet_ntoa(packed) != name:
        raise Unacceptable("its host is an address in an unusual form")
    return name


def _literal(host: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        return []


def _looked_up(host: str, port: int, within: float) -> list[str]:
    """Asks in a thread of its own: a lookup takes no timeout."""
    found: list[str] = []
    asking = threading.Thread(target=_look_up, args=(host, port, found), daemon=True)
    asking.start()
    asking.join(max(within, 0))
    if not found:
        raise Unknown("its host's name has no address, or nobody answered for it in time")
    return list(dict.fromkeys(found))


def _look_up(host: str, port: int, found: list[str]) -> None:
    try:
        known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    found.extend(str(each[4][0]) for each in known)
