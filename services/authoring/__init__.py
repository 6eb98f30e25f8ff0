"""Marketers' tools: what would the rules do (`simulate`), read from files, with no service running.

Not here: anything that sends, or that writes to a database.
"""
