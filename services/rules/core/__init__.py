"""The pure decision core: `decide(document, input, ruleset, now)` and everything it is made of.

No I/O, no clock, no randomness, no environment: the same input gives the same output, byte for byte, live, in `simulate` and in
tests. It imports `services.contracts` and the standard library only (plus msgspec for its value types), and a check enforces it.
"""

from services.rules.core.decide import decide

__all__ = ["decide"]
