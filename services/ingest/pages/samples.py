"""Values with which every page is tried out at start, so that a mistake in a theme is found before a customer finds it."""

from collections.abc import Sequence
from typing import Any

SAMPLES: Sequence[tuple[str, dict[str, Any]]] = (
    ("notice", {"said": {"title": "x", "text": "y"}, "values": {}}),
    ("unsubscribe", {"channel": "email", "is_later": False}),
    ("confirmation", {"channel": "email", "address": "ann@shop.example"}),
    ("survey", {"question": {"ru": "?", "en": "?"}, "scale": True, "score": 7, "comment": "", "is_empty": True}),
    ("survey", {"question": None, "scale": False, "score": None, "comment": "x", "is_empty": False}),
    (
        "preferences",
        {
            "channels": [("email", True), ("carrier-pigeon", False)],
            "topics": [("news", {"ru": "Новости", "en": "News"}, True)],
            "frequency": "less",
            "message_language": "ru",
        },
    ),
)
