"""Takes the pictures of docs/screenshots from a running demo: `.venv/bin/python docs/screenshots.py`.

It starts a demo of its own (data in instance/screenshots, a free port), walks through the story as the seller's app
and as its customer, and stores each page at two widths, in light and in dark; on the phone as far as one screen goes.
Nothing of `make demo` is touched.
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
RETURN_URL = "https://app.aeroedit.example/account"
LARGEST = 150_000
DEMO = """
from pathlib import Path
from portal.demo import run
run._HOME = Path({home!r})
run.demo({port}, fresh=True)
"""


class App:
    """The seller's app: it has a key, opens portal sessions, and sells."""

    def __init__(self, base: str, key: str) -> None:
        self.base, self.key = base, key

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
        yield App(f"http://127.0.0.1:{port}", key[0])
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(HOME, ignore_errors=True)


def main() -> None:
    from tests.browser import launch_browser

    PICTURES.mkdir(exist_ok=True)
    with demo() as app, launch_browser() as browser:

        def everywhere(name: str, visit: Callable[[Any], None], *, whole: bool = True) -> None:
            """One page in every width and scheme; on the desk the whole of it, unless it is very long."""
            for width, (across, down, scale) in WIDTHS.items():
                for scheme, suffix in SCHEMES.items():
                    viewport = {"width": across, "height": down}
                    person = browser.new_context(
                        viewport=viewport, device_scale_factor=scale, color_scheme=scheme, locale="en-GB"
                    )
                    page = person.new_page()
                    visit(page)
                    store(page, f"{name}-{width}{suffix}.png", whole=whole and width == "desk")
                    person.close()

        links = app.links(CUSTOMER, SUBSCRIPTION)["subscriptions"][0]
        overview = app.links(WITH_SEVERAL)["general"]["overview"]
        everywhere("overview", lambda page: page.goto(overview))
        everywhere("update-payment-method", lambda page: page.goto(links["update_subscription_payment_method"]))
        checkout = app.checkout()
        everywhere("checkout", lambda page: page.goto(checkout))
        everywhere("reference", lambda page: page.goto(f"{app.base}/docs/subscriptions"), whole=False)
        everywhere("cancel", lambda page: page.goto(links["cancel_subscription"]))
        cancel(browser, links["cancel_subscription"])
        everywhere("confirmation", lambda page: confirmation(page, app, links["cancel_subscription"]))
        everywhere("mail", lambda page: newest_mail(page, app))


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
