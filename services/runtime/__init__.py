"""How any Povod process runs: settings, clock, event log, database, cursors, stored bundles, outbound events, telemetry, lifecycle.

The services build on these ports and never on a driver directly. Not here: anything that knows what a rule, a consent or a
message channel is.
"""
