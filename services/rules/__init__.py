"""The rules engine: `core/` decides, purely; the rest is its shell - loading rule sets, gathering documents, applying effects.

Not here: sending (`services.dispatch`), who may be contacted (`services.consent` keeps the ledger; the document holds a copy).
"""
