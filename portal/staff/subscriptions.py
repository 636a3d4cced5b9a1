"""All subscriptions: searched, filtered, a page at a time, or taken along as a table. The address says what shows."""

import base64
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Response, redirect, render_template, request, stream_with_context, url_for
from flask_login import current_user

from portal import clock, db, money, spreadsheet
from portal.access import staff_required
from portal.db import transaction
from portal.domain import audit, catalog, listing, search
from portal.domain.listing import Cursor
from portal.domain.listing_entries import STATES
from portal.domain.listing_filters import BY_NAME, NEWEST, SORTS, WHO, Filters
from portal.domain.listing_orders import kinds
from portal.domain.staff import ADMIN
from portal.errors import InvalidRequest
from portal.staff import bp

_NAMES = ("q", "state", "product", "ends_from", "ends_to", "by", "sort")
_LONGEST = {"q": 200, "product": 40, "ends_from": 10, "ends_to": 10, "by": 10, "sort": 10}
_MOST_PRODUCTS, _LONGEST_CURSOR = 1000, 1000
_MIDNIGHT = timedelta.resolution
"""What ends at midnight is told as the end of the day before, and found by it."""
_COLUMNS = (
    *("subscription", "state", "customer", "name", "email", "products", "price", "currency", "every", "collection"),
    *("started (UTC)", "period ends (UTC)", "next payment (UTC)", "ends or ended (UTC)", "canceled by", "reason"),
    *("payments left", "created (UTC)"),
)


@bp.get("/subscriptions")
@staff_required()
def subscriptions() -> Any:
    asked, problems = _asked(), dict[str, str]()
    text = asked.get("q", "")
    found = listing.named(text.strip().lower()) or listing.named(text.strip()) if text else None
    if found is not None:
        return redirect(f"/console/{found[0]}s/{found[1]}", 303)
    filters, cursor = _filters(asked, problems), None
    if not problems:
        cursor = _cursor(filters, problems)
    nothing = bool(problems) or (text != "" and not filters.search)
    page = listing.Page() if nothing else listing.page(filters, cursor)
    products = catalog.product_names(_MOST_PRODUCTS)
    shown = render_template(
        "staff/subscriptions.html",
        page=page,
        asked=asked,
        problems=problems,
        filters=filters,
        products=products,
        alike=_alike(filters.search, products),
        chips=_chips(asked, dict(products)),
        is_first=cursor is None,
        count=None if cursor is not None or nothing else listing.count(filters, page),
        counted=listing.COUNTED,
        following=_address(asked, after=_token(page.following)),
        previous=_address(asked, before=_token(page.previous)),
        first=_address(asked),
        export=_address(asked, "console.subscriptions_export"),
    )
    return (shown, 400) if problems else shown


@bp.get("/subscriptions.csv")
@staff_required(ADMIN)
def subscriptions_export() -> Response:
    """All that the filters find; a batch at a time, so that a million rows need no more memory than one batch."""
    asked, problems = _asked(), dict[str, str]()
    filters = _filters(asked, problems)
    if problems:
        raise InvalidRequest("invalid_field", " ".join(problems.values()))
    if request.method == "GET":
        with transaction():
            audit.record("subscriptions.exported", by=current_user.acting(), filters=asked)
    nothing = bool(asked.get("q")) and not filters.search
    lines = spreadsheet.lines(_COLUMNS, () if nothing else _cells(filters))
    response = Response(stream_with_context(_gathered(lines)), mimetype="text/csv")
    name = f"subscriptions-{clock.now():%Y-%m-%d}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _cells(filters: Filters) -> Iterator[tuple[Any, ...]]:
    for batch in listing.every(filters):
        db.close()  # nothing stays open while the reader takes its time
        for s in batch:
            sold = "; ".join(f"{item.price.product.name} × {item.quantity}" for item in s.items)
            what = (s.id, _state(s), s.customer_id, s.customer.name, s.customer.email, sold)
            price = (money.plain(s.amount, s.currency_code), s.currency_code)
            every = f"{s.billing_frequency} {s.billing_interval}"
            dates = (s.started_at, s.period_ends_at, s.next_billed_at, s.canceled_at or s.ends_at)
            why = (s.canceled_by, (s.cancellation or {}).get("reason"))
            yield *what, *price, every, s.collection_mode, *dates, *why, s.remaining_payments, s.created_at


def _gathered(lines: Iterator[str]) -> Iterator[str]:
    """The heading at once, then some hundred lines a piece: each piece costs the server a call."""
    yield next(lines)
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if len(piece) == 200:
            yield "".join(piece)
            piece.clear()
    yield "".join(piece)


def _state(s: Any) -> str:
    return "pending" if s.is_ending else str(s.status)


