"""What a process tells of itself: log lines with an action, metrics out of one list. Trace context: `services.contracts.trace`."""
