"""A customer's browser against a running server."""

from urllib.parse import urlsplit

import requests

from portal import links
from tests import people
from tests.person import _Reader


class Browser:
    """Follows links and sends forms over real connections; cookies kept."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.http = requests.Session()
        self.fields: dict[str, str] = {}

    def get(self, path: str) -> requests.Response:
        return self._seen(self.http.get(self.origin + path, timeout=30))

    def follow_link(self, page: str, subscription: str) -> requests.Response:
        """Opens a link out of a mail, on the server under test."""
        link = links.page_url(page, customer_id=people.row(subscription).customer_id, subscription_id=subscription)
        parts = urlsplit(link)
        return self.get(f"{parts.path}?{parts.query}")

    def press(self, path: str, *, follow: bool = True) -> requests.Response:
        """Sends the form that was seen last."""
        answer = self.http.post(self.origin + path, data=self.fields, timeout=30, allow_redirects=follow)
        return self._seen(answer)

    def _seen(self, answer: requests.Response) -> requests.Response:
        reader = _Reader()
        reader.feed(answer.text)
        if reader.forms:
            self.fields = reader.forms[-1].fields
        return answer
