"""What apps asked and how it was answered, found by the request id they were given."""

from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from flask import Flask

from portal import cli, request_log
from portal.db import connection
from tests import people
from tests.api.calls import App, refusal
from tests.customer import visits


@pytest.fixture
def seller(app: Flask) -> App:
    request_log._waiting.clear()
    return App(app)


def line(answer: Any) -> request_log.ApiRequest:
    request_log.write()
    found = request_log.find(answer.headers["Request-Id"])
    assert found is not None
    return found


def test_a_request_is_found_by_the_id_in_its_answer(seller: App) -> None:
    sub = visits.subscribed(people.customer("Amelia Harper"))
    found = line(seller.get(f"/subscriptions/{sub}", headers={"User-Agent": "PaddleSDK/python 1.16.1"}))
    assert (found.method, found.path, found.status) == ("GET", f"/subscriptions/{sub}", 200)
    assert (found.key_name, found.agent, found.error_code) == ("test", "PaddleSDK/python 1.16.1", None)
    assert found.key_id == people.key_id(seller.headers)


def test_a_refusal_is_found_with_its_reason(seller: App) -> None:
    answer = seller.get(f"/subscriptions/sub_{visits.UNKNOWN}")
    assert refusal(answer) == (404, "not_found")
    assert (line(answer).error_code, line(answer).status) == ("not_found", 404)
    assert visits.UNKNOWN in (line(answer).error_detail or "")


def test_a_repeated_request_is_marked(seller: App) -> None:
    for replayed in (False, True):
        answer = seller.post("/customers", {"email": "jo@example.com"}, headers={"Idempotency-Key": "k"})
        assert line(answer).replayed is replayed


def test_neither_key_nor_query_nor_body_is_kept(seller: App) -> None:
    seller.post("/customers?x=pga_secret", {"email": "very.private@example.com"})
    request_log.write()
    kept = str(connection().exec_driver_sql("SELECT * FROM api_requests").all())
    for secret in (seller.headers["Authorization"].split("_")[-1], "pga_secret", "very.private"):
        assert secret not in kept


def test_pages_of_customers_are_not_logged_here(app: Flask, seller: App) -> None:
    app.test_client().get("/portal/sign-in")
    assert request_log.write() == 0


def test_staff_search_from_the_shell(seller: App) -> None:
    good, bad = seller.get("/subscriptions"), seller.get("/subscriptions/sub_x")
    request_log.write()
    shell = CliRunner()
    one = shell.invoke(cli.main, ["requests", bad.headers["Request-Id"]])
    assert one.exit_code == 0
    assert "not_found" in one.output
    listed = shell.invoke(cli.main, ["requests", "--errors"])
    assert bad.headers["Request-Id"] in listed.output
    assert good.headers["Request-Id"] not in listed.output
    unknown = shell.invoke(cli.main, ["requests", "nothing"])
    assert unknown.exit_code == 1
    assert "30 days" in unknown.output


def test_after_thirty_days_it_is_forgotten(seller: App, the_clock: Any) -> None:
    answer = seller.get("/subscriptions")
    request_log.write()
    the_clock.advance(days=30, seconds=1)
    request_log.forget_old()
    assert request_log.find(answer.headers["Request-Id"]) is None


def test_lines_wait_while_the_database_is_away(seller: App, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = seller.get("/subscriptions")
    with monkeypatch.context() as broken:
        broken.setattr(request_log, "connection", lambda: (_ for _ in ()).throw(ConnectionError))
        with pytest.raises(ConnectionError):
            request_log.write()
    assert line(answer).status == 200


def test_an_app_that_asks_too_often_gets_one_line_a_second(
    app: Flask, seller: App, configure: Any, the_clock: Any
) -> None:
    configure(api_requests_per_minute=20)
    request_log.write()
    other = App(app, "product.read")
    while seller.get("/products").status_code != 429:
        pass
    for _ in range(50):
        assert seller.get("/products").status_code == 429
    for _ in range(25):
        other.get("/customers")
    the_clock.advance(seconds=1.5)
    seller.get("/products")
    request_log.write()
    lines = request_log.latest(1000)
    assert len([each for each in lines if each.status == 403]) == 20, "what a key may not do counts too"
    refused = [each.key_id for each in lines if each.status == 429]
    assert sorted(map(refused.count, set(refused))) == [1, 2]


def test_what_apps_send_cannot_write_to_the_terminal(seller: App) -> None:
    strange = "\x1b[2J\x1b]0;x\x07\nforged \x9b31m\u202e"
    answer = seller.client.get(
        f"/customers/{quote(strange)}", headers=seller.headers | {"User-Agent": "a\x1b[31mb\x9bc"}
    )
    request_log.write()
    shell = CliRunner()
    for words in (["requests"], ["requests", answer.headers["Request-Id"]]):
        shown = shell.invoke(cli.main, words, color=True).output
        assert "forged" in shown
        assert all(each.isprintable() for each in shown.split("\n")), repr(shown)
        assert not [line for line in shown.split("\n") if line.startswith("forged")]
