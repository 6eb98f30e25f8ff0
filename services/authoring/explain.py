"""A decision in plain words: each gate's question, what it saw and what it answered."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from services.contracts.decisions import Decision, Reason, Verdict
from services.contracts.durations import format_duration

Seen = Mapping[str, Any]

REASONS: Mapping[Reason, str] = {
    Reason.OK: "every gate let it pass",
    Reason.LATE: "the event reached us too late to act on",
    Reason.HISTORICAL: "the event only fills in the past",
    Reason.PAUSED: "it was paused by an operator",
    Reason.VERSION: "the journey's version is gone",
    Reason.STAGE: "the journey is not for the customer's stage",
    Reason.CONDITION: "a condition does not hold",
    Reason.REENTRY: "the journey may not be entered again yet",
    Reason.EXITED: "what ends the journey had already happened",
    Reason.CONSENT: "the customer has not agreed to be written to",
    Reason.SUPPRESSED: "the address must not be used any more",
    Reason.UNREACHABLE: "no address is known",
    Reason.QUIET_HOURS: "it is night for the customer",
    Reason.FREQUENCY_CAP: "the customer has heard from us often enough",
    Reason.GAP: "the last message was too short a while ago",
    Reason.CONTENT_MIX: "too large a share of offers",
    Reason.ARBITRATION: "another message was more important",
    Reason.HOLDOUT: "the customer belongs to the group that is not written to",
    Reason.EXPIRED: "it was no longer worth sending",
    Reason.LOOP_LIMIT: "the journey went round too often",
}
"""Each reason as a sentence's end."""

VERDICTS: Mapping[Verdict, str] = {
    Verdict.SENT: "SENT",
    Verdict.SKIPPED: "NOT SENT",
    Verdict.DEFERRED: "PUT OFF",
    Verdict.HELD_OUT: "HELD OUT",
}


def headline(decision: Decision) -> str:
    """Return verdict and reason in one line: `NOT SENT (frequency_cap): the customer has heard from us often enough`."""
    channel = f" by {decision.channel}" if decision.channel and decision.verdict is Verdict.SENT else ""
    return f"{VERDICTS[decision.verdict]}{channel} ({decision.reason}): {REASONS[decision.reason]}"


def gate_lines(decision: Decision, zone: tzinfo) -> list[str]:
    """Return a line a gate, in the order in which they were asked; times in the customer's zone."""
    return [_line(answer, where, zone) for where, answer in _answers(decision.detail, "")]


def _answers(detail: Any, where: str) -> Iterator[tuple[str, Seen]]:
    """Yield the gates' answers wherever they stand in the detail, with the name of what holds them (a channel)."""
    if isinstance(detail, Mapping):
        if "gate" in detail:
            yield where or str(detail.get("channel", "")), detail
            return
        below = str(detail.get("channel", where))
        for name, value in detail.items():
            yield from _answers(value, name if name in _CHANNELS else below)
    elif isinstance(detail, list):
        for value in detail:
            yield from _answers(value, where)


_CHANNELS = frozenset({"email", "sms", "telegram"})
_ANSWERS = {"pass": "yes", "refuse": "no", "defer": "not yet"}


def _line(answer: Seen, where: str, zone: tzinfo) -> str:
    question = _QUESTIONS.get(answer["gate"], answer["gate"])
    words = _ANSWERS.get(str(answer.get("answer")), str(answer.get("answer")))
    seen = {name: value for name, value in answer.items() if name not in {"gate", "answer", "reason", "channel"}}
    saw = _WORDS.get(answer["gate"], _plain)(seen, zone) if seen else ""
    return f"{f'{where}: ' if where else ''}{question} {words}{f' ({saw})' if saw else ''}"


