"""`docs/topics.md` and `docs/kafka-events.md` are true: the table is the registry's, every reason is one that rules give."""

import re

from services.contracts.topics import Topic, load_topics
from tests.docs.blocks import ROOT

TOPICS = (ROOT / "docs" / "topics.md").read_text(encoding="utf-8")
KAFKA = (ROOT / "docs" / "kafka-events.md").read_text(encoding="utf-8")
_KEYS = {"customer": "customer", "provider_message": "the provider's message id", "source": "as it was"}


def row_of(topic: Topic) -> str:
    """Return the table's line of a topic."""
    value = ", ".join(f"`schemas/{name}`" for name in topic.schemas) or "as it came"
    days = topic.retention.days
    return f"| `{topic.name}` | {_KEYS[topic.key]} | {value} | {', '.join(topic.writers)} | {topic.owner} | {days} days |"


def test_the_table_is_the_registry() -> None:
    """Each topic has its line, in order, and there is no other."""
    rows = [line for line in TOPICS.splitlines() if line.startswith("| `povod.")]
    assert rows == [row_of(topic) for topic in load_topics()]


def test_every_reason_is_given_somewhere() -> None:
    """A reason of a dead letter in the table stands in the code that reads the topic."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "services" / "rules").rglob("*.py"))
    code += (ROOT / "services" / "contracts" / "codec.py").read_text(encoding="utf-8")
    table = KAFKA.partition("| reason of the dead letter |")[2].partition("\n\n")[0]
    reasons = [
        reason for line in table.splitlines() for reason in re.findall(r"`([a-z_]+)`", line.split("|")[1] if "|" in line[1:] else "")
    ]
    assert len(reasons) >= 15
    missing = [reason for reason in reasons if f'"{reason}"' not in code and not reason.startswith("missing_")]
    assert missing == []
