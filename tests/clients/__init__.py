"""Other people's clients, as published, against a running Povod. A package, so that its fixtures live as long as its tests run."""
