"""A rule set as a whole: its files, its templates, its hash, and the way back from what was stored."""

from pathlib import Path

import pytest

from services.contracts.errors import InvalidRuleset
from services.contracts.ids import JourneyName, TemplateName
from services.contracts.resources import resource
from services.rules.core.ruleset import CapScope, Policy
from services.rules.loader import check_directory, load_directory, load_stored, read_earlier
from services.runtime.bundles import hash_of

JOURNEY = "trigger: {event: order.completed}\nsteps: [{send: note}]"


class Project:
    """A marketer's folder."""

    def __init__(self, folder: Path) -> None:
        self.rules = folder / "rules"
        self.templates = folder / "templates"
        self.write("templates/note/email/en/body.txt", "Hello")
        self.write("rules/journeys/thanks.yaml", JOURNEY)

    def write(self, name: str, text: str) -> None:
        """Write one file."""
        file = self.rules.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def mistakes(self) -> list[str]:
        """Return what the loader finds."""
        return [str(mistake) for mistake in check_directory(self.rules, self.templates)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a small project that is right."""
    return Project(tmp_path)


def test_only_journeys_are_required(project: Project) -> None:
    """Without policy and lifecycle their defaults hold, and a journey without a name is called as its file."""
    ruleset = load_directory(project.rules, project.templates).ruleset
    assert ruleset.policy == Policy()
    assert ruleset.lifecycle.stages == ()
    assert list(ruleset.journeys) == [JourneyName("thanks")]


def test_the_example_rule_set_is_right() -> None:
    """What Povod ships has no mistakes, not even warnings."""
    assert check_directory(resource("rules"), resource("templates")) == ()


def test_equal_journeys_of_different_names_have_versions_of_their_own(project: Project) -> None:
    """Two files with the same text are two journeys; a name that is written out gives the version that the file's name gives."""
    project.write("rules/journeys/again.yaml", JOURNEY)
    first = {journey.name: journey.version for journey in load_directory(project.rules, project.templates).ruleset.journeys.values()}
    assert len(set(first.values())) == 2
    project.write("rules/journeys/again.yaml", f"journey: again\n{JOURNEY}")
    second = load_directory(project.rules, project.templates).ruleset.journeys
    assert second[JourneyName("again")].version == first[JourneyName("again")]


def test_all_mistakes_come_at_once(project: Project) -> None:
    """One error lists the mistakes of all files, in the order of files and lines."""
    project.write("rules/journeys/a.yaml", "trigger: {event: a.b}\nprio: 1\nsteps: [{wait: 1x}]")
    project.write("rules/policy.yaml", "min_gap: soon")
    with pytest.raises(InvalidRuleset) as raised:
        load_directory(project.rules, project.templates)
    starts = [line.split(": ")[0] for line in str(raised.value).splitlines()]
    assert starts == ["journeys/a.yaml:2:1", "journeys/a.yaml:3:16", "policy.yaml:1:10"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &x [1]\nb: *x", "a.yaml:1:4: anchors and aliases are not allowed"),
        ("a: " + "[" * 50 + "]" * 50, "nested deeper than 40 levels"),
        ("a: [", "no YAML"),
        ("a: 'x", "no YAML"),
        ("- a", "not a mapping"),
        ("", "not a mapping"),
        ("? [a]\n: b", "a key must be a word"),
        ("a: !!python/object/apply:os.system [ls]", "unknown key 'a'"),
        ("a: \x07", "no YAML"),
    ],
)
def test_hostile_yaml_is_refused(project: Project, text: str, says: str) -> None:
    """Aliases, depth, broken YAML and tags end in a mistake, never in an exception or in work without bounds."""
    project.write("rules/journeys/a.yaml", text)
    assert any(says in line for line in project.mistakes())


def test_huge_and_foreign_files_are_refused(project: Project) -> None:
    """A file over 1 MB or not in UTF-8 is not read."""
    project.write("rules/journeys/big.yaml", "#" * 1_100_000)
    (project.rules / "journeys" / "latin.yaml").write_bytes(b"why: caf\xe9")
    assert project.mistakes() == [
        "journeys/big.yaml:1:1: the file is larger than 1048576 bytes; split it",
        "journeys/latin.yaml:1:1: the file is not UTF-8; save it as UTF-8",
    ]


def test_missing_folders_are_told(tmp_path: Path) -> None:
    """A folder that is not there, or has no journeys, is a mistake and no crash."""
    assert "there is no such folder" in str(check_directory(tmp_path / "none", tmp_path)[0])
    (tmp_path / "rules").mkdir()
    assert str(check_directory(tmp_path / "rules", tmp_path)[0]).startswith("journeys:1:1: the rule set has no journeys")


def test_names_of_journeys_are_unique(project: Project) -> None:
    """Two files with one journey name are refused."""
    project.write("rules/journeys/zweite.yaml", "journey: thanks\n" + JOURNEY)
    assert project.mistakes() == ["journeys/zweite.yaml:1:1: a journey 'thanks' stands in another file too; give one of them another name"]


def test_files_of_later_steps_are_told(project: Project) -> None:
    """A file that this release does not read is not silently left out."""
    project.write("rules/traits.yaml", "a: b")
    project.write("rules/journeys/other.yml", JOURNEY)
    assert project.mistakes() == [
        "journeys/other.yml:1:1: the name must end in .yaml; rename it to other.yaml",
        "traits.yaml:1:1: this file is not supported yet; move it out of the rules folder",
    ]


