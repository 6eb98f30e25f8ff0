"""What a machine lacks: on a laptop tests go without it, visibly; in CI nothing is missing."""

import os
from typing import NoReturn

import pytest


def go_without(why: str) -> NoReturn:
    """Skip the test with this line in the summary; fail it where `CI=true`."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)
