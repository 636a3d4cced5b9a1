"""The resources of this door; importing them puts their routes on the blueprint."""

from portal.api import bp, catalog, customers, error_codes, portal_sessions, subscriptions

__all__ = ["bp", "catalog", "customers", "error_codes", "portal_sessions", "subscriptions"]
