"""Rule files that are right and rule files that are wrong: what the loader and the JSON Schemas must agree on."""

from typing import NamedTuple

_STEPS = "steps: [{send: note}]"


class Wrong(NamedTuple):
    """A file with one mistake: where it stands, words of the message, and whether a JSON Schema can see it too."""

    text: str
    at: str
    says: str
    schema_sees: bool = True


RIGHT_JOURNEYS = {
    "least": "trigger: {event: order.completed}\n" + _STEPS,
    "everything": """\
journey: abandoned-cart
why: You left things in your cart.
stages: [onboarding, active]
trigger: {event: cart.updated, where: event.total >= 500}
key: event.cart_id
reentry: {after: 3d, from: exit}
exit_on: [order.completed, {event: cart.emptied, where: event.total == 0}]
priority: 50
max_lateness: 12h
steps:
  - wait: 1h
  - send: note
    kind: incentive
    channels: [email, sms]
    tags: [cart]
    valid_for: PT2H
  - if: customer.revenue > 50000
    then: [{wait: 1d}, exit]
    else:
      - if: True
        then: []
  - exit:
""",
    "inactivity": "trigger: {inactive: 30d, of: [order.completed]}\nreentry: never\n" + _STEPS,
    "inactivity of one type": "trigger: {inactive: 30d, of: order.completed}\nreentry: always\n" + _STEPS,
    "one exit": "trigger: {event: order.completed}\nexit_on: order.cancelled\n" + _STEPS,
}

WRONG_JOURNEYS = {
    "unknown key": Wrong("triger: {event: a.b}\n" + _STEPS, "1:1", "unknown key 'triger'; did you mean 'trigger'?"),
    "planned key": Wrong("trigger: {event: a.b}\ngoal: {event: c.d}\n" + _STEPS, "2:1", "'goal' is not supported yet"),
    "no trigger": Wrong(_STEPS, "1:1", "'trigger' is missing; say what begins it"),
    "no steps": Wrong("trigger: {event: a.b}", "1:1", "'steps' is missing"),
    "empty steps": Wrong("trigger: {event: a.b}\nsteps: []", "2:8", "the journey has no steps"),
    "both triggers": Wrong("trigger: {event: a.b, inactive: 1d}\n" + _STEPS, "1:10", "either an event or inactivity"),
    "where of silence": Wrong("trigger: {inactive: 1d, where: event.x}\n" + _STEPS, "1:32", "'where' does not fit this trigger"),
    "planned trigger": Wrong("trigger: {segment: vip}\n" + _STEPS, "1:11", "'segment' is not supported yet"),
    "broken duration": Wrong("trigger: {inactive: 3 days}\n" + _STEPS, "1:21", "'3 days' is no duration; write a number and a unit"),
    "no time at all": Wrong("trigger: {inactive: 0d}\n" + _STEPS, "1:21", "'0d' is out of range", schema_sees=False),
    "broken name": Wrong("journey: Ab C\ntrigger: {event: a.b}\n" + _STEPS, "1:10", "'Ab C' is no name for a journey"),
    "number as text": Wrong("journey: 12\ntrigger: {event: a.b}\n" + _STEPS, "1:10", '12 is not a text; write it in quotes: "12"'),
    "broken re-entry": Wrong("trigger: {event: a.b}\nreentry: once\n" + _STEPS, "2:10", "no such re-entry"),
    "re-entry from nowhere": Wrong("trigger: {event: a.b}\nreentry: {after: 1d, from: entri}\n" + _STEPS, "2:28", "did you mean 'entry'?"),
    "broken priority": Wrong("trigger: {event: a.b}\npriority: high\n" + _STEPS, "2:11", "'high' is no whole number"),
    "quoted priority": Wrong('trigger: {event: a.b}\npriority: "5"\n' + _STEPS, "2:11", "'5' is no whole number"),
    "unknown step": Wrong("trigger: {event: a.b}\nsteps:\n  - sned: note", "3:5", "no step is named here; did you mean 'send'?"),
    "planned step": Wrong("trigger: {event: a.b}\nsteps: [{wait_for: {event: c.d}}]", "2:9", "'wait_for' is not supported yet"),
    "step of two kinds": Wrong("trigger: {event: a.b}\nsteps: [{wait: 1h, send: note}]", "2:20", "unknown key 'send'"),
    "no channels": Wrong("trigger: {event: a.b}\nsteps: [{send: note, channels: []}]", "2:32", "no channel is listed"),
    "unknown channel": Wrong("trigger: {event: a.b}\nsteps: [{send: note, channels: [emial]}]", "2:33", "did you mean 'email'?"),
    "unknown kind": Wrong("trigger: {event: a.b}\nsteps: [{send: note, kind: regulr}]", "2:28", "did you mean 'regular'?"),
    "if without then": Wrong("trigger: {event: a.b}\nsteps: [{if: event.x}]", "2:9", "'then' is missing"),
    "steps as text": Wrong("trigger: {event: a.b}\nsteps: wait", "2:8", "a list of steps is wanted here"),
    "unknown template": Wrong(
        "trigger: {event: a.b}\nsteps: [{send: noot}]", "2:16", "no template 'noot'; did you mean 'note'?", schema_sees=False
    ),
    "channel without words": Wrong(
        "trigger: {event: a.b}\nsteps: [{send: note, channels: [telegram]}]",
        "2:32",
        "not written for the channel 'telegram'",
        schema_sees=False,
    ),
    "unknown stage": Wrong(
        "trigger: {event: a.b}\nstages: [activ]\n" + _STEPS, "2:10", "no stage is called 'activ'; did you mean 'active'?", schema_sees=False
    ),
    "broken expression": Wrong(
        "trigger: {event: a.b, where: event.total >}\n" + _STEPS, "1:", "the expression can not be read", schema_sees=False
    ),
    "unknown root": Wrong("trigger: {event: a.b}\nkey: evnt.id\n" + _STEPS, "2:6", "did you mean 'event'?", schema_sees=False),
    "unknown root in quotes": Wrong(
        "trigger: {event: a.b}\nkey: '1 + evnt.id'\n" + _STEPS, "2:11", "did you mean 'event'?", schema_sees=False
    ),
}

