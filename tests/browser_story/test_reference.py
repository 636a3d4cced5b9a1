"""The API's reference for everybody: axe, light and dark, on a phone and on a desk."""

import pytest

from tests.browser_story.checks import problems_seen
from tests.browser_story.running import RunningPortal
from tests.browser_story.watching import Browsing

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("path", ["/docs", "/docs/prices", "/docs/errors"])
def test_the_reference_is_for_everybody(path: str, browse: Browsing, aeroedit: RunningPortal) -> None:
    page = browse()
    page.goto(aeroedit.origin + path)
    assert problems_seen(page) == []
