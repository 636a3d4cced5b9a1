"""How long asking for a sign-in link takes tells nothing about who is a customer (T22)."""

import statistics
import time
from collections.abc import Callable

import pytest

from tests import people
from tests.person import Person

ASKED = 2000


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_known_and_an_unknown_address_are_answered_in_the_same_time(
    person: Person, configure: Callable[..., None]
) -> None:
    configure(sign_in_per_client=1_000_000, sign_in_per_address=1_000_000)
    people.customer("Amelia Harper", email="amelia@example.com")
    token = person.csrf_token()
    took: dict[str, list[float]] = {"amelia@example.com": [], "nobody@example.com": []}
    for turn in range(2 * ASKED):
        address = list(took)[turn % 2]
        began = time.perf_counter()
        answer = person.client.post("/portal/sign-in", data={"email": address, "csrf_token": token})
        took[address].append(time.perf_counter() - began)
        assert answer.status_code == 200
    known, unknown = (statistics.median(each) for each in took.values())
    print(f"median of {ASKED}: known {known * 1000:.3f} ms, unknown {unknown * 1000:.3f} ms")
    assert 0.95 < known / unknown < 1.05
