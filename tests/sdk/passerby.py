"""A person with a plain browser in front of a running server: the person of tests/person.py, over real HTTP."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from tests.person import Page, Person

CARD = {"number": "4242 4242 4242 4242", "expiry": "12/34", "cvc": "123"}


class Passerby(Person):
    """`person.open(url)`, `person.press("Pay")` as everywhere; cookies are kept."""

    def __init__(self, origin: str) -> None:
        self.client = _Wire(origin)
        self.headers = {"User-Agent": "Mozilla/5.0 (a person)", "Origin": origin, "Sec-Fetch-Site": "same-origin"}
        self.page = None

    def pay(self, checkout_url: str) -> Page:
        """Buys what the checkout page shows, with the sandbox's card that works."""
        page = self.open(checkout_url)
        assert page.status == 200, f"{checkout_url}: {page.status} {page.words}"
        shown = [button["text"] for form in page.forms for button in form.buttons]
        button = next((text for text in shown if text.startswith(("Pay", "Start"))), "")
        assert button, f"no button to pay: {page.words}"
        return self.press(button, **CARD)


class _Wire:
    """Looks like Flask's test client, and sends."""

    def __init__(self, origin: str) -> None:
        self.origin, self.session = origin, requests.Session()

    def get(self, path: str, **more: Any) -> Any:
        return self._send("GET", path, **more)

    def post(self, path: str, **more: Any) -> Any:
        return self._send("POST", path, **more)

    def _send(self, method: str, path: str, headers: dict[str, str], follow_redirects: bool, data: Any = None) -> Any:
        answer = self.session.request(
            method,
            urljoin(self.origin, path),
            data=data,
            headers=headers,
            allow_redirects=follow_redirects,
            timeout=30,
        )
        assert answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return SimpleNamespace(
            status_code=answer.status_code,
            headers=answer.headers,
            get_data=lambda as_text=True: answer.text,
            request=SimpleNamespace(path=urlsplit(answer.url).path),
        )
