"""The kill test: real processes on real Kafka and PostgreSQL (or the embedded engine), killed at random, then held against an oracle.

`python -m tests.kill --kills 100` starts everything, posts events while it kills, lets the system drain and compares what was
acknowledged, decided and delivered. `model.py` is the oracle of decisions: it shares no code with the decision core.
"""
