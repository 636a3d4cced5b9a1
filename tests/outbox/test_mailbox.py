"""The demo's mailbox: mails arrive over SMTP and can be read, and nothing else can."""

import re
import smtplib

import pytest

from portal import create_app
from portal.demo import mailbox
from portal.outbox import emails
from tests.browser import find_browser, launch_browser
from tests.outbox.letters import letter


@pytest.fixture
def folder(tmp_path, configure):
    configure(demo_mailbox=str(tmp_path / "mails"))
    return tmp_path / "mails"


@pytest.fixture
def reader(folder, database):
    return create_app().test_client()


@pytest.fixture
def post(folder):
    """Sends mails to the demo's server."""
    controller = mailbox.start_server(folder)

    def send(*mails):
        with smtplib.SMTP("127.0.0.1", controller.port) as connection:
            for each in mails:
                connection.send_message(emails.compose(each))

    yield send
    controller.stop()


def names(folder):
    return sorted(path.stem for path in folder.glob("*.eml"))


def test_an_empty_mailbox_says_so(reader):
    answer = reader.get("/mailbox")
    assert answer.status_code == 200
    assert "No mail yet" in answer.text


def test_mails_are_listed_newest_first(reader, post):
    post(letter("paused"), letter("resumed", to="zoe.b@example.com"))
    page = reader.get("/mailbox").text
    assert page.index("AeroEdit Pro is active again") < page.index("AeroEdit Pro is paused")
    assert "zoe.b@example.com" in page


def test_a_mail_is_shown_with_its_headers_its_html_in_a_frame_and_its_text(reader, post, folder):
    post(letter("cancellation_scheduled"))
    (name,) = names(folder)
    page = reader.get(f"/mailbox/{name}")
    assert "Your cancellation: AeroEdit Pro ends on 21 January 2027" in page.text
    assert "auto-generated" in page.text
    assert "/keep?token=pga_" in page.text
    assert f'src="/mailbox/{name}/html"' in page.text
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]


def test_the_html_of_a_mail_may_style_itself_but_run_nothing(reader, post, folder):
    post(letter("renewed", name="<script>alert(1)</script>"))
    (name,) = names(folder)
    answer = reader.get(f"/mailbox/{name}/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "style-src 'unsafe-inline'" in policy
    assert "sandbox " in policy
    assert "script" not in policy
    assert "<script" not in answer.text
    assert '<base target="_top">' in answer.text
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "name", ["../portal.db", "..%2f..%2fetc%2fpasswd", "eml_", "x", "eml_01jcgfqad406rsfjcgq44g9djq", "%00", "."]
)
def test_no_other_file_can_be_read(reader, folder, name):
    folder.mkdir()
    (folder / "x.eml").write_text("Subject: not for the mailbox\n\nhello")
    for path in (f"/mailbox/{name}", f"/mailbox/{name}/html"):
        assert reader.get(path).status_code in (308, 404)


def test_there_is_no_mailbox_without_a_demo(database):
    assert create_app().test_client().get("/mailbox").status_code == 404


@pytest.mark.browser
@pytest.mark.skipif(find_browser() is None, reason="no Chromium")
def test_a_link_in_a_mail_opens_in_the_whole_window(reader, post, folder):
    post(letter("subscription_ended"))
    (name,) = names(folder)
    asked = []

    def serve(route):
        path = re.sub(r"^http://localhost", "", route.request.url)
        asked.append(path)
        answer = reader.get(path) if path.startswith(("/mailbox", "/assets")) else None
        if answer is None:
            route.fulfill(status=200, content_type="text/html", body="<h1>the portal</h1>")
        else:
            route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.data)

    with launch_browser() as browser:
        page = browser.new_page()
        complaints = []
        page.on("console", lambda said: complaints.append(said.text))
        page.route("**/*", serve)
        page.goto(f"http://localhost/mailbox/{name}")
        page.frame_locator("iframe").get_by_role("link", name="Sign in to see your invoices").click()
        page.wait_for_url("http://localhost/portal")
        assert page.get_by_role("heading").inner_text() == "the portal"
    assert f"/mailbox/{name}/html" in asked
    assert complaints == []