def test_a_slip_in_an_event_type_is_a_warning(project: Project) -> None:
    """Any event type may be used; one that is nearly a known one is a warning with a suggestion."""
    project.write("rules/journeys/thanks.yaml", "trigger: {event: order.complete}\nsteps: [{send: note}]")
    assert project.mistakes() == ["journeys/thanks.yaml:1:18: no event type 'order.complete' is known; did you mean 'order.completed'?"]
    project.write("rules/journeys/thanks.yaml", "trigger: {event: bonus.granted}\nsteps: [{send: note}]")
    assert project.mistakes() == []


def test_a_slip_in_a_name_of_the_event_is_a_warning(project: Project) -> None:
    """A name that the event's schema nearly has is a warning; a name of the shop's own is none."""
    project.write("rules/journeys/thanks.yaml", "trigger: {event: product.added, where: event.pric > 5}\nsteps: [{send: note}]")
    assert [line.split(":")[1:3] for line in project.mistakes()] == [["1", "40"]]
    project.write("rules/journeys/thanks.yaml", "trigger: {event: product.added, where: event.wholly_ours > 5}\nsteps: [{send: note}]")
    assert project.mistakes() == []


def test_expressions_in_blocks_point_at_the_line_below(project: Project) -> None:
    """The place of a mistake in a block text is the line of the text, not that of its key."""
    project.write("rules/journeys/thanks.yaml", "trigger: {event: a.b}\nkey: |\n  evnt.id\nsteps: [{send: note}]")
    assert project.mistakes()[0].startswith("journeys/thanks.yaml:3:")


def test_a_missing_template_is_a_warning_where_asked(project: Project) -> None:
    """With lenient templates a rule set without its templates loads, and says what is missing."""
    loaded = load_directory(project.rules, project.rules.parent / "none", lenient_templates=True)
    assert [mistake.problem for mistake in loaded.warnings] == ["there is no template 'note'"]


def test_stored_files_give_the_same_rule_set(project: Project) -> None:
    """What workers load from the store is what was loaded from the folder: same hash, journeys, templates."""
    project.write("rules/policy.yaml", "caps: [{max: 1, per: 7d, window: rolling, scope: all}]")
    loaded = load_directory(project.rules, project.templates)
    stored = load_stored(loaded.files)
    assert stored.hash == loaded.ruleset.hash == hash_of(loaded.files)
    assert stored.journeys == loaded.ruleset.journeys
    assert stored.policy.caps[0].scope == CapScope("all")
    assert stored.templates == {TemplateName("note"): hash_of(loaded.templates[TemplateName("note")])}


def test_a_journeys_version_is_what_it_says(project: Project) -> None:
    """Comments, layout and the order of keys do not change a journey's version; a changed step does."""
    first = load_directory(project.rules, project.templates).ruleset.journeys[JourneyName("thanks")].version
    project.write("rules/journeys/thanks.yaml", "# hello\nsteps:\n  - send: note\ntrigger:\n  event: order.completed\n")
    assert load_directory(project.rules, project.templates).ruleset.journeys[JourneyName("thanks")].version == first
    project.write("rules/journeys/thanks.yaml", "trigger: {event: order.completed}\nsteps: [{wait: 1h}, {send: note}]")
    assert load_directory(project.rules, project.templates).ruleset.journeys[JourneyName("thanks")].version != first


def test_a_changed_template_changes_the_rule_set(project: Project) -> None:
    """The words are part of the version, the shared layouts too."""
    first = load_directory(project.rules, project.templates).ruleset.hash
    project.write("templates/_layouts/mail.txt", "frame")
    second = load_directory(project.rules, project.templates).ruleset.hash
    project.write("templates/note/email/en/body.txt", "Good evening")
    assert len({first, second, load_directory(project.rules, project.templates).ruleset.hash}) == 3


def test_earlier_journeys_are_kept(project: Project) -> None:
    """Journeys of former rule sets are at hand by their version; what can't be read any more is left out."""
    former = load_directory(project.rules, project.templates)
    project.write("rules/journeys/thanks.yaml", "trigger: {event: order.completed}\nsteps: [{wait: 1h}, {send: note}]")
    now = load_directory(project.rules, project.templates)
    stored = load_stored(now.files, earlier=read_earlier({**former.files, "journeys/odd.yaml": "?"}))
    versions = {loaded.ruleset.journeys[JourneyName("thanks")].version for loaded in (former, now)}
    assert set(stored.versions) == versions
    assert stored.journeys[JourneyName("thanks")] == now.ruleset.journeys[JourneyName("thanks")]


def test_categories_of_a_consent_manager_stand_for_channels(project: Project) -> None:
    """A category has one channel or several, whatever the consent manager calls it."""
    project.write("rules/policy.yaml", 'consent_categories: {Advertising: [email, sms], "C0004": telegram}')
    ruleset = load_directory(project.rules, project.templates).ruleset
    assert ruleset.policy.consent_categories == {"Advertising": ("email", "sms"), "C0004": ("telegram",)}


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("consent_categories: [email]", "policy.yaml:1:21: a mapping of categories is wanted here"),
        ("consent_categories: {Advertising: [mail]}", "policy.yaml:1:36: 'mail' is none of the channels"),
        ("consent_categories: {A: email, A: sms}", "policy.yaml:1:32: the key 'A' stands here twice"),
    ],
)
def test_mistakes_in_categories_are_pointed_at(project: Project, written: str, problem: str) -> None:
    """What is no mapping of names to channels is an error at its place."""
    project.write("rules/policy.yaml", written)
    assert [mistake.split("; ")[0].startswith(problem) or mistake for mistake in project.mistakes()] == [True]
