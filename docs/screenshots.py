"""Takes the pictures of docs/screenshots from a running demo: `.venv/bin/python docs/screenshots.py`.

It starts a demo of its own (data in instance/screenshots, a free port), walks through the story as the seller's app,
as its customer and as its staff, and stores each page at two widths, in light and in dark; on the phone as far as one
screen goes. `docs/screenshots.py console` takes those of the console only, `customer` the others. Nothing of
`make demo` is touched.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.browser

PICTURES = ROOT / "docs" / "screenshots"
HOME = ROOT / "instance" / "screenshots"
WIDTHS = {"desk": (1280, 720, 1), "phone": (390, 844, 1.5)}
SCHEMES = {"light": "", "dark": "-dark"}
CUSTOMER, SUBSCRIPTION = "ctm_01htymkpj07kjy7p5q1vzqpk70", "sub_01htymmb3hj0q9fmckjbtrmd73"
ADDRESS, PRICE = "add_01htymkpjq97zpchxzdyyas99v", "pri_01gsz8x8sawmvhz1pv30nge1ke"
WITH_SEVERAL = "ctm_01htzxeypvf6p17j2th6ewsvhr"
HERS = "sub_01htzsbxf3nmpjeqm843h5k9e0"  # what she pays every month
RETURN_URL = "https://app.aeroedit.example/account"
LARGEST = 150_000
DEMO = """
from pathlib import Path
from portal.demo import run
run._HOME = Path({home!r})
run.demo({port}, fresh=True)
"""


class App:
    """The seller's app: it has a key, opens portal sessions, and sells. `people` are the links of its staff."""

    def __init__(self, base: str, key: str, people: dict[str, str]) -> None:
        self.base, self.key, self.people = base, key, people

    def links(self, customer: str, *subscriptions: str) -> dict[str, Any]:
        body = {"subscription_ids": subscriptions, "return_url": RETURN_URL}
        urls: dict[str, Any] = self._post(f"/customers/{customer}/portal-sessions", body)["urls"]
        return urls

    def checkout(self) -> str:
        """The link to pay for what one of the customers has ordered."""
        order = {"items": [{"price_id": PRICE, "quantity": 3}], "customer_id": CUSTOMER, "address_id": ADDRESS}
        return str(self._post("/transactions", order)["checkout"]["url"])

    def _post(self, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        with urlopen(Request(self.base + path, json.dumps(body).encode(), headers)) as answer:
            return json.load(answer)["data"]


@contextmanager
def demo() -> Iterator[App]:
    """A demo that runs while the block does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = [sys.executable, "-c", DEMO.format(home=str(HOME), port=port)]
    process = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    said = ""
    try:
        for line in process.stdout or ():
            said += line
            if "Ctrl-C" in line:
                break
        key = re.search(r"pdl_live_apikey_\w+", said)
        if key is None:
            sys.exit(f"The demo did not start.\n{said}")
        people = dict(re.findall(r"(Ada|Sam), [^\n]*?(http://\S+)", said))
        yield App(f"http://127.0.0.1:{port}", key[0], people)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(HOME, ignore_errors=True)


class Camera:
    """Takes one page in the wanted widths and schemes, each in a browser of its own."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def everywhere(self, name: str, visit: Callable[[Any], None], *, whole: bool = True) -> None:
        """Every width and scheme; on the desk the whole page, unless it is very long."""
        for width in WIDTHS:
            for scheme in SCHEMES:
                self.take(name, visit, width=width, scheme=scheme, whole=whole and width == "desk")

    def take(
        self,
        name: str,
        visit: Callable[[Any], None],
        *,
        width: str = "desk",
        scheme: str = "light",
        whole: bool = True,
        known: Any = None,
    ) -> None:
        """One picture; `known` is what a browser holds that is signed in."""
        across, down, scale = WIDTHS[width]
        person = self.browser.new_context(
            viewport={"width": across, "height": down},
            device_scale_factor=scale,
            color_scheme=scheme,
            locale="en-GB",
            storage_state=known,
        )
        page = person.new_page()
        visit(page)
        store(page, f"{name}-{width}{SCHEMES[scheme]}.png", whole=whole)
        person.close()


def main() -> None:
    from tests.browser import launch_browser

    wanted = sys.argv[1:] or ["customer", "console"]
    PICTURES.mkdir(exist_ok=True)
    with demo() as app, launch_browser() as browser:
        camera = Camera(browser)
        if "customer" in wanted:
            of_customers(app, camera)
        if "console" in wanted:
            of_the_console(app, camera)


def of_customers(app: App, camera: Camera) -> None:
    """What customers see, and developers."""
    links = app.links(CUSTOMER, SUBSCRIPTION)["subscriptions"][0]
    overview = app.links(WITH_SEVERAL)["general"]["overview"]
    camera.everywhere("overview", lambda page: page.goto(overview))
    camera.everywhere("update-payment-method", lambda page: page.goto(links["update_subscription_payment_method"]))
    checkout = app.checkout()
    camera.everywhere("checkout", lambda page: page.goto(checkout))
    camera.everywhere("reference", lambda page: page.goto(f"{app.base}/docs/subscriptions"), whole=False)
    camera.everywhere("cancel", lambda page: page.goto(links["cancel_subscription"]))
    cancel(camera.browser, links["cancel_subscription"])
    camera.everywhere("confirmation", lambda page: confirmation(page, app, links["cancel_subscription"]))
    camera.everywhere("mail", lambda page: newest_mail(page, app))


def of_the_console(app: App, camera: Camera) -> None:
    """The story of docs/guide-support.md: Sam of support, Ada, an admin, and a customer called Benn-something."""
    sam, ada = (signed_in(camera.browser, app.people[name]) for name in ("Sam", "Ada"))
    console, hers = f"{app.base}/console", f"{app.base}/console/subscriptions/{HERS}"
    wait_for_mails(camera.browser, app, "chloe.bennett@")

    def to(path: str) -> Callable[[Any], None]:
        return lambda page: page.goto(f"{console}{path}")

    camera.take("console-sign-in", to("/sign-in"))
    for scheme in SCHEMES:
        camera.take("console-list", to("/subscriptions?q=benn"), scheme=scheme, known=sam)
    camera.take("console-list", to("/subscriptions?q=benn"), width="phone", whole=False, known=sam)

    stop = ("Don’t cancel payments", "The cancellation is withdrawn")
    act(camera.browser, sam, f"{hers}/keep", *stop)  # what she had asked for herself

    day = end_of_next_month()
    camera.take("console-cancel", lambda page: choose(page, hers, day), known=sam)
    for scheme in SCHEMES:
        camera.take("console-review", lambda page: review(page, hers, day), scheme=scheme, known=sam)
    camera.take("console-review", lambda page: review(page, hers, day), width="phone", whole=False, known=sam)
    confirm(camera.browser, sam, hers, day)
    camera.take("console-pending", lambda page: pending(page, console), known=sam)
    for scheme in SCHEMES:
        camera.take("console-subscription", to(f"/subscriptions/{HERS}"), scheme=scheme, whole=False, known=sam)
    camera.take("console-subscription", to(f"/subscriptions/{HERS}"), width="phone", whole=False, known=sam)
    camera.take("console-keep", to(f"/subscriptions/{HERS}/keep"), known=sam)
    act(camera.browser, sam, f"{hers}/keep", *stop)

    camera.take("console-link", to(f"/subscriptions/{HERS}/link"), known=sam)
    act(camera.browser, sam, f"{hers}/link", "Send it to chloe.bennett@example.com", "The link is on its way")
    camera.take("console-customers-view", lambda page: customers_view(page, f"{hers}/link"), whole=False, known=sam)
    wait_for_mails(camera.browser, app, "chloe.bennett@", "Your link")
    for scheme in SCHEMES:
        camera.take("console-history", lambda page: history(page, hers), scheme=scheme, whole=False, known=sam)

    for scheme in SCHEMES:
        camera.take("console-payments", lambda page: figures(page, console), scheme=scheme, known=sam)
    camera.take("console-settings", to("/settings/customers"), whole=False, known=ada)
    camera.take("console-colour", to("/settings/business?accent=%23e8a33d"), known=ada)
    camera.take("console-mails", to("/mail-previews/cancellation_scheduled"), whole=False, known=ada)
    camera.take("console-audit", to("/audit"), whole=False, known=ada)


def signed_in(browser: Any, link: str) -> Any:
    """What the browser of somebody on the staff holds after signing in by their link."""
    page = browser.new_page()
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Subscriptions").wait_for()
    held = page.context.storage_state()
    page.context.close()
    return held


def act(browser: Any, known: Any, address: str, button: str, then: str) -> None:
    """One button of one page of the console, and what it says afterwards."""
    page = browser.new_context(storage_state=known).new_page()
    page.goto(address)
    page.get_by_role("button", name=button).click()
    page.get_by_text(then).first.wait_for()
    page.context.close()


def end_of_next_month() -> str:
    today = datetime.now(UTC)
    months = today.year * 12 + today.month + 1
    return f"{datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC) - timedelta(days=1):%Y-%m-%d}"


def choose(page: Any, hers: str, day: str) -> None:
    page.goto(f"{hers}/cancel")
    page.get_by_role("radio", name="On a date").check()
    page.get_by_label("Last day of access").fill(day)
    page.get_by_label("Reason").select_option("too_expensive")
    page.get_by_label("Comment").fill("Finishes the flights she has planned first.")


def review(page: Any, hers: str, day: str) -> None:
    choose(page, hers, day)
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("Still charged until then").wait_for()


def confirm(browser: Any, known: Any, hers: str, day: str) -> None:
    page = browser.new_context(storage_state=known).new_page()
    review(page, hers, day)
    page.get_by_role("button", name="Cancel payments").click()
    page.get_by_text("The cancellation is recorded").wait_for()
    page.context.close()


def customers_view(page: Any, address: str) -> None:
    """A link that was shown, opened in the browser of who made it."""
    page.goto(address)
    page.get_by_role("button", name="Show me the link to copy").click()
    page.get_by_role("link", name="look at it").click()
    page.get_by_text("Nothing can be changed from here").first.wait_for()


def pending(page: Any, console: str) -> None:
    """The list as filtered, with the filter open."""
    page.goto(f"{console}/subscriptions?state=pending")
    if not page.get_by_role("button", name="Show results").is_visible():
        page.get_by_text("Filter and sort").click()


def history(page: Any, hers: str) -> None:
    page.goto(f"{hers}#history")


def figures(page: Any, console: str) -> None:
    """The payments overview, once a worker has computed it."""
    for _ in range(60):
        page.goto(f"{console}/overview")
        if page.get_by_role("heading", name="Money").count():
            return
        time.sleep(1)
    sys.exit("No figures were computed within a minute.")


def wait_for_mails(browser: Any, app: App, to: str, subject: str = "") -> None:
    """Until the worker has sent what waits, so that pictures do not say that it is queued."""
    page = browser.new_page()
    for _ in range(60):
        page.goto(f"{app.base}/mailbox")
        if page.get_by_role("row").filter(has_text=to).filter(has_text=subject).count():
            page.context.close()
            return
        time.sleep(1)
    sys.exit(f"No mail to {to} was sent within a minute.")


def cancel(browser: Any, link: str) -> None:
    """As the customer does it: follow the link, press the button."""
    page = browser.new_page()
    page.goto(link)
    page.get_by_role("button", name="Cancel at the end of the period").click()
    page.get_by_text("Your cancellation is recorded").wait_for()
    page.context.close()


def confirmation(page: Any, app: App, link: str) -> None:
    """What the customer sees after the button, in a browser of another size."""
    page.goto(link)
    page.goto(f"{app.base}/portal/subscriptions/{SUBSCRIPTION}?done=canceled")


def newest_mail(page: Any, app: App) -> None:
    """The confirmation that the worker has sent, in the demo's mailbox."""
    for _ in range(60):
        page.goto(f"{app.base}/mailbox")
        mail = page.get_by_role("row").filter(has_text="amelia.harper@").filter(has_text="Your cancellation")
        if mail.count():
            mail.first.get_by_role("link").click()
            page.frame_locator("iframe").get_by_role("heading").first.wait_for()
            return
        time.sleep(1)
    sys.exit("No confirmation was sent within a minute.")


def store(page: Any, name: str, *, whole: bool) -> None:
    path = PICTURES / name
    page.screenshot(path=path, full_page=whole, animations="disabled")
    size = path.stat().st_size
    print(f"{name:40} {size / 1000:6.0f} KB", flush=True)
    if size > LARGEST:
        sys.exit(f"{name} is larger than {LARGEST // 1000} KB.")


if __name__ == "__main__":
    main()
