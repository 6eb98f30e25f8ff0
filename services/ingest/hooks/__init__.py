"""Callbacks of providers: `POST /hooks/{name}`. The sender's signature is checked, then the body goes to `povod.receipts` as it came.

What a callback means is not known here: dispatch reads the topic and makes outcomes of it.
"""
