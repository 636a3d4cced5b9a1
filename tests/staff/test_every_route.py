"""Who may open what: every route of the console is in one of three lists, and is held to it.

A route that is added stands in none of them, and fails here until somebody has said who may use it.
"""

import re
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule

from tests.customer import visits
from tests.person import Page, Person
from tests.staff import console

NOBODY = {
    *("sign_in", "send_sign_in_link", "sign_in_confirm", "redeem_sign_in", "sign_out"),
    *("ask_for_passkey", "sign_in_by_passkey"),
    "home_with_slash",
}
"""What is there for who is not signed in."""
EVERYBODY = {
    *("home", "subscriptions", "subscription", "customer", "payments", "transaction", "invoice"),
    *("overview_page", "changes", "mail", "mail_html", "mail_again"),
    *("cancel", "cancel_submit", "keep", "keep_submit"),
    *("subscription_link", "subscription_link_submit", "customer_link", "customer_link_submit", "take_link_back"),
    *("account", "end_session", "end_other_sessions", "ask_for_new_passkey", "add_passkey", "remove_passkey"),
}
ADMINS = {
    *("audit_page", "audit_export", "subscriptions_export"),
    *("change_email", "change_email_submit", "sign_customer_out", "sign_customer_out_submit", "paid", "paid_submit"),
    *("people", "adding_person", "add_person", "person", "change_person", "end_persons_sessions"),
    *("removing_person", "remove_person"),
    *("settings", "settings_section", "settings_save", "settings_accent"),
    *("api_keys", "new_api_key", "create_api_key", "api_key", "revoke_api_key", "revoke_api_key_now", "api_requests"),
    *("destinations", "new_destination", "create_destination", "destination", "edit_destination"),
    *("update_destination", "switch_on_destination", "ask_destination", "switch_off_destination"),
    *("delete_destination", "show_destination_secret", "rotate_destination_secret", "rotate_destination_secret_now"),
    *("try_destination", "deliveries", "replay_failed_deliveries", "delivery", "replay_delivery", "event"),
    *("mail_previews", "mail_sample", "mail_sample_html", "send_mail_sample"),
}
SCRIPTED = {"/console/sign-in", "/console/account"}
"""The only pages that load a script, which is ours."""


