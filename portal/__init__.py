"""A self-hosted customer self-service portal for subscriptions."""

__version__ = "0.1.0"
