"""A queued mail as a message: one template a kind, rendered twice, as text and as HTML, so that both agree.

`templates/email/<kind>.jinja` says what is told; `text/` and `html/` beside it say how a heading, a fact or a
button looks. The same row gives the same message, byte for byte: a mail sent again is the same mail.
"""

import json
import re
import textwrap
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from portal import brand, config, email_address, i18n, links
from portal.domain.mails import FRESH_LINK_LIFETIME, Mail

_TEMPLATES = config.ROOT / "templates" / "email"
_WIDTH = 72
_LIGHT_CARD, _DARK_CARD = "#ffffff", "#22262b"
_ADDRESS = re.compile(r"[^\s<>()\[\]\\,;:\"@\x00-\x1f\x7f]+@[^\s<>()\[\]\\,;:\"@\x00-\x1f\x7f]+")
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what stands behind them, and could disguise it."""


class UnusableAddress(ValueError):
    """No mail can be sent to this address, now or later."""


@dataclass(frozen=True)
class Seller:
    """What a mail shows of the seller; colours are readable on the card, in light and in dark."""

    name: str
    support: str
    support_href: str
    address: tuple[str, ...]
    self_cancellation: bool
    accent: str
    on_accent: str
    link: str
    dark_link: str
    on_dark: str


def compose(mail: Mail, *, powerless: bool = False) -> EmailMessage:
    """The message of a queued mail. Raises UnusableAddress.

    `powerless` is how it is shown to others: its links are the plain addresses of their pages, without a token.
    """
    with i18n.speaking(mail.locale, mail.time_zone):
        preview = mail.facts.get("preview", False)
        context = _context(mail) | (_plain_links(mail) if powerless or preview else {})
        subject, _, text = _render("text", mail.kind, context).partition("\n")
        html = _render("html", mail.kind, context)
        language = i18n.language_tag()
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"[Preview] {subject}" if preview else subject
    _address(message, mail)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(_tidy(text))
    message.add_alternative(html, subtype="html")
    message["Content-Language"] = language
    message.set_boundary(f"=_{mail.id}")
    return message


def _address(message: EmailMessage, mail: Mail) -> None:
    settings = config.current()
    name, sender = parseaddr(settings.mail_from)
    message["From"] = _mailbox(sender, name or settings.brand_name)
    message["To"] = _mailbox(mail.to_address)
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = f"<{mail.id}@{urlsplit(settings.base_url).hostname}>"


def _mailbox(address: str, name: str = "") -> Address:
    """Exactly one address; a domain of other scripts in the form that every server takes."""
    if not _ADDRESS.fullmatch(address):
        raise UnusableAddress("not an address")
    local, domain = address.rsplit("@", 1)
    try:
        return Address(_one_line(name), username=local, domain=email_address.ascii_domain(domain))
    except ValueError:
        raise UnusableAddress("not an address") from None


def _context(mail: Mail) -> dict[str, Any]:
    """What templates see: the row's facts as they were, and ways to build the links of this errand."""
    facts = {name: _plain(name, value) for name, value in mail.facts.items()}
    link = partial(links.page_url, customer_id=mail.customer_id or "", issued_at=mail.created_at)
    fresh = partial(link, subscription_id=facts.get("subscription"), lifetime=FRESH_LINK_LIFETIME)
    return {
        "facts": facts,
        "customer": facts.get("customer") if mail.customer_id else None,
        "to": partial(link, subscription_id=mail.subscription_id),
        "plain": links.plain_url,
        "sign_in_link": lambda: links.sign_in_url(
            facts["request"], expires_at=facts["expires_at"], issued_at=mail.created_at
        ),
        "staff_sign_in_link": lambda: links.staff_sign_in_url(
            facts["request"], expires_at=facts["expires_at"], issued_at=mail.created_at
        ),
        "console_link": links.console_url,
        "fresh_link": lambda: fresh(facts["page"]),
        "link_of_staff": lambda: links.session_url(
            facts["page"],
            facts["portal_session"],
            expires_at=facts["expires_at"],
            issued_at=mail.created_at,
            subscription_id=facts["subscription"],
        ),
        "fresh_until": mail.created_at + FRESH_LINK_LIFETIME,
        "minutes": lambda until: round((until - mail.created_at).total_seconds() / 60),
    }


def _plain_links(mail: Mail) -> dict[str, Any]:
    """In place of every link with power the address of its page, which leads through sign-in."""
    page, subscription = mail.facts.get("page", "portal"), mail.facts.get("subscription")
    own = partial(links.plain_url, page, subscription)
    return {
        "to": partial(links.plain_url, subscription_id=mail.subscription_id),
        "sign_in_link": own,
        "staff_sign_in_link": links.console_url,
        "fresh_link": own,
        "link_of_staff": own,
    }


def _plain(name: str, value: Any) -> Any:
    """A fact for a template: instants as such, text from outside on one line, `json` as ASCII that hides nothing."""
    if name == "json":
        return json.dumps(value, indent=2)
    if isinstance(value, str):
        return datetime.fromisoformat(value) if name.endswith("_at") else _one_line(value)
    if isinstance(value, dict):
        return {key: _plain(key, each) for key, each in value.items()}
    return [_plain(name, each) for each in value] if isinstance(value, list) else value


def _one_line(text: str) -> str:
    kept = (" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text if c not in _OVERRIDES)
    return " ".join("".join(kept).encode(errors="replace").decode().split())


def _render(form: str, kind: str, context: dict[str, Any]) -> str:
    return _environment(form).get_template(f"{kind}.jinja").render(context).strip() + "\n"


@lru_cache
def _environment(form: str) -> Environment:
    """The templates of one form: `layout.jinja` and `parts.jinja` come from `text/` or from `html/`."""
    environment = Environment(
        loader=FileSystemLoader([_TEMPLATES / form, _TEMPLATES]),
        autoescape=form == "html",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    i18n.install(environment)
    environment.globals["seller"] = _seller
    environment.filters["wrapped"] = _wrapped
    return environment


def _seller() -> Seller:
    settings, known = config.current(), brand.brand()
    dark = brand.readable(settings.brand_accent, on=_DARK_CARD)
    return Seller(
        name=_one_line(known.name),
        support=known.support,
        support_href=known.support_href,
        address=known.address,
        self_cancellation=settings.self_cancellation,
        accent=settings.brand_accent,
        on_accent=_text_on(settings.brand_accent),
        link=brand.readable(settings.brand_accent, on=_LIGHT_CARD),
        dark_link=dark,
        on_dark=_text_on(dark),
    )


def _text_on(ground: str) -> str:
    return max("#ffffff", "#000000", key=lambda text: (brand.contrast(text, ground) >= 4.5, text))


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent * 2,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _tidy(text: str) -> str:
    """No blanks at line ends, and never two empty lines running."""
    text = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
