"""The payments overview: what is expected, who stays and who leaves, and the list behind each figure."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from flask import render_template, request

from portal import ids
from portal.access import staff_required
from portal.domain import customers, overview
from portal.domain.events import ENDINGS
from portal.errors import InvalidRequest
from portal.staff import bp

_PAGE = 50


@bp.get("/overview")
@staff_required()
def overview_page() -> str:
    found = overview.latest()
    if found is None:
        return render_template("staff/overview.html", figures=None)
    figures, as_of = found
    weeks = [_week(each) for each in figures["weeks"]]
    return render_template(
        "staff/overview.html",
        figures=figures,
        as_of=as_of,
        weeks=weeks,
        top_of_weeks=overview.biggest(week[each] for week in weeks for each in ENDINGS),
        today=as_of.date(),
        ahead=(as_of + overview.AHEAD).date(),
        biggest=overview.biggest,
    )


@bp.get("/overview/changes")
@staff_required()
def changes() -> str:
    """The cancellations, keeps or ends behind a figure: `what`, from `since` to before `until`, for a `reason`."""
    what, since, until = request.args.get("what", ""), _day("since"), _day("until")
    if what not in ENDINGS:
        raise InvalidRequest("invalid_field", f"what must be one of {', '.join(ENDINGS)}. Nothing was looked up.")
    reason, before = request.args.get("reason"), request.args.get("before")
    if before is not None and not ids.is_id(before, "evt"):
        raise InvalidRequest("invalid_field", "before must be the id of an event. Nothing was looked up.")
    found = list(islice(overview.endings(what, since, until, reason=reason, before=before), _PAGE + 1))
    return render_template(
        "staff/changes.html",
        what=what,
        since=since,
        last_day=until - timedelta(days=1),
        reason=reason,
        changes=found[:_PAGE],
        names=customers.names(each.customer_id for each in found[:_PAGE]),
        older=_older(found[_PAGE - 1].id) if len(found) > _PAGE else None,
    )


def _week(week: dict[str, Any]) -> dict[str, Any]:
    begins = datetime.fromisoformat(week["begins"])
    return week | {"begins": begins, "since": begins.date(), "until": (begins + timedelta(weeks=1)).date()}


def _day(name: str) -> datetime:
    """Midnight, UTC, of a day in the address."""
    try:
        day = datetime.strptime(request.args.get(name, ""), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest("invalid_field", f"{name} must be a day such as 2026-11-21.") from None
    if not 1971 <= day.year <= 9000:
        raise InvalidRequest("invalid_field", f"{name} must be a day such as 2026-11-21.")
    return day


def _older(before: str) -> str:
    kept: dict[str, Any] = {name: value for name, value in request.args.items() if name != "before"}
    return f"{request.path}?{urlencode({**kept, 'before': before})}"
