"""What crosses a border: events, messages, outcomes, decisions, topics, their codec and the exception tree.

Everything here is pure: no I/O beyond reading the packaged `schemas/`, no clock, no network. It imports nothing of the other folders.
Not here: how a process runs (`services.runtime`), who may be contacted (`services.consent`), how a decision is taken
(`services.rules.core`).
"""
