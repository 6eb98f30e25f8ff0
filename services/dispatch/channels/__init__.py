"""One file a provider. Each translates its provider's answers and errors into the four of `port.py`; nothing else leaves it."""
