"""The steps of a journey: `wait`, `send`, `if`, `exit`."""

from datetime import timedelta

import yaml

from services.contracts.ids import Channel, StepId, TemplateName
from services.contracts.messages import Kind
from services.rules.core.ruleset import ExitStep, IfStep, SendStep, Step, WaitStep
from services.rules.loader.conditions import condition_after
from services.rules.loader.mistakes import cure_of
from services.rules.loader.sections import Section, Source, duration, is_bare, list_of, text
from services.rules.loader.vocabulary import Vocabulary, channel, kind, template

KEYS = {
    "wait": frozenset({"wait"}),
    "send": frozenset({"send", "kind", "channels", "tags", "valid_for"}),
    "if": frozenset({"if", "then", "else"}),
    "exit": frozenset({"exit"}),
}
"""The keys of each kind of step; the first names the kind."""
PLANNED_STEPS = frozenset({"wait_until", "wait_for", "split", "set", "task", "webhook"})
PLANNED_SEND = frozenset({"coupon", "fallback", "on_conflict"})
MAX_STEPS = 200
"""Steps of one journey, all branches together."""
_DEFAULT_CHANNELS = (Channel("email"),)


class StepReader:
    """Reads the steps of one journey; counts them, and gives each its path as id."""

    def __init__(self, source: Source, vocabulary: Vocabulary, triggers: tuple[str, ...]) -> None:
        """`triggers` are the types of the events that may begin the journey."""
        self._source = source
        self._condition = condition_after(triggers)
        self._vocabulary = vocabulary
        self._count = 0

    def sequence(self, node: yaml.Node, path: str) -> tuple[Step, ...]:
        """Read a list of steps."""
        if not isinstance(node, yaml.SequenceNode):
            self._source.error(node, "a list of steps is wanted here", "begin each step with `- `")
            return ()
        steps = [self._step(item, f"{path}/{n}") for n, item in enumerate(node.value)]
        return tuple(step for step in steps if step is not None)

    def _step(self, node: yaml.Node, path: str) -> Step | None:
        self._count += 1
        if self._count == MAX_STEPS + 1:
            self._source.error(node, f"the journey has more than {MAX_STEPS} steps", "split it")
        if is_bare(node, "exit"):
            return ExitStep(StepId(path))
        if not isinstance(node, yaml.MappingNode):
            self._source.error(node, "a step is wanted here", "write one of: wait, send, if, exit")
            return None
        return self._of_kind(node, path)

    def _of_kind(self, node: yaml.MappingNode, path: str) -> Step | None:
        keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
        found = next((name for name in KEYS if name in keys), None)
        if found is None:
            self._note_unknown(node, keys)
            return None
        fields = Section(self._source, node, KEYS[found], PLANNED_SEND if found == "send" else ())
        match found:
            case "wait":
                return self._wait(fields, path)
            case "send":
                return self._send(fields, path)
            case "if":
                return self._if(fields, path)
        return ExitStep(StepId(path))

    def _note_unknown(self, node: yaml.MappingNode, keys: list[str]) -> None:
        if planned := next((key for key in keys if key in PLANNED_STEPS), None):
            self._source.error(node, f"the step {planned!r} is not supported yet", "use one of: wait, send, if, exit")
        else:
            self._source.error(node, "no step is named here", cure_of(keys[0] if keys else "", KEYS, "steps"))

    def _wait(self, fields: Section, path: str) -> Step | None:
        node = fields.require("wait", "write how long: `- wait: 1h`")
        length = None if node is None else duration(self._source, node)
        return None if length is None else WaitStep(StepId(path), length)

    def _send(self, fields: Section, path: str) -> Step | None:
        node = fields.require("send", "name the template: `- send: cart-reminder`")
        name = None if node is None else template(self._source, node, self._vocabulary)
        channels = fields.read("channels", list_of(channel), _DEFAULT_CHANNELS)
        if node is None or name is None:
            return None
        self._check_channels(fields, node, name, channels)
        return SendStep(
            id=StepId(path),
            template=name,
            kind=fields.read("kind", kind, Kind.REGULAR),
            channels=channels,
            tags=fields.read("tags", list_of(text), ()),
            valid_for=fields.read("valid_for", duration, timedelta(hours=24)),
        )

    def _check_channels(self, fields: Section, node: yaml.Node, name: TemplateName, channels: tuple[Channel, ...]) -> None:
        listed = fields.get("channels")
        if isinstance(listed, yaml.SequenceNode) and not listed.value:
            self._source.error(listed, "no channel is listed", "name at least one: [email]")
        written = self._vocabulary.templates.get(name)
        for missing in channels if written else ():
            if written and missing not in written:
                problem = f"the template {name!r} is not written for the channel {missing!r}"
                self._source.error(listed or node, problem, f"write {name}/{missing}/en/, or send on: {', '.join(sorted(written))}")

    def _if(self, fields: Section, path: str) -> Step | None:
        node = fields.require("if", "write a condition: `- if: customer.orders > 3`")
        then = fields.require("then", "list the steps to take when it holds")
        otherwise = fields.get("else")
        checked = None if node is None else self._condition(self._source, node)
        then_steps = () if then is None else self.sequence(then, f"{path}/then")
        else_steps = () if otherwise is None else self.sequence(otherwise, f"{path}/else")
        return None if checked is None else IfStep(StepId(path), checked, then_steps, else_steps)
