"""Every table, imported in one place so that the metadata is complete."""

from portal import limits
from portal.db import Base
from portal.domain import api_keys, portal_sessions, renewal, sign_in
from portal.gateways import sandbox

__all__ = ["api_keys", "limits", "portal_sessions", "renewal", "sandbox", "sign_in"]
metadata = Base.metadata
