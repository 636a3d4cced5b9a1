"""The pages of this door, one file each; importing them puts their routes on the blueprint."""

from portal.customer import (
    bp,
    cancel,
    checkout,
    keep,
    link,
    overview,
    payments,
    reason,
    session,
    subscribe_again,
    subscription,
    update_payment_method,
)

__all__ = [
    "bp",
    "cancel",
    "checkout",
    "keep",
    "link",
    "overview",
    "payments",
    "reason",
    "session",
    "subscribe_again",
    "subscription",
    "update_payment_method",
]
