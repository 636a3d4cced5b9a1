"""The business: who may do what to a subscription, what changes, what is recorded. Knows nothing of HTTP."""
