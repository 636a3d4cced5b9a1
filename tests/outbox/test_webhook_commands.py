"""`portal webhook listen` and `portal webhook send`: what somebody needs who builds an endpoint."""

import threading

import pytest
from click.testing import CliRunner
from paddle_billing.Notifications.Entities.Entity import Entity
from paddle_billing.Notifications.Entities.UndefinedEntity import UndefinedEntity

from portal import config
from portal.cli import main
from portal.domain import event_types
from portal.outbox import errands, exchange, samples, webhooks
from portal.outbox.listening import Listener
from tests.conftest import NOW
from tests.outbox import shop
from tests.ports import free_port
from tests.receiver import Behaviour, Receiver

SECRET = "pdl_ntfset_01htymmb3hj0q9fmckjbtrmd73_0123456789abcdefghijklmnopqrstuv"
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def _with(database, configure, monkeypatch):
    configure(webhook_private=True)
    monkeypatch.setattr(webhooks, "_deliveries", webhooks.Deliveries())


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


def run(*words):
    done = CliRunner().invoke(main, ["webhook", *words])
    return done.exit_code, done.output


def test_a_sample_goes_to_any_url_signed_with_what_was_given(receiver):
    code, said = run("send", "subscription.canceled", "--to", receiver.url, "--secret", SECRET)
    assert (code, said.startswith("200 after ")) == (0, True), said
    (delivery,) = receiver.deliveries
    assert delivery.payload["event_type"] == "subscription.canceled"
    assert delivery.headers["paddle-signature"].startswith("ts=")
    assert shop.notes() == [], "it is recorded nowhere"


def test_a_sample_goes_to_a_destination_and_is_the_newest_of_its_type(receiver):
    setting = shop.destination(receiver.url)
    shop.happen(type="subscription.paused")
    code, said = run("send", "subscription.paused", "--setting", setting)
    assert code == 0, said
    newest = receiver.deliveries[0].payload
    assert newest["data"]["items"][0]["product"]["name"] == "AeroEdit Pro"
    from portal.outbox import signatures

    assert signatures.is_genuine(receiver.deliveries[0].headers, receiver.deliveries[0].body, shop.secret(setting))


def test_what_did_not_work_is_said(receiver):
    receiver.behaviour = Behaviour.FAIL
    code, said = run("send", "customer.created", "--to", receiver.url, "--secret", SECRET)
    assert (code, "500 after" in said, "only 200 counts" in said) == (1, True, True)
    receiver.stop()
    code, said = run("send", "customer.created", "--to", receiver.url, "--secret", SECRET)
    assert (code, "the connection was refused" in said) == (1, True)
    for words in (["--to", "http://127.0.0.1/"], [], ["--setting", "ntfset_x", "--to", receiver.url, "--secret", "x"]):
        code, said = run("send", "customer.created", *words)
        assert (code, "Nothing was sent" in said) == (1, True)
    assert run("send", "customer.exploded", "--to", receiver.url, "--secret", SECRET)[0] == 2
    assert "There is no notification setting" in run("send", "customer.created", "--setting", "ntfset_x")[1]
    mail = shop.destination("a@example.com", type="email")
    assert "email address" in run("send", "customer.created", "--setting", mail)[1]


def test_without_the_setting_nothing_is_sent_into_the_own_network(receiver, configure):
    configure(webhook_private=False)
    code, said = run("send", "customer.created", "--to", receiver.url, "--secret", SECRET)
    assert (code, "Nothing was sent" in said, receiver.connections) == (1, True, 0)


@pytest.mark.parametrize("name", event_types.NAMES)
def test_a_made_up_sample_is_one_that_the_sdk_knows(name):
    data = samples.made_up(name)
    entity = Entity.from_dict_for_event_type(data, name)
    assert not isinstance(entity, UndefinedEntity), data


def test_the_listener_says_what_came_and_checks_both_signatures():
    said, port = [], free_port()
    listener = Listener(port, SECRET, fail_first=1, say=said.append)
    listening = threading.Thread(target=listener.listen, args=(4,), daemon=True)
    listening.start()
    answers = []
    for secret in (SECRET, SECRET, "another"):
        endpoint = exchange.Endpoint(f"http://127.0.0.1:{port}/")
        parcel = errands.Parcel("ntf_x", "evt_x", "customer.created", NOW, {"name": "Ä"}, 0)
        answers.append(errands.deliver(parcel, endpoint, (secret,)).code)
        endpoint.close()
    endpoint = exchange.Endpoint(f"http://127.0.0.1:{port}/")
    answers.append(endpoint.post(b"what?", {}).status)
    listening.join(10)
    assert not listening.is_alive()
    assert answers == [500, 200, 401, 401]
    summaries = [line for line in said if "signatures" in line]
    assert ["good" in line for line in summaries] == [True, True, False, False]
    assert "customer.created  evt_x" in summaries[0]
    assert "5 bytes that are no event" in summaries[3]


def test_the_commands_explain_themselves():
    assert "127.0.0.1" in run("listen", "--help")[1]
    assert run("listen", "--port", "0", "--secret", "x")[0] == 2
    assert config.current().webhook_private
