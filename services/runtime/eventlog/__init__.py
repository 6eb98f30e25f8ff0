"""The event log port (`port.py`) and its two adapters: `embedded.py` (SQLite, one process) and `kafka.py` (aiokafka).

The laws that both obey are `tests/laws/test_event_log.py`. Not here: where a consumer has got to for good - that is a row of the
database (`services.runtime.cursors`), written in the transaction that uses the records.
"""
