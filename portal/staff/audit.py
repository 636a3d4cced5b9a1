"""The audit record: who did what, found again and taken along. Admins only; nobody can change it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Response, render_template, request, stream_with_context
from flask_login import current_user

from portal import clock, db, ids, spreadsheet
from portal.access import staff_required
from portal.db import transaction
from portal.domain import audit, staff
from portal.domain.staff import ADMIN
from portal.errors import InvalidRequest
from portal.staff import bp

_PAGE, _BATCH, _LONGEST = 50, 500, 100
_FILTERS = ("actor", "action", "subject", "since", "until")
_HEADER = ("id", "time (UTC)", "action", "who", "who (id)", "who (kind)", "way", "about", "customer", "facts")


@bp.get("/audit")
@staff_required(ADMIN)
def audit_page() -> str:
    before = request.args.get("before")
    if before is not None and not ids.is_id(before, "aud"):
        raise InvalidRequest("invalid_field", "before must be the id of an entry. Nothing was looked up.")
    asked, found = _asked(), audit.find(**_filters(), before=before, limit=_PAGE + 1)
    return render_template(
        "staff/audit.html",
        entries=found[:_PAGE],
        filtered=dict.fromkeys(_FILTERS, "") | asked,
        is_filtered=bool(asked),
        people=_people(asked.get("actor", "")),
        kinds=_kinds(asked.get("action", "")),
        older=_address(before=found[_PAGE - 1].id) if len(found) > _PAGE else None,
        newest=_address() if before else None,
        export=f"/console/audit.csv?{urlencode(_asked())}",
    )


@bp.get("/audit.csv")
@staff_required(ADMIN)
def audit_export() -> Response:
    """All that the filters find, a batch at a time, so that a long record needs no more memory than a short one."""
    filters = _filters()
    if request.method == "GET":
        with transaction():
            audit.record("audit.exported", by=current_user.acting(), filters=_asked())
    lines = spreadsheet.lines(_HEADER, _rows(filters))
    name = f"audit-{clock.now():%Y-%m-%d}.csv"
    response = Response(stream_with_context(lines), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _people(wanted: str) -> list[tuple[str, str]]:
    """Who can be chosen; also whoever an address asks for: a customer, or an app's key."""
    people = {"": "Anybody", "shell": "Command line"} | {each.id: each.called for each in staff.ever()}
    return list((people | {wanted: people.get(wanted, wanted)}).items())


def _kinds(wanted: str) -> list[tuple[str, str]]:
    """What can be chosen; also what an address asks for, such as all that begins with `staff.`."""
    kinds = dict.fromkeys((*audit.actions(), *((wanted,) if wanted else ())))
    return [("", "Anything"), *((each, _words(each)) for each in kinds)]


def _words(action: str) -> str:
    words = action.replace("_", " ").replace(".", ": ")
    return f"{words}anything" if action.endswith(".") else words


def _rows(filters: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    before = None
    while batch := audit.find(**filters, before=before, limit=_BATCH):
        db.close()  # nothing stays open while the reader takes its time
        for each in batch:
            who = (each.actor_name, each.actor_id, each.actor_kind, each.way)
            facts = json.dumps(each.facts, ensure_ascii=False) if each.facts else None
            yield each.id, each.at, each.action, *who, each.subject_id, each.customer_id, facts
        before = batch[-1].id


def _asked() -> dict[str, str]:
    """The filters as they stand in the address; short and of letters only, for an export writes them down."""
    asked = {name: request.args.get(name, "").strip() for name in _FILTERS}
    if not all(len(value) <= _LONGEST and value.isprintable() for value in asked.values()):
        raise InvalidRequest("invalid_field", "The address names a filter that does not exist. Nothing was looked up.")
    return {name: value for name, value in asked.items() if value}


def _filters() -> dict[str, Any]:
    asked = _asked()
    until = _day(asked.get("until"), "until")
    return {
        "actor": asked.get("actor"),
        "action": asked.get("action"),
        "subject": asked.get("subject"),
        "since": _day(asked.get("since"), "since"),
        "until": until + timedelta(days=1) if until else None,
    }


def _address(**more: str) -> str:
    return f"/console/audit?{urlencode(_asked() | more)}"


def _day(text: str | None, name: str) -> datetime | None:
    """Midnight, UTC, of a day in the address."""
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        day = None
    if day is None or not 1971 <= day.year <= 9000:
        raise InvalidRequest("invalid_field", f"{name} must be a day such as 2026-11-21. Nothing was looked up.")
    return day
