"""What crosses a border: events, messages, outcomes, decisions, topics, their codec and the exception tree.

Everything here is pure: no clock, no randomness, no network, and nothing is written. Files are read only by `load_catalogue` and
`load_topics` (the packaged `schemas/`, or a folder the caller names) and by `mapping.read_files` (the files the caller names), never at
import. It imports nothing of the other folders.
Not here: how a process runs (`services.runtime`), who may be contacted (`services.consent`), how a decision is taken
(`services.rules.core`).
"""
