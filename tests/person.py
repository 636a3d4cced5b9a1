"""A person with a plain browser: opens pages, follows links, presses buttons; no JavaScript, cookies kept."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from flask import Flask


class Page:
    """What the person sees: status, words, forms."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.status: int = response.status_code
        self.headers = response.headers
        self.html: str = response.get_data(as_text=True)
        reader = _Reader()
        reader.feed(self.html)
        self.forms: list[Form] = reader.forms
        self.links: dict[str, str] = reader.links
        self.words = " ".join(" ".join(reader.words).split())

    @property
    def path(self) -> str:
        return str(self.response.request.path)

    def __contains__(self, words: str) -> bool:
        return words in self.words


class Form:
    def __init__(self, method: str, action: str) -> None:
        self.method, self.action = method.lower(), action
        self.fields: dict[str, Any] = {}
        self.buttons: list[dict[str, str]] = []


class Person:
    """Uses the portal through Flask's test client, which keeps cookies like a browser does."""

    def __init__(self, app: Flask, agent: str = "Mozilla/5.0 (a person)") -> None:
        self.client = app.test_client()
        self.headers = {"User-Agent": agent}
        self.page: Page | None = None

    def open(self, url: str, **headers: str) -> Page:
        """Opens an address, or a link out of a mail, and follows redirects."""
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        self.page = Page(self.client.get(path, headers=self.headers | headers, follow_redirects=True))
        return self.page

    def press(self, button: str, **fields: str) -> Page:
        """Presses the button with this text, with these fields filled in, and follows redirects."""
        assert self.page is not None, "no page is open"
        form, pressed = self._button(button)
        sent = form.fields | fields | ({pressed["name"]: pressed.get("value", "")} if pressed.get("name") else {})
        action = form.action or self.page.path
        self.page = Page(self.client.post(action, data=sent, headers=self.headers, follow_redirects=True))
        return self.page

    def submit(self, path: str, token: str | None = None, **fields: str) -> Page:
        """Sends a form that may never have been shown, with a valid CSRF token unless another is given."""
        fields["csrf_token"] = token if token is not None else self.csrf_token()
        self.page = Page(self.client.post(path, data=fields, headers=self.headers, follow_redirects=True))
        return self.page

    def csrf_token(self) -> str:
        shown = Page(self.client.get("/portal/sign-in", headers=self.headers))
        return shown.forms[-1].fields["csrf_token"]

    def _button(self, text: str) -> tuple[Form, dict[str, str]]:
        assert self.page is not None
        for form in self.page.forms:
            for button in form.buttons:
                if button["text"] == text:
                    return form, button
        shown = [button["text"] for form in self.page.forms for button in form.buttons]
        raise AssertionError(f"no button {text!r} on {self.page.path} ({self.page.status}); there are {shown}")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.words: list[str] = []
        self._form: Form | None = None
        self._button: dict[str, str] | None = None
        self._link: str | None = None
        self._area: str | None = None
        self._select: str | None = None
        self._silent = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag in ("style", "script", "head"):
            self._silent += 1
        if tag == "form":
            self._form = Form(given.get("method", "get"), given.get("action", ""))
            self.forms.append(self._form)
        elif tag == "textarea" and self._form is not None and "name" in given:
            self._area, self._form.fields[given["name"]] = given["name"], ""
        elif tag == "input" and self._form is not None and "name" in given and given.get("type") != "file":
            if given.get("type") == "checkbox" and "checked" in given and given["name"] in self._form.fields:
                ticked = self._form.fields[given["name"]]
                self._form.fields[given["name"]] = [*([ticked] if isinstance(ticked, str) else ticked), given["value"]]
            elif given.get("type") not in ("radio", "checkbox") or "checked" in given:
                self._form.fields[given["name"]] = given.get("value", "")
        elif tag == "select" and self._form is not None and "name" in given:
            self._select = given["name"]
        elif tag == "option" and self._form is not None and self._select is not None:
            if "selected" in given or self._select not in self._form.fields:
                self._form.fields[self._select] = given.get("value", "")
        elif tag == "button" and self._form is not None:
            self._button = {**given, "text": ""}
            self._form.buttons.append(self._button)
        elif tag == "a":
            self._link = given.get("href", "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script", "head"):
            self._silent -= 1
        if tag == "form":
            self._form = None
        elif tag == "textarea" and self._form is not None and self._area is not None:
            self._form.fields[self._area] = self._form.fields[self._area].removeprefix("\n")
            self._area = None
        elif tag == "select":
            self._select = None
        elif tag == "button" and self._button is not None:
            self._button["text"] = " ".join(self._button["text"].split())
            self._button = None
        elif tag == "a":
            self._link = None

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._area is not None and self._form is not None:
            self._form.fields[self._area] += data
        self.words.append(data)
        if self._button is not None:
            self._button["text"] += data
        if self._link is not None and data.strip():
            self.links[" ".join(data.split())] = self._link
