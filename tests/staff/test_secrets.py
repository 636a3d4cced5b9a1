"""T23 of the console: what lets somebody in stands in no log, no row, no history, no record, no preview."""

import re
from collections.abc import Callable

from flask import Flask

from portal import worker
from tests.customer import visits
from tests.faults.test_secrets import everything_stored, leaks
from tests.logs import Log
from tests.person import Page, Person
from tests.smtp import MailServer
from tests.staff import console

PATH_OF_ENDPOINT = "token-in-an-endpoints-url"


def shown(page: Page, form: str) -> str:
    (found,) = {*re.findall(form, page.html)}
    return str(found)


def by_links(app: Flask, sub: str) -> set[str]:
    """One shown, followed by a customer and by a colleague, and one sent."""
    sam = console.colleague(app)
    sam.open(f"/console/subscriptions/{sub}/link")
    link = shown(
        visits.post(sam, f"/console/subscriptions/{sub}/link", page="cancel", how="show"), r"token=(pga_[\w.-]+)"
    )
    customer = Person(app)
    for somebody in (customer, sam):
        assert somebody.open(f"/portal/subscriptions/{sub}/cancel?token={link}").status == 200
    visits.post(sam, f"/console/subscriptions/{sub}/link", page="subscription", how="send")
    visits.post(sam, f"/console/customers/{visits.owner(sub)}/link", page="portal", how="send")
    return {link, cookie(customer, "portal"), cookie(sam, "portal"), cookie(sam, "console")}


def by_settings(ada: Person) -> set[str]:
    """An API key, and the secret of an endpoint."""
    ada.open("/console/api-keys/new")
    key = shown(ada.press("Make the key", name="Shop", everything="1"), r"pdl_live_apikey_\w+")
    ada.open("/console/destinations/new")
    url = f"https://8.8.8.8/{PATH_OF_ENDPOINT}"
    form = {"description": "Shop", "destination": url, "everything": "1", "type": "url"}
    made = visits.post(ada, "/console/destinations", id=ada.page.forms[-1].fields["id"], **form)  # type: ignore[union-attr]
    where = made.headers["Location"].partition("?")[0]
    secret = shown(visits.post(ada, f"{where}/secret"), r"pdl_ntfset_[\w+/=]+")
    return {key, secret, cookie(ada, "console")}


def by_sign_in(app: Flask, smtp: MailServer) -> set[str]:
    person = Person(app)
    visits.post(person, "/console/sign-in", email="ada@aeroedit.example")
    worker.run_until_idle()
    (token,) = re.findall(r"/console/sign-in/confirm\?token=(\S+)", smtp.to("ada@aeroedit.example")[-1].text)
    person.open(f"/console/sign-in/confirm?token={token}")
    assert visits.post(person, "/console/sign-in/confirm", token=token).status == 303
    return {token, cookie(person, "console")}


def cookie(person: Person, name: str) -> str:
    found = person.client.get_cookie(name)
    assert found is not None
    return found.value


def test_what_lets_somebody_in_is_written_nowhere(
    app: Flask, smtp: MailServer, log: Log, configure: Callable[..., None]
) -> None:
    configure(smtp_url=f"smtp://127.0.0.1:{smtp.port}")
    sub, ada = visits.subscribed(), console.colleague(app, "admin", "Ada Admin")
    secrets = by_settings(ada) | by_links(app, sub) | by_sign_in(app, smtp)
    worker.run_until_idle()
    secrets |= {token for mail in smtp.received for token in re.findall(r"token=([\w.-]+)", mail.text)}
    assert sum(each.startswith("pga_") for each in secrets) >= 4
    stored, lines = everything_stored(), "\n".join(log.lines)
    assert "link_from_staff" in stored
    assert "portal_link.shown" in stored
    assert f"/console/subscriptions/{sub}/link" in lines
    assert leaks(secrets, stored) == []
    assert leaks(secrets | {PATH_OF_ENDPOINT, "Amelia", "amelia@example.com"}, lines) == []
    pages = [ada.open(each).html for each in _pages(sub)]
    pages += [ada.open(f"/console/mails/{mail.id}{part}").html for mail in visits.mails() for part in ("", "/html")]
    assert all(pages)
    assert leaks(secrets, "\n".join(pages)) == []
    assert "token=" not in "\n".join(pages)
    assert leaks(secrets | {PATH_OF_ENDPOINT}, ada.client.get("/console/audit.csv").text) == []


def _pages(sub: str) -> list[str]:
    customer = f"/console/customers/{visits.owner(sub)}"
    subscription = f"/console/subscriptions/{sub}"
    return [customer, f"{customer}/link", subscription, f"{subscription}/link", "/console/audit", "/console/api-keys"]