RIGHT_POLICIES = {
    "empty mapping": "caps: []",
    "everything": """\
timezone: {default: Europe/Moscow}
quiet_hours:
  - {from: "21:00", to: "09:00", exempt: [service]}
  - {from: 13:00, to: 14:00, channels: sms}
caps:
  - {max: 5, per: 30d, window: rolling, scope: all, stages: [active]}
  - {name: one a day, max: 1, per: 1d, window: calendar, scope: {channel: sms}}
  - {max: 2, per: 1w, window: calendar, scope: {kind: incentive}}
  - {max: 9, per: month, window: calendar, scope: {tag: promo}}
min_gap: 4h
consent: {email: opt_in, sms: opt_in, telegram: opt_out}
language: ru
""",
    "short forms": 'timezone: UTC\nquiet_hours: {from: "22:00", to: "08:00"}\nlanguage: {default: pt-BR}',
}

WRONG_POLICIES = {
    "cap without window": Wrong("caps: [{max: 1, per: 1d, scope: all}]", "1:8", "'window' is missing; write window: rolling"),
    "cap without scope": Wrong("caps: [{max: 1, per: 1d, window: rolling}]", "1:8", "'scope' is missing"),
    "cap of nothing": Wrong("caps: [{max: 0, per: 1d, window: rolling, scope: all}]", "1:14", "no whole number from 1"),
    "broken window": Wrong("caps: [{max: 1, per: 1d, window: sliding, scope: all}]", "1:34", "none of the windows"),
    "calendar of hours": Wrong("caps: [{max: 1, per: 5h, window: calendar, scope: all}]", "1:22", "a calendar window can't last '5h'"),
    "rolling month": Wrong("caps: [{max: 1, per: month, window: rolling, scope: all}]", "1:22", "'month' is no duration"),
    "broken scope": Wrong("caps: [{max: 1, per: 1d, window: rolling, scope: some}]", "1:50", "no such scope"),
    "two scopes": Wrong(
        "caps: [{max: 1, per: 1d, window: rolling, scope: {channel: sms, tag: x}}]", "1:50", "no such scope; write all, or one of"
    ),
    "unknown scope": Wrong("caps: [{max: 1, per: 1d, window: rolling, scope: {chanel: sms}}]", "1:51", "did you mean 'channel'?"),
    "unknown stage": Wrong(
        "caps: [{max: 1, per: 1d, window: rolling, scope: all, stages: [actve]}]", "1:64", "did you mean 'active'?", schema_sees=False
    ),
    "unknown journey": Wrong(
        "caps: [{max: 1, per: 1d, window: rolling, scope: {journey: least}}]", "1:1", "a cap counts the journey 'least'", schema_sees=False
    ),
    "unknown zone": Wrong("timezone: Moscow", "1:11", "did you mean 'Europe/Moscow'?", schema_sees=False),
    "broken time": Wrong('quiet_hours: {from: "9:00", to: "21:00"}', "1:21", "'9:00' is no time of day"),
    "half a window": Wrong('quiet_hours: {from: "09:00"}', "1:14", "'to' is missing"),
    "broken mode": Wrong("consent: {email: always}", "1:18", "none of the consent modes"),
    "broken language": Wrong("language: Russian", "1:11", "no language tag"),
    "planned key": Wrong("holdout: 5", "1:1", "'holdout' is not supported yet"),
    "doubled key": Wrong("min_gap: 4h\nmin_gap: 5h", "2:1", "stands here twice", schema_sees=False),
}

RIGHT_LIFECYCLES = {
    "least": "stages: [active]",
    "everything": """\
stages: [lead, onboarding, active, dormant]
initial: lead
transitions:
  - {from: lead, to: onboarding, on: customer.registered}
  - {from: [lead, onboarding], to: active, on: [order.completed, order.postponed]}
  - {from: active, to: dormant, inactive: 60d}
  - {to: active, on: order.completed}
""",
}

WRONG_LIFECYCLES = {
    "no stages": Wrong("initial: lead", "1:1", "'stages' is missing"),
    "unknown initial": Wrong("stages: [lead]\ninitial: led", "2:10", "did you mean 'lead'?", schema_sees=False),
    "unknown target": Wrong(
        "stages: [lead]\ntransitions: [{to: active, on: a.b}]", "2:20", "no stage is called 'active'", schema_sees=False
    ),
    "no cause": Wrong("stages: [lead]\ntransitions: [{to: lead}]", "2:15", "needs either `on` or `inactive`"),
    "two causes": Wrong("stages: [lead]\ntransitions: [{to: lead, on: a.b, inactive: 1d}]", "2:15", "needs either `on` or `inactive`"),
    "no target": Wrong("stages: [lead]\ntransitions: [{on: a.b}]", "2:15", "'to' is missing"),
}
