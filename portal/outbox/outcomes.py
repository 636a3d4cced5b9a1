"""Writes down what came of many attempts, in one transaction: logs, notifications, and how each endpoint is doing.

    200                 delivered; the endpoint's rest and failures are forgotten, and what began to fail with it is due
    anything else       needs_retry with the next of `webhook_retries`, after the last: failed; the endpoint rests
    410                 the endpoint is switched off
    failing too long    the endpoint is switched off (`webhook_off_after`)

A success is always written. A failure is written only if the notification still waits as it did when it was claimed.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, exists, insert, select, update

from portal import clock, config, ids
from portal.db import connection, session, table, transaction
from portal.domain import notification_settings, notifications
from portal.domain.notification_settings import NotificationSetting
from portal.domain.notifications import Notification, NotificationLog
from portal.domain.shapes import text
from portal.outbox import retries
from portal.outbox.errands import Attempt, Report

log = logging.getLogger("portal.webhooks")
_ROW = table(Notification)
_TRIED = (
    update(_ROW)
    .where(_ROW.c.id == bindparam("its_id"), _ROW.c.times_attempted == bindparam("before"))
    .values(
        status=bindparam("new_status"),
        times_attempted=bindparam("attempts"),
        last_attempt_at=bindparam("at"),
        run_at=bindparam("next_at"),
        delivered_at=bindparam("delivered"),
    )
)
_FAILED = _TRIED.where(_ROW.c.run_at.is_not(None))
_LOG = table(NotificationLog)
_DUE = (
    update(_ROW)
    .where(
        _ROW.c.setting_id == bindparam("its_setting"),
        _ROW.c.run_at.is_not(None),
        _ROW.c.status == "needs_retry",
        ~exists().where(_LOG.c.notification_id == _ROW.c.id, _LOG.c.attempted_at < bindparam("since")),
    )
    .values(run_at=_ROW.c.created_at)
)
"""What first failed while its endpoint was failing takes its place again, before all that came later. What failed
before as well may have a reason of its own: it keeps its times, lest it stops the others again and again."""


def write(reports: Sequence[Report]) -> None:
    """Everything or nothing; the caller keeps the reports until this has returned."""
    attempts = [each.attempt for each in reports if each.attempt is not None]
    with transaction():
        settings = _locked({each.errand.setting_id for each in reports})
        _log_attempts(attempts)
        _note(_TRIED, [each for each in attempts if each.delivered])
        _note(_FAILED, [each for each in attempts if not each.delivered])
        recovered = [each for report in reports if (each := _judge(settings[report.errand.setting_id], report))]
        if recovered:
            connection().execute(_DUE, recovered)
        notifications.give_up_on([each.id for each in settings.values() if not each.active])
    for report in reports:
        _say(report)


def _locked(setting_ids: set[str]) -> dict[str, NotificationSetting]:
    wanted = select(NotificationSetting).where(NotificationSetting.id.in_(setting_ids)).order_by(NotificationSetting.id)
    return {each.id: each for each in session().scalars(wanted.with_for_update(key_share=True))}


def _log_attempts(attempts: list[Attempt]) -> None:
    rows = [
        {
            "id": ids.new("ntflog"),
            "notification_id": each.parcel.notification_id,
            "response_code": each.code,
            "response_content_type": each.content_type,
            "response_headers": each.headers,
            "response_body": each.body,
            "error": each.error,
            "milliseconds": each.milliseconds,
            "attempted_at": each.at,
        }
        for each in attempts
    ]
    if rows:
        connection().execute(insert(table(NotificationLog)), rows)


def _note(statement: Any, attempts: list[Attempt]) -> None:
    if attempts:
        connection().execute(statement, [_outcome(each) for each in attempts])


def _outcome(attempt: Attempt) -> dict[str, Any]:
    made = attempt.parcel.attempts + 1
    next_at = None if attempt.delivered else _next(attempt)
    return {
        "its_id": attempt.parcel.notification_id,
        "before": attempt.parcel.attempts,
        "attempts": made,
        "new_status": "delivered" if attempt.delivered else "needs_retry" if next_at else "failed",
        "at": attempt.at,
        "next_at": next_at,
        "delivered": attempt.at if attempt.delivered else None,
    }


def _next(attempt: Attempt) -> datetime | None:
    return retries.next_attempt(attempt.parcel.attempts + 1, attempt.at, config.current().webhook_retries)


def _judge(setting: NotificationSetting, report: Report) -> dict[str, Any] | None:
    """What an attempt says of its endpoint; the end of an errand gives the endpoint free.

    Answers which endpoint works again, and since when it had failed.
    """
    attempt, recovered = report.attempt, None
    if attempt is None:
        if setting.lease_until == report.errand.lease_until:
            setting.lease_until = clock.now()
    elif attempt.delivered:
        if setting.failing_since is not None:
            recovered = {"its_setting": setting.id, "since": setting.failing_since}
        setting.failing_since = setting.rests_until = None
        setting.failures_in_a_row = 0
    elif attempt.endpoint_at_fault and setting.destination == report.errand.destination:
        _failed(setting, attempt)
    return recovered


def _failed(setting: NotificationSetting, attempt: Attempt) -> None:
    setting.failing_since = setting.failing_since or attempt.at
    setting.failures_in_a_row += 1
    rested = attempt.at + retries.rest(setting.failures_in_a_row)
    setting.rests_until = min(rested, _next(attempt) or rested)
    off_after = config.current().webhook_off_after
    if not setting.active:
        return
    if attempt.code == 410:
        notification_settings.switch_off(setting, "The endpoint answered 410 Gone.")
    elif off_after and attempt.at - setting.failing_since > off_after:
        since = text(setting.failing_since)
        notification_settings.switch_off(setting, f"No delivery has succeeded since {since}.")


def _say(report: Report) -> None:
    if (attempt := report.attempt) is None:
        return
    facts = {"setting": report.errand.setting_id, "notification": attempt.parcel.notification_id}
    if attempt.delivered:
        log.info("webhook delivered", extra={**facts, "ms": attempt.milliseconds})
    else:
        log.warning("webhook not delivered", extra={**facts, "answer": attempt.code, "error": attempt.error})
