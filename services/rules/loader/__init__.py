"""Loads a rule set: YAML files and templates in, a compiled `Ruleset` out, or every mistake with file, line, column and cure.

`load_directory` reads what marketers edit, `load_stored` what `povod rules apply` has stored, so that workers need no files.
Not here: deciding (`services.rules.core`), rendering templates (`services.dispatch`), making a version live (`services.rules.activation`).
"""

from services.rules.loader.loading import LoadedRuleset, check_directory, load_directory, load_stored, read_earlier
from services.rules.loader.mistakes import Mistake, Place

__all__ = ["LoadedRuleset", "Mistake", "Place", "check_directory", "load_directory", "load_stored", "read_earlier"]
