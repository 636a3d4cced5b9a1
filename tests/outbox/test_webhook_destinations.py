"""T20: webhooks never go into the seller's own network: refused when saved, and again each time something is sent."""

import socket
import ssl
import subprocess

import pytest

from portal import destinations
from portal.outbox import exchange, webhooks
from tests import people
from tests.api.calls import App, refusal
from tests.outbox import shop
from tests.outbox.hostile_destinations import FINE, URLS
from tests.receiver import Behaviour, Receiver

PUBLIC = "93.184.216.34"
once = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def dns(monkeypatch):
    """A resolver of the test's own: a list of addresses for each name; counts what was asked."""

    class Names(dict):
        asked = 0

    names = Names()
    real = socket.getaddrinfo

    def look_up(host, port, *args, **more):
        if host.replace(".", "").replace(":", "").isalnum() and not any(c.isalpha() for c in host):
            return real(host, port, *args, **more)
        names.asked += 1
        if host not in names:
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]

    monkeypatch.setattr(destinations.socket, "getaddrinfo", look_up)
    return names


@pytest.fixture(autouse=True)
def _with(configure, monkeypatch):
    monkeypatch.setattr(webhooks, "_deliveries", webhooks.Deliveries())


def test_there_are_more_than_a_hundred_of_them():
    assert len(set(URLS)) > 140


@once
def test_every_hostile_url_is_refused_when_it_is_saved(app, dns):
    dns.update({"localhost": ["127.0.0.1"], "LOCALHOST": ["127.0.0.1"], "example.com": [PUBLIC]})
    seller = App(app)
    body = {"description": "x", "type": "url", "subscribed_events": ["customer.created"]}
    fine = seller.post("/notification-settings", body | {"destination": "https://example.com/hooks"}).json["data"]["id"]
    let_in = []
    for url in URLS:
        if "localhost" in url.lower():
            dns.setdefault(url.partition("//")[2].partition("/")[0], ["127.0.0.1"])
        made = seller.post("/notification-settings", body | {"destination": url})
        changed = seller.patch(f"/notification-settings/{fine}", {"destination": url})
        for answer in (made, changed):
            if answer.status_code < 300:
                let_in.append(url)
            else:
                assert refusal(answer) == (400, "url_notification_setting_incorrect"), (url, answer.json)
    assert let_in == []
    assert len(seller.get("/notification-settings").json["data"]) == 1
    assert seller.get(f"/notification-settings/{fine}").json["data"]["destination"] == "https://example.com/hooks"


@pytest.mark.parametrize("url", FINE)
def test_public_ones_are_fine(dns, url):
    dns["example.com"] = dns["EXAMPLE.com"] = [PUBLIC]
    destinations.check(url)


def test_a_name_with_one_private_address_among_public_ones_is_refused(dns):
    dns["rebind.example.com"] = [PUBLIC, "10.0.0.7"]
    with pytest.raises(destinations.Unacceptable):
        destinations.check("https://rebind.example.com/")


def test_a_name_that_does_not_exist_yet_may_be_saved(dns):
    destinations.check("https://soon.example.com/")
    assert dns.asked == 1


def test_a_resolver_that_hangs_keeps_nobody_waiting(monkeypatch):
    import threading
    import time

    release = threading.Event()
    monkeypatch.setattr(destinations.socket, "getaddrinfo", lambda *_a, **_m: release.wait(20) and [])
    began = time.monotonic()
    destinations.check("https://slow.example.com/", within=0.1)
    with pytest.raises(destinations.Unknown):
        destinations.resolve("slow.example.com", 443, within=0.1)
    assert time.monotonic() - began < 2
    release.set()


@once
def test_a_name_that_turns_private_after_it_was_saved_is_refused_when_sending(database, dns, monkeypatch):
    reached = []
    monkeypatch.setattr(exchange.socket, "create_connection", lambda *a, **m: reached.append(a))
    dns["shop.example.com"] = [PUBLIC]
    shop.destination("https://shop.example.com/hooks")
    for address in ("127.0.0.1", "169.254.169.254", "10.1.2.3", "100.64.0.1"):
        dns["shop.example.com"] = [address]
        with pytest.raises(exchange.NoAnswer, match="not public"):
            exchange.Endpoint("https://shop.example.com/hooks").post(b"{}", {})
    shop.happen()
    shop.work()
    (log,) = shop.logs()
    assert (log.response_code, log.error) == (0, "nothing was sent: its host has an address that is not public")
    assert shop.note().status == "needs_retry"
    assert reached == []