def _asked() -> dict[str, Any]:
    """The filters as they stand in the address; what is empty is left out."""
    found: dict[str, Any] = {name: _text(request.args.get(name, ""))[:most] for name, most in _LONGEST.items()}
    states = {_text(each)[:20] for each in request.args.getlist("state")[:20]} - {""}
    found["state"] = sorted(states, key=lambda each: (*STATES, each).index(each))
    return {name: found[name] for name in _NAMES if found[name]}


def _text(given: str) -> str:
    return "".join(each if each.isprintable() else " " for each in given).strip()


def _filters(asked: dict[str, Any], problems: dict[str, str]) -> Filters:
    """What they mean; puts what is wrong with them under `problems`."""
    for name, known in (("by", WHO), ("sort", SORTS)):
        if asked.get(name) and asked[name] not in known:
            problems[name] = f"Choose one of the list: {', '.join(known)}."
    if set(asked.get("state", ())) - set(STATES):
        problems["state"] = "Choose states of the list."
    since, until = _day(asked, "ends_from", problems), _day(asked, "ends_to", problems)
    return Filters(
        states=tuple(each for each in STATES if each in asked.get("state", ())),
        product_id=asked.get("product"),
        ends_from=since + _MIDNIGHT if since else None,
        ends_before=until + timedelta(days=1) + _MIDNIGHT if until else None,
        canceled_by=asked.get("by"),
        search=search.normal(asked.get("q", "")),
        sort=asked.get("sort") or (BY_NAME if asked.get("q") else NEWEST),
    )


def _day(asked: dict[str, Any], name: str, problems: dict[str, str]) -> datetime | None:
    """Midnight, UTC, of a day in the address."""
    if name not in asked:
        return None
    try:
        day = date.fromisoformat(asked[name])
    except ValueError:
        day = date.min
    if not 1971 <= day.year <= 9000:
        problems[name] = "Give a day such as 2026-11-21."
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _cursor(filters: Filters, problems: dict[str, str]) -> Cursor | None:
    """Where the page begins, or ends; a cursor is only ever one that we gave, for this order."""
    for name, back in (("after", False), ("before", True)):
        if token := request.args.get(name):
            key = _key(token, kinds(filters))
            if key is None:
                problems["main"] = "This address leads to no page of the list. Begin at the first one."
                return None
            return Cursor(key, back)
    return None


def _key(token: str, kinds: tuple[type, ...]) -> tuple[Any, ...] | None:
    try:
        if len(token) > _LONGEST_CURSOR:
            return None
        given = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if not isinstance(given, list) or len(given) != len(kinds):
            return None
        return tuple(_part(part, kind) for part, kind in zip(given, kinds, strict=True))
    except ValueError:
        return None


def _part(part: Any, kind: type) -> Any:
    """Raises ValueError."""
    if kind is datetime and isinstance(part, str):
        at = datetime.fromisoformat(part)
        if at.tzinfo is not UTC or at.year < 1971:
            raise ValueError("no instant of ours")
        return at
    known = isinstance(part, int) and 0 <= part <= 2 if kind is int else isinstance(part, str) and part.isprintable()
    if not known or type(part) is not kind:
        raise ValueError("no place of ours")
    return part


def _token(cursor: Cursor | None) -> str | None:
    return base64.urlsafe_b64encode(orjson.dumps(cursor.key)).decode().rstrip("=") if cursor else None


def _address(asked: dict[str, Any], endpoint: str = "console.subscriptions", **more: str | None) -> str | None:
    """The address of what is asked for; None if a cursor is wanted and there is none."""
    if None in more.values():
        return None
    query = urlencode(asked | more, doseq=True)
    return url_for(endpoint) + (f"?{query}" if query else "")


def _chips(asked: dict[str, Any], products: dict[str, str]) -> list[tuple[str, str, str | None]]:
    """Each filter in words, and the address without it."""
    words = {"q": "Search", "product": "Product", "ends_from": "Ends from", "ends_to": "Ends to", "by": "Canceled by"}
    found = []
    for name, label in words.items():
        if name in asked:
            value = products.get(asked[name], asked[name]) if name == "product" else asked[name]
            found.append((label, value, _address({each: asked[each] for each in asked if each != name})))
    for state in asked.get("state", ()):
        others = [each for each in asked["state"] if each != state]
        kept = {each: asked[each] for each in asked if each != "state"} | ({"state": others} if others else {})
        found.append(("State", state, _address(kept)))
    return found


def _alike(text: str, products: list[tuple[str, str]]) -> list[tuple[str, str | None]]:
    """The products whose name has a word that begins so, each with the address of its subscriptions."""
    if not text:
        return []
    alike = [each for each in products if f" {text}" in f" {search.normal(each[1])}"]
    return [(name, _address({"product": id})) for id, name in alike[:5]]