_QUESTIONS: Mapping[str, str] = {
    "late": "in time?",
    "historical": "news, not history?",
    "stage": "right stage?",
    "key": "is there a key?",
    "exited": "nothing that ends the journey?",
    "reentry": "may it be entered (again)?",
    "expired": "still worth sending?",
    "consent": "agreed?",
    "suppressed": "address in good standing?",
    "reachable": "address known?",
    "quiet_hours": "a good hour?",
    "frequency_cap": "room under the caps?",
    "gap": "long enough since the last message?",
    "arbitration": "the most important one now?",
    "merge": "room to go along to the customer whom this one became?",
    "enrolments": "not in too many journeys?",
}


def _plain(seen: Seen, zone: tzinfo) -> str:
    return ", ".join(f"{name.replace('_', ' ')}: {_value(value, zone)}" for name, value in seen.items())


def _late(seen: Seen, zone: tzinfo) -> str:  # noqa: ARG001 - the words' common shape
    return f"{_length(seen.get('late_by_s'))} late, up to {_length(seen.get('max_lateness_s'))} is allowed"


def _stage(seen: Seen, zone: tzinfo) -> str:  # noqa: ARG001 - the words' common shape
    return f"stands at {seen.get('stage') or 'no stage'}, the journey is for {', '.join(seen.get('open_to', ()))}"


def _consent(seen: Seen, zone: tzinfo) -> str:  # noqa: ARG001 - the words' common shape
    if seen.get("needs") == "none":
        return "a service e-mail needs no consent"
    return f"{seen.get('needs')}: the customer's consent is {seen.get('state')}"


def _expired(seen: Seen, zone: tzinfo) -> str:
    return f"until {_value(seen.get('expires_at'), zone)}"


def _reentry(seen: Seen, zone: tzinfo) -> str:
    if seen.get("open"):
        return "the customer is in it already"
    entered = f"entered on {_value(seen.get('entered_at'), zone)}"
    if seen.get("rule") == "never":
        return f"{entered}, and once is all"
    return f"{entered}; the pause counts from the {seen.get('from')} on {_value(seen.get('since'), zone)}"


def _exited(seen: Seen, zone: tzinfo) -> str:
    if "exit_type" in seen:
        return f"{seen['exit_type']} came, event {seen.get('exit_event')}"
    return f"it came on {_value(seen.get('exit_at'), zone)}"


def _quiet_hours(seen: Seen, zone: tzinfo) -> str:
    until = f", waits until {_value(seen['until'], zone)}" if "until" in seen else ""
    return f"it is {str(seen.get('local', ''))[11:16]} in {seen.get('zone')}{until}"


def _caps(seen: Seen, zone: tzinfo) -> str:  # noqa: ARG001 - the words' common shape
    used = "; ".join(f"{cap.get('cap')}: {cap.get('count')} of {cap.get('max')} used" for cap in seen.get("caps", ()))
    return f"{used}; half of what is usual, as the customer asked for" if "frequency" in seen else used


def _gap(seen: Seen, zone: tzinfo) -> str:
    until = f", waits until {_value(seen['until'], zone)}" if "until" in seen else ""
    return f"the last one left at {_value(seen.get('last_at'), zone)}, {_length(seen.get('least_s'))} must pass{until}"


_WORDS: Mapping[str, Callable[[Seen, tzinfo], str]] = {
    "late": _late,
    "stage": _stage,
    "expired": _expired,
    "reentry": _reentry,
    "exited": _exited,
    "consent": _consent,
    "quiet_hours": _quiet_hours,
    "frequency_cap": _caps,
    "gap": _gap,
}


def _length(seconds: float | None) -> str:
    return "0s" if not seconds else format_duration(timedelta(seconds=round(seconds)))


def _value(value: Any, zone: tzinfo) -> str:
    """Return a value for people: times in the customer's zone, lists with commas, yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_value(each, zone) for each in value)
    if isinstance(value, str) and len(value) >= 19 and value[4:5] == "-" and value[10:11] == "T":
        return _moment(value, zone)
    return "nothing" if value is None else str(value)


def _moment(value: str, zone: tzinfo) -> str:
    try:
        return datetime.fromisoformat(value).astimezone(zone).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return value
