"""HTTP in: write keys, the events door, the unsubscribe page; each event is judged, then appended to the log before it is acknowledged.

No request waits for the database, except an unsubscribe, which is nothing else than a write to it. Not here: what an event may look
like (`services.contracts.normalise`), what is done about it (`services.rules`).
"""
