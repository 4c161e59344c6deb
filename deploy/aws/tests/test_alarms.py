"""Every alarm reaches somebody, who finds a section of its name in the runbook."""

import re
from pathlib import Path
from typing import Any

from tests.conftest import Synthesis
from tests.templates import of_type, read

RUNBOOK = Path(__file__).parents[2] / "runbook.md"


def alarms(synthesised: Synthesis, variant: str = "small") -> list[dict[str, Any]]:
    """Return those that are for people, not for scaling."""
    found = of_type(read(synthesised(variant), "rt-app"), "AWS::CloudWatch::Alarm")
    return [alarm for alarm in found if "AlarmName" in alarm]


def test_every_alarm_tells_the_topic_when_it_begins_and_ends(synthesised: Synthesis) -> None:
    found = alarms(synthesised)
    assert len(found) >= 10
    for alarm in found:
        assert alarm["AlarmActions"] == alarm["OKActions"] != []


def test_every_alarm_has_a_section_in_the_runbook(synthesised: Synthesis) -> None:
    headings = set(re.findall(r"^### (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE))
    named = {alarm["AlarmName"].removeprefix("rt-") for alarm in alarms(synthesised)}
    assert named <= headings


def test_silence_of_what_must_be_there_is_an_alarm(synthesised: Synthesis) -> None:
    treated = {alarm["AlarmName"]: alarm["TreatMissingData"] for alarm in alarms(synthesised)}
    assert {name for name, how in treated.items() if how == "breaching"} == {
        "rt-NoWorker",
        "rt-ServiceDown",
        "rt-TooFewTasks",
    }


def test_only_a_task_that_ended_by_itself_counts_as_a_restart(synthesised: Synthesis) -> None:
    template = read(synthesised("small"), "rt-app")
    (rule,) = of_type(template, "AWS::Events::Rule")
    ended = rule["EventPattern"]["detail"]
    assert (ended["lastStatus"], ended["stopCode"]) == (["STOPPED"], ["EssentialContainerExited"])
    (alarm,) = [one for one in alarms(synthesised) if one["AlarmName"] == "rt-ServiceRestarts"]
    assert alarm["Dimensions"] == [{"Name": "RuleName", "Value": rule["Name"]}]
    assert [target["Arn"] for target in rule["Targets"]] == alarm["AlarmActions"]


def test_alarms_and_stops_may_be_told_to_the_topic_and_read_its_key(
    synthesised: Synthesis,
) -> None:
    template = read(synthesised("small"), "rt-app")
    (topic,) = of_type(template, "AWS::SNS::TopicPolicy")
    (key,) = of_type(template, "AWS::KMS::Key")
    for document in (topic["PolicyDocument"], key["KeyPolicy"]):
        assert ["cloudwatch.amazonaws.com", "events.amazonaws.com"] in [
            statement["Principal"].get("Service")
            for statement in document["Statement"]
            if statement["Effect"] == "Allow"
        ]


def test_alarms_go_to_the_address_that_was_given(synthesised: Synthesis) -> None:
    (subscription,) = of_type(read(synthesised("large"), "rt-app"), "AWS::SNS::Subscription")
    assert subscription["Protocol"] == "email"
    assert subscription["Endpoint"] == "on-call@example.com"
