"""A sample of an event sent to an endpoint at once, for whoever builds one. It is recorded nowhere."""

from portal import destinations
from portal.outbox import errands, exchange, samples
from portal.outbox.errands import Attempt


def send(event_type: str, url: str, secrets: tuple[str, ...]) -> Attempt:
    """What came of it, within five seconds. Raises destinations.Unacceptable. Not for inside a transaction."""
    destinations.check(url)
    endpoint = exchange.Endpoint(url)
    try:
        return errands.deliver(samples.parcel(event_type), endpoint, secrets)
    finally:
        endpoint.close()
