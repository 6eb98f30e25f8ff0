"""What the demo prints: messages as they arrive, and at the end what every journey did and why it was silent."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import NamedTuple

from services.authoring.simulate import Figures
from services.commands.demo_stage import Stage
from services.commands.tables import by_count, table
from services.contracts.decisions import Verdict
from services.dispatch.fates import FateTally
from services.dispatch.states import State
from services.rules.ledger import Tally

CHANNELS = ("email", "sms", "telegram")
_LONGEST = 60


class Arrival(NamedTuple):
    """A message as it reached a stand-in."""

    channel: str
    recipient: str
    content: bytes | str

    @property
    def words(self) -> str:
        """Return what a person reads first: a mail's subject, a text's beginning."""
        return subject_of(self.content) if isinstance(self.content, bytes) else shortened(self.content)


class Arrivals:
    """Watches the stand-ins; each message is seen once."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._seen = Counter[str]()

    def news(self) -> Iterator[Arrival]:
        """Yield what has come since the last call."""
        stage = self._stage
        for mail in stage.inbox.mails[self._seen["email"] :]:
            yield Arrival("email", mail.recipient, mail.content)
        for sms in stage.gateway.messages[self._seen["sms"] :]:
            yield Arrival("sms", sms.recipient, sms.text)
        for text in stage.telegram.messages[self._seen["telegram"] :]:
            yield Arrival("telegram", f"chat {text.chat_id}", text.text)
        self._seen.update(
            email=len(stage.inbox.mails) - self._seen["email"],
            sms=len(stage.gateway.messages) - self._seen["sms"],
            telegram=len(stage.telegram.messages) - self._seen["telegram"],
        )


class Selection:
    """Chooses a few arrivals to print: of each channel, the first of each kind of message."""

    def __init__(self, most: int) -> None:
        """`most` is how many to choose of each channel."""
        self._left = dict.fromkeys(CHANNELS, most)
        self._shown: set[tuple[str, str]] = set()

    def wants(self, arrival: Arrival) -> bool:
        """Say whether to print this one; greetings differ by name, so texts are told apart by their last words."""
        if not self._left[arrival.channel]:
            return False
        kind = (arrival.channel, arrival.words[-_LONGEST // 2 :])
        if kind in self._shown:
            return False
        self._left[arrival.channel] -= 1
        self._shown.add(kind)
        return True


def subject_of(mail: bytes) -> str:
    """Return a mail's subject, decoded."""
    parsed = message_from_bytes(mail, _class=EmailMessage, policy=policy.default)
    return str(parsed["Subject"])


def shortened(text: str) -> str:
    """Return the message without its greeting, on one line."""
    paragraphs = [paragraph for paragraph in text.split("\n") if paragraph.strip()]
    words = " ".join(paragraphs[1:2] or paragraphs)
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"


def journeys_table(figures: Figures, decided: Sequence[Tally], delivered: Sequence[FateTally]) -> str:
    """Return a line a journey: enrolled and exited as retold from the history, sent as the journal has it, silences as the ledger has them.

    A message that was decided and then recalled, refused or failed is counted with the silences.
    """
    sent: defaultdict[str, Counter[str]] = defaultdict(Counter)
    silent: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for fate in delivered:
        if fate.state == State.SENT:
            sent[fate.journey][fate.channel] += fate.times
        else:
            silent[fate.journey][fate.state] += fate.times
    for row in decided:
        if row.verdict is Verdict.SKIPPED:
            silent[row.journey][row.reason] += row.times
    rows = [
        (name, f"{each.enrolled:,}", f"{each.exited:,}", *(f"{sent[name][channel]:,}" for channel in CHANNELS), by_count(silent[name]))
        for name, each in figures.journeys.items()
    ]
    return table(("journey", "enrolled", "exited", *CHANNELS, "not sent, because"), rows)


def agree(figures: Figures, decided: Sequence[Tally]) -> bool:
    """Say whether the ledger and the retold history count the same messages."""
    ledger = Counter[tuple[str, str]]()
    for row in decided:
        ledger[row.journey, row.verdict] += row.times
    return all(
        (ledger[name, Verdict.SENT], ledger[name, Verdict.SKIPPED], ledger[name, Verdict.DEFERRED])
        == (journey.sent, sum(journey.skipped.values()), journey.deferred)
        for name, journey in figures.journeys.items()
    )
