"""What the demo prints is what the ledger and the journal hold."""

from services.authoring.simulate import Figures, JourneyFigures
from services.commands.demo_show import Arrival, Selection, agree, journeys_table, shortened, subject_of
from services.contracts.decisions import Reason, Verdict
from services.contracts.ids import Channel, JourneyName
from services.dispatch.fates import FateTally
from services.rules.ledger import Tally

CART = JourneyName("cart")
EMAIL, SMS = Channel("email"), Channel("sms")
FIGURES = Figures(journeys={CART: JourneyFigures(enrolled=5, exited=1, sent=3, skipped={"consent": 2})})
DECIDED = [
    Tally(CART, Verdict.SENT, Reason.OK, EMAIL, 2),
    Tally(CART, Verdict.SENT, Reason.OK, SMS, 1),
    Tally(CART, Verdict.SKIPPED, Reason.CONSENT, Channel(""), 2),
]


def test_sent_is_what_was_delivered_and_the_rest_has_its_reason() -> None:
    """A message recalled after its decision is counted with the silences."""
    delivered = [FateTally(CART, EMAIL, "sent", 1), FateTally(CART, EMAIL, "recalled", 1), FateTally(CART, SMS, "sent", 1)]

    lines = journeys_table(FIGURES, DECIDED, delivered).splitlines()

    assert lines[0].split() == ["journey", "enrolled", "exited", "email", "sms", "telegram", "not", "sent,", "because"]
    assert lines[2].split() == ["cart", "5", "1", "1", "1", "0", "consent", "2"]
    assert lines[3].split() == ["recalled", "1"]


def test_the_ledger_agrees_with_its_retelling_or_it_is_said() -> None:
    """One decision more or less is noticed."""
    assert agree(FIGURES, DECIDED)
    assert not agree(FIGURES, DECIDED[1:])


def test_a_few_of_each_channel_and_each_kind_are_chosen() -> None:
    """The same words to another person are not shown again, nor more than the limit."""
    selection = Selection(most=2)
    texts = ["Hello Ann,\nA cart", "Hello Bob,\nA cart", "Hello Ann,\nAn order", "Hello Ann,\nA third"]

    assert [selection.wants(Arrival("sms", "1", text)) for text in texts] == [True, False, True, False]
    assert selection.wants(Arrival("telegram", "1", texts[0]))


def test_subjects_are_decoded_and_texts_shortened() -> None:
    """People read words, not encodings; the greeting is left out."""
    assert subject_of(b"Subject: =?utf-8?b?0KDQsNC00Ys=?=\r\n\r\nx") == "Рады"
    assert shortened("Hello Ann,\n\nThe cart waits.\n\nUnsubscribe: x") == "The cart waits."
    assert shortened("x" * 100) == "x" * 60 + "…"