@once
def test_a_row_that_was_saved_otherwise_is_refused_when_sending(database, dns):
    with Receiver() as inside:
        for url in (inside.url, inside.url.replace("http:", "https:"), f"https://localhost:{inside.port}/"):
            dns["localhost"] = ["127.0.0.1"]
            shop.destination(url)
        shop.happen()
        shop.work()
        assert (inside.deliveries, inside.connections) == ([], 0)
    assert [each.error.startswith("nothing was sent") for each in shop.logs()] == [True] * 3


@once
def test_a_redirect_into_the_network_is_not_followed(database, configure):
    configure(webhook_private=True)
    with Receiver() as outside, Receiver() as inside:
        outside.behaviour, outside.elsewhere = Behaviour.REDIRECT, inside.url
        shop.destination(outside.url)
        shop.happen()
        shop.work()
        assert (len(outside.deliveries), inside.connections) == (1, 0)
    assert shop.note().status == "needs_retry"


@once
def test_no_proxy_of_the_environment_is_asked(database, configure, monkeypatch):
    configure(webhook_private=True)
    with Receiver() as proxy, Receiver() as shop_itself:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        shop.destination(shop_itself.url)
        shop.happen()
        shop.work()
        assert (proxy.connections, len(shop_itself.deliveries)) == (0, 1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for shop.example.com that signs itself."""
    folder = tmp_path_factory.mktemp("certificate")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=shop.example.com"
    names = ["-addext", "subjectAltName=DNS:shop.example.com"]
    subprocess.run(
        [*command.split(), *names, "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=30
    )
    return key, cert


def secured(receiver, certificate):
    """The receiver behind TLS."""
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    receiver._server.socket = context.wrap_socket(receiver._server.socket, server_side=True)


def test_tls_is_proven_for_the_name_while_the_connection_goes_to_the_address_that_was_looked_at(
    configure, dns, certificate, monkeypatch
):
    configure(webhook_private=True)
    dns["shop.example.com"] = dns["other.example.com"] = ["127.0.0.1"]
    trusting = ssl.create_default_context(cafile=str(certificate[1]))
    receiver = Receiver()
    secured(receiver, certificate)
    with receiver:

        def post(host):
            return exchange.Endpoint(f"https://{host}:{receiver.port}/hooks").post(b"{}", {"X": "y"})

        with pytest.raises(exchange.NoAnswer, match="certificate"):
            post("shop.example.com")
        monkeypatch.setattr(exchange, "tls", lambda: trusting)
        assert post("shop.example.com").status == 200
        with pytest.raises(exchange.NoAnswer, match="certificate"):
            post("other.example.com")
        assert receiver.deliveries[0].headers["host"] == f"shop.example.com:{receiver.port}"
        assert len(receiver.deliveries) == 1


def test_the_name_is_asked_once_and_the_address_that_was_looked_at_is_used(configure, dns):
    """Were it asked again to connect, the answer could be another one by then."""
    configure(webhook_private=True)
    dns["shop.example.com"] = ["127.0.0.1"]
    with Receiver() as receiver:
        endpoint = exchange.Endpoint(f"http://shop.example.com:{receiver.port}/")
        for _ in range(3):
            assert endpoint.post(b"{}", {}).status == 200
        endpoint.close()
    assert dns.asked == 1


@once
def test_the_setting_allows_them_for_development(app, configure, dns):
    configure(webhook_private=True)
    seller = App(app, key=people.key(everything=True))
    body = {"description": "x", "type": "url", "subscribed_events": ["customer.created"]}
    for url in ("http://127.0.0.1:9000/", "https://10.0.0.1/", "http://[::1]:9000/x"):
        assert seller.post("/notification-settings", body | {"destination": url}).status_code == 201
    for url in ("http://me:secret@127.0.0.1/", "ftp://127.0.0.1/", "http://127.1/"):
        answer = seller.post("/notification-settings", body | {"destination": url})
        assert refusal(answer) == (400, "url_notification_setting_incorrect")
