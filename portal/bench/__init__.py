"""How fast the portal is: a filled database, the load, and the table that `docs/performance.md` shows.

portal fill     a database with many made-up subscriptions
portal bench    every figure as a ratio to a bare Flask view in the same server on the same database
"""
