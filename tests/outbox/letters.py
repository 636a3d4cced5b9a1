"""A queued mail of every kind, as the domain writes it."""

from portal.outbox.mail_samples import CUSTOMER, SUBSCRIPTION, WRITTEN, letter

__all__ = ["CUSTOMER", "SUBSCRIPTION", "WRITTEN", "letter"]
