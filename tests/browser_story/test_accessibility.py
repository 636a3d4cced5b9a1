"""Every customer page in every main state: axe, light and dark, on a phone and on a desk, in one round trip."""

import pytest

from tests.browser_story import states_at_the_door
from tests.browser_story.checks import problems_of
from tests.browser_story.running import RunningPortal
from tests.browser_story.states import STATES
from tests.browser_story.watching import Browsing

pytestmark = pytest.mark.browser
assert states_at_the_door  # its states are in STATES by now


@pytest.mark.parametrize("state", STATES)
def test_the_page_is_for_everybody(state: str, browse: Browsing, aeroedit: RunningPortal) -> None:
    page = browse()
    STATES[state](page, aeroedit, browse.watch)
    page.wait_for_load_state()
    assert problems_of(page, browse.watch) == []
