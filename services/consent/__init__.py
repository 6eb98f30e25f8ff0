"""The ledger of who may be contacted on what: consents, suppressions, unsubscribe tokens. The one place that says no.

Not here: pages and links (`services.ingest`), the copy of the consent state in the customer's document (`services.rules.core`).
"""
