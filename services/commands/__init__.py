"""The `povod ...` commands, one module a group, and the composition root of each process they start.

Here and only here are services, adapters and settings put together; everything below takes its collaborators as arguments.
"""
