"""Coverage-guided fuzzing of everything that reads bytes of strangers, by atheris: `python -m tests.fuzz TARGET [--seconds N]`."""