def rules(app: Flask) -> list[Rule]:
    return sorted(
        (rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/console")), key=lambda rule: rule.endpoint
    )


def name(rule: Rule) -> str:
    return rule.endpoint.removeprefix("console.")


def methods(rule: Rule) -> set[str]:
    return (rule.methods or set()) - {"OPTIONS"}


def path(rule: Rule, id: str) -> str:
    known = {"section": "business", "kind": "sign_in", "act": "off"}
    return re.sub(r"<(?:any\([^>]*\):)?(\w+)>", lambda found: known.get(found[1], id), rule.rule)


@pytest.fixture
def sub(app: Flask) -> str:
    return visits.subscribed()


def opened(person: Person, where: str, method: str, **headers: str) -> Page:
    form = {"csrf_token": person.csrf_token(), "role": "admin"} if method == "POST" else None
    return Page(person.client.open(where, method=method, data=form, headers=person.headers | headers))


def test_every_route_is_in_one_list(app: Flask) -> None:
    named = [name(rule) for rule in rules(app)]
    assert len(named) == len({*named}), "two rules with one endpoint"
    assert {*named} == NOBODY | EVERYBODY | ADMINS
    assert not NOBODY & EVERYBODY
    assert not ADMINS & (NOBODY | EVERYBODY)
    for rule in rules(app):
        assert rule.endpoint.startswith("console."), "beside the blueprint no form is checked"
        assert methods(rule) in ({"GET", "HEAD"}, {"POST"}), rule.rule


@pytest.mark.parametrize("who", ["nobody", "a customer", "made up", "removed"])
def test_who_is_signed_out_is_led_to_sign_in_and_changes_nothing(app: Flask, sub: str, who: str) -> None:
    person = Person(app)
    if who == "a customer":
        visits.come_in(person, visits.owner(sub))
    if who == "made up":
        person.client.set_cookie("console", visits.cookie_of(visits.come_in(Person(app), visits.owner(sub))) or "")
    if who == "removed":
        person = console.colleague(app, "admin", "Rae Removed")
        console.take_off("rae@aeroedit.example", left="Ada Admin")
    before = visits.records()
    for rule in rules(app):
        if name(rule) not in NOBODY:
            for method in methods(rule):
                page = opened(person, path(rule, sub), method)
                assert page.status == 303, (method, rule.rule)
                assert page.headers["Location"].startswith("/console/sign-in?next=/console"), (method, rule.rule)
    assert visits.records() == before


def test_support_is_refused_what_is_for_admins_before_anything_is_looked_up(app: Flask, sub: str) -> None:
    console.member("admin", "Ada Admin")
    sam = console.colleague(app)
    before = visits.records()
    for rule in rules(app):
        if name(rule) in ADMINS:
            for method in methods(rule):
                page = opened(sam, path(rule, sub), method)
                assert page.status == 403, (method, rule.rule)
                assert method == "HEAD" or "Only an admin may do this" in page, (method, rule.rule)
    assert visits.records() == before


@pytest.mark.parametrize("role", ["support", "admin"])
def test_the_others_are_let_in(app: Flask, sub: str, role: str) -> None:
    """With an id that is nobody's, so that nothing is done: 404, or the page."""
    somebody = console.colleague(app, role)
    for rule in rules(app):
        if name(rule) in EVERYBODY or (role == "admin" and name(rule) in ADMINS):
            for method in methods(rule):
                page = opened(somebody, path(rule, f"sub_{visits.UNKNOWN}"), method)
                assert page.status in (200, 303, 400, 403, 404, 409, 422), (method, rule.rule)
                assert "Only an admin" not in page, (method, rule.rule)
                assert not page.headers.get("Location", "").startswith("/console/sign-in"), (method, rule.rule)


def test_no_form_acts_without_our_token_or_from_another_site(app: Flask, sub: str) -> None:
    ada = console.colleague(app, "admin", "Ada Admin")
    before = visits.records()
    ours, theirs = ada.csrf_token(), Person(app).csrf_token()
    sent: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"csrf_token": ""}, {}),
        ({"csrf_token": theirs}, {}),
        ({"csrf_token": ours}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf_token": ours}, {"Sec-Fetch-Site": "same-site"}),
        ({"csrf_token": ours}, {"Origin": "https://evil.example"}),
        ({"csrf_token": ours}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}),
    ]
    for rule in rules(app):
        for form, headers in sent if "POST" in methods(rule) else ():
            answer = ada.client.post(path(rule, sub), data=form, headers=ada.headers | headers)
            assert answer.status_code == 403, (rule.rule, form, headers)
            assert "Nothing was changed" in answer.text
    assert visits.records() == before
    assert ada.open("/console/account").status == 200


def test_every_page_is_kept_nowhere_and_loads_nothing_from_elsewhere(app: Flask, sub: str) -> None:
    """Of answers for each role, and of those that refuse."""
    for somebody in (Person(app), console.colleague(app), console.colleague(app, "admin", "Ada Admin")):
        for rule in rules(app):
            for method in methods(rule):
                for id in (sub, visits.owner(sub)):
                    where = path(rule, id)
                    _is_kept_in(somebody.client.open(where, method=method), where)


def _is_kept_in(answer: Any, where: str) -> None:
    policy = answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store", where
    assert answer.headers["Referrer-Policy"] == "no-referrer", where
    assert answer.headers["X-Content-Type-Options"] == "nosniff", where
    assert policy.startswith("default-src 'none'"), where
    assert not re.search(r"https?:|\*|data:|unsafe-eval", policy), where
    assert ("script-src" in policy) == (where in SCRIPTED and answer.status_code == 200), where
    framed = where.endswith("/html") and answer.status_code == 200
    assert answer.headers["X-Frame-Options"] == ("SAMEORIGIN" if framed else "DENY"), where
    assert framed or where.endswith(".svg") or "frame-ancestors 'none'" in policy, where
    if answer.mimetype == "text/html" and not framed:
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?! src=\"/assets/)", answer.text), where
        assert not re.search(r"(?:src|action)=\"(?:https?:)?//", answer.text), where


def test_the_cookie_of_the_console_is_bound_to_the_host(app: Flask, sub: str, configure: Any) -> None:
    configure(base_url="https://account.example.com")
    from portal import access, create_app

    live = create_app()
    who = console.member()
    person = Person(live)
    answer = live.test_client().get("/console/sign-in", base_url="https://account.example.com")
    cookies = answer.headers.getlist("Set-Cookie")
    assert cookies
    assert all(each.startswith("__Host-") and "; Secure" in each and "HttpOnly" in each for each in cookies)
    assert access.staff_cookie_name() == "__Host-console"
    console.sign_in(person, who)
    assert "max-age" in answer.headers["Strict-Transport-Security"]
