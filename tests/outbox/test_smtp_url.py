"""What PORTAL_SMTP_URL may look like."""

import pytest

from portal.config import ConfigError
from portal.outbox.smtp import Place, place


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("smtp://mail.example", Place("mail.example", 25, False, False, "", "")),
        ("smtp://mail.example?starttls=1", Place("mail.example", 587, False, True, "", "")),
        ("smtps://me%40x:p%2Fw%3A%40@mail.example", Place("mail.example", 465, True, False, "me@x", "p/w:@")),
        ("smtp://me:secret@[::1]:2525/?starttls=1", Place("::1", 2525, False, True, "me", "secret")),
    ],
)
def test_an_address_of_a_mail_server_is_understood(url, meant):
    assert place(url) == meant


@pytest.mark.parametrize("url", ["mail.example", "http://mail.example", "smtp://", "smtp://mail.example:banana"])
def test_what_is_none_is_refused_in_one_line(url):
    with pytest.raises(ConfigError, match="PORTAL_SMTP_URL"):
        place(url)
