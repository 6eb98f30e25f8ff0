"""Delivery: the inbox and journal of messages, the sender loop, rendering, and one file a provider under `channels/`.

Not here: the decision whether and on which channel to send (`services.rules`), consent's ledger (`services.consent`).
"""
