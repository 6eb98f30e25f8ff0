"""Where the packaged data lies: schemas, rules, templates, examples, migrations; in a checkout or in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def resource(name: str) -> Path:
    """Return the folder of packaged data called `name`, from the wheel (`services/_data`) or from the checkout.

    Raises `FileNotFoundError` where neither has it: a broken installation.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        if (found := root / name).exists():
            return found
    raise FileNotFoundError(f"Povod's own data folder {name!r} is missing: reinstall the package")
