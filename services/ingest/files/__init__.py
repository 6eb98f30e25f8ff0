"""Files of events on their way into the log: read row by row, judged as HTTP's are, taken up again where a run broke off.

    file -> lines -> items -> target (the log, another ingest, or nothing at all) -> results -> report, rejects, position

Not here: the command (`services.commands.import_events`), reading whole files for `simulate` (`services.contracts.mapping`).
"""
