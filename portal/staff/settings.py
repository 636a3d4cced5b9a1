"""What the seller sets without the shell, a section at a time; what is not set here the environment says."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask import Response, abort, render_template, request, url_for
from flask_login import current_user

from portal import brand, config, i18n
from portal.access import staff_required
from portal.db import transaction
from portal.domain import logos, seller_settings
from portal.domain.logos import LogoRefused
from portal.domain.seller_settings import LOGO, Change, Unusable
from portal.domain.staff import ADMIN
from portal.errors import Changed
from portal.staff import bp, see_other
from portal.staff.settings_fields import (
    DEFAULTS,
    FIELDS,
    REASON_WORDS,
    SECTIONS,
    Field,
    Section,
    limits,
    shown,
    told,
    typed,
    wrong_with,
)

_AT_ONCE = timedelta()


@bp.get("/settings")
@staff_required(ADMIN)
def settings() -> str:
    seller_settings.refresh(_AT_ONCE)
    return render_template("staff/settings.html", sections=SECTIONS.values(), **_known())


@bp.get("/settings/<section>")
@staff_required(ADMIN)
def settings_section(section: str) -> str:
    seller_settings.refresh(_AT_ONCE)
    changed = [name for name in request.args.getlist("changed") if name in _section(section).names]
    return _page(_section(section), changed=changed)


@bp.post("/settings/<section>")
@staff_required(ADMIN)
def settings_save(section: str) -> Response | tuple[str, int]:
    shown_section = _section(section)
    wanted = _wanted(shown_section)
    problems = _problems(shown_section, wanted)
    if problems:
        return _page(shown_section, problems=problems), 400
    try:
        logo = _logo() if LOGO in shown_section.names else None
        with transaction():
            changes = seller_settings.change(wanted, by=current_user.acting(), seen=_seen(), logo=logo)
    except (Unusable, LogoRefused) as refused:
        return _page(shown_section, problems=_wrong(refused)), 400
    except Changed as overtaken:
        seller_settings.refresh(_AT_ONCE)
        return _page(shown_section, meanwhile=overtaken.facts["changes"]), 409
    seller_settings.refresh(_AT_ONCE)
    done = "saved" if changes else "unchanged"
    names = [each.name for each in changes]
    return see_other(url_for("console.settings_section", section=section, done=done, changed=names, _anchor="done"))


@bp.get("/settings/accent.svg")
@staff_required(ADMIN)
def settings_accent() -> Response:
    """An accent as buttons and links wear it, light and dark: a picture, because a page has no styles of its own."""
    picture = render_template("staff/accent.svg", samples=brand.samples(_accent() or abort(404)))
    return Response(picture, mimetype="image/svg+xml", headers={"Content-Security-Policy": "default-src 'none'"})


def _section(path: str) -> Section:
    return SECTIONS.get(path) or abort(404)


def _seen() -> int:
    return request.form.get("version", 0, type=int)


def _wanted(section: Section) -> dict[str, str | None]:
    """What each field is to be; None: what the environment says. A logo that nobody touches is not among them."""
    wanted: dict[str, str | None] = {
        each.name: typed(each, request.form) for each in section.fields if each.kind != "logo"
    }
    if LOGO in section.names and "no-logo" in request.form:
        wanted[LOGO] = ""
    return wanted | {name: None for name in section.names if f"reset-{name}" in request.form}


def _logo() -> logos.Logo | None:
    """The file that was sent, if one was. Raises LogoRefused."""
    sent = request.files.get(LOGO)
    return logos.judge(sent.read(logos.MOST_BYTES + 1)) if sent is not None and sent.filename else None


def _problems(section: Section, wanted: Mapping[str, str | None]) -> dict[str, str]:
    """What is wrong with the form itself, by field."""
    found = {
        each.name: f"{each.label}: {wrong}."
        for each in section.fields
        if wanted.get(each.name) is not None and (wrong := wrong_with(each, request.form))
    }
    if "self_cancellation" in wanted and config.current().self_cancellation and "confirm-off" not in request.form:
        text = wanted["self_cancellation"]
        if not (config.environment().self_cancellation if text is None else text == "on"):
            found["confirm-off"] = "Tick that you have read the warning before you take the button away."
    return found


def _wrong(refused: Unusable | LogoRefused) -> dict[str, str]:
    if isinstance(refused, LogoRefused):
        return {LOGO: f"Logo: {refused}"}
    return {name: f"{FIELDS[name].label}: {wrong}." for name, wrong in refused.problems.items()}


def _page(
    section: Section,
    *,
    problems: Mapping[str, str] | None = None,
    meanwhile: Sequence[Change] = (),
    changed: Sequence[str] = (),
) -> str:
    kept = request.method == "POST"
    shown_by_name = {each.name: _shown(each, kept, meanwhile) for each in section.fields}
    return render_template(
        "staff/settings_section.html",
        section=section,
        values=shown_by_name,
        offered=request.form.getlist("languages") if kept else list(config.current().languages),
        first=request.form.get("first_language") if kept else config.current().languages[0],
        languages={each: i18n.name(each) for each in (*i18n.available(), *config.current().languages)},
        problems=problems or {},
        meanwhile=[(FIELDS[each.name], each, *_words_of(each)) for each in meanwhile],
        changed=changed,
        version=_seen() if problems else config.overlaid() or 0,
        accent=_accent() or config.current().brand_accent,
        samples=brand.samples(_accent() or config.current().brand_accent),
        reason_words=REASON_WORDS,
        limits=limits,
        **_known(),
    )


def _known() -> dict[str, Any]:
    """What pages say of each setting: its value in words, the environment's, and whether it is set here."""
    now, beneath = config.current(), config.environment()
    return {
        "told": {name: told(field, getattr(now, name)) for name, field in FIELDS.items()},
        "beneath": {name: told(field, getattr(beneath, name)) for name, field in FIELDS.items()},
        "defaults": {name: told(field, DEFAULTS[name]) for name, field in FIELDS.items()},
        "by_operator": {name for name in FIELDS if getattr(beneath, name) != DEFAULTS[name]},
        "set_here": seller_settings.stored().keys(),
        "self_cancellation": now.self_cancellation,
    }


def _shown(field: Field, kept: bool, meanwhile: Sequence[Change]) -> str:
    """What an input shows: the value in force, or what was typed. What its sender had left as it was shows as it is
    now, so that sending the form again takes back nobody's change."""
    value = shown(field, getattr(config.current(), field.name))
    if not kept or field.kind == "logo":
        return value
    before = next((each.old for each in meanwhile if each.name == field.name), None)
    left_alone = before is not None and _in_words(field.name, typed(field, request.form)) == _in_words(
        field.name, before
    )
    return value if left_alone else request.form.get(field.name, "")


def _words_of(change: Change) -> tuple[str, str]:
    return _in_words(change.name, change.old), _in_words(change.name, change.new)


def _in_words(name: str, text: str) -> str:
    try:
        return told(FIELDS[name], config.read(name, text))
    except config.ConfigError:
        return text


def _accent() -> str | None:
    """The colour that somebody tries, or typed."""
    try:
        return config.colour(request.values.get("accent") or request.form.get("brand_accent") or "")
    except ValueError:
        return None
