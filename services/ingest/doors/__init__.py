"""The doors: how clients that exist already say what happened, each in a file of its own, all onto one normaliser.

A door reads one request (`port.Posted`) into events of our own shape (`port.Parcel`) and words the answer that its clients expect.
It is pure: no clock, no log, no database. Not here: who may post, limits, the normaliser, the log (`services.ingest.intake`).
"""
