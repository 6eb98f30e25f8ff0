"""What a process tells of itself: log lines with an action, metrics out of one list, trace context from the request to the delivery."""
