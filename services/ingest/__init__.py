"""HTTP in: authenticate, normalise, validate, publish to the event log; the unsubscribe page.

Not here: any decision about the event, and any wait for a database on the event path.
"""
