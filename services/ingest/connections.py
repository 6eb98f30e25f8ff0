"""How many connections there is room for. Each takes one of the files that the process may have open, and so do database and log."""

import resource

MAX_CONNECTIONS = 15_000
_OTHER_FILES = 256


def most_connections() -> int:
    """Return how many connections may be served at once; the process's limit of open files is raised for them as far as it may be."""
    files, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = closed_beyond(MAX_CONNECTIONS) + _OTHER_FILES
    if files != resource.RLIM_INFINITY and files < wanted:
        files = wanted if allowed == resource.RLIM_INFINITY else min(wanted, allowed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, allowed))
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else room_in(files)


def room_in(files: int) -> int:
    """Return how many connections may be served where a process may have so many files open."""
    return min(MAX_CONNECTIONS, max((files - _OTHER_FILES) * 4 // 5, files // 4, 1))


def closed_beyond(most: int) -> int:
    """Return from which number on connections are closed at once; between `most` and this, requests are answered 503."""
    return most + most // 4
