"""The example templates render under the sandbox that delivers them."""

import json

import pytest

from services.contracts.resources import resource
from services.dispatch.bundle import TemplateBundle
from services.dispatch.rendering import check_template

LINKS = {"unsubscribe_url": "https://x", "preferences_url": "https://y"}
ROOT = resource("templates")
NAMES = sorted(folder.name for folder in ROOT.iterdir() if folder.is_dir() and not folder.name.startswith("_"))


def files_of(name: str) -> dict[str, str]:
    """Return a template's files and the shared layouts, named as a stored bundle names them."""
    own = {file.relative_to(ROOT / name).as_posix(): file.read_text() for file in (ROOT / name).rglob("*.*")}
    return own | {file.relative_to(ROOT).as_posix(): file.read_text() for file in (ROOT / "_layouts").rglob("*.*")}


@pytest.mark.parametrize("name", NAMES)
def test_every_part_renders_with_its_sample_within_the_budget(name: str) -> None:
    """Each channel and language of an example gives its parts, and with little known of the customer too."""
    files = files_of(name)
    sample = json.loads(files["sample.json"])
    bundle = TemplateBundle(files)
    for channel, language in {tuple(file.split("/")[:2]) for file in files if file.count("/") == 2}:
        parts = bundle.render(channel, language, sample | {"language": language})
        bare = bundle.render(
            channel,
            language,
            {"customer": {}, "event": {}, "journey": sample["journey"], "language": language, **LINKS},
        )
        expected = {"subject.txt", "body.txt", "body.html"} if channel == "email" else {"text.txt"}
        assert set(parts) == set(bare) == expected
        assert all(text.strip() for text in (*parts.values(), *bare.values()))
    assert check_template(files) == []
