"""CloudWatch as far as alarms need it: metrics out of lines in the embedded format, and the rules by which an alarm fires.

As AWS documents it (Using Amazon CloudWatch alarms, "Evaluating an alarm"): of the last `EvaluationPeriods` periods
`DatapointsToAlarm` have to breach, and `TreatMissingData` says what a period without data counts as. No emulator
evaluates all of it, and none evaluates metric math.
"""

import ast
import json
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

PERIOD_SECONDS = 60

Name = tuple[str, str, frozenset[tuple[str, str]]]
"""Namespace, metric and dimensions: an alarm sees what has exactly these."""

_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}
_OPERATORS: dict[type[ast.AST], Callable[[float, float], Any]] = {
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.GtE: operator.ge,
}


class Metrics:
    """What was measured, minute by minute; several values of a minute are as many observations."""

    def __init__(self) -> None:
        self._minutes: dict[tuple[Name, int], list[float]] = defaultdict(list)

    def put(self, name: Name, minute: int, *values: float) -> None:
        self._minutes[name, minute] += values

    def put_lines(self, lines: Iterable[bytes], minute: int) -> None:
        """Take metrics out of a task's lines, as CloudWatch does, whatever their own time says."""
        for line in map(json.loads, lines):
            for directive in line["_aws"]["CloudWatchMetrics"]:
                for dimensions in directive["Dimensions"]:
                    named = frozenset((one, line[one]) for one in dimensions)
                    for metric in directive["Metrics"]:
                        name = (directive["Namespace"], metric["Name"], named)
                        self.put(name, minute, *_observed(line[metric["Name"]]))

    def statistic(self, name: Name, minute: int, statistic: str) -> float | None:
        values = self._minutes.get((name, minute))
        if not values:
            return None
        if statistic.startswith("p"):
            rank = round(float(statistic[1:]) / 100 * (len(values) - 1))
            return sorted(values)[rank]
        return float(
            {"Sum": sum, "Maximum": max, "Minimum": min, "Average": _mean}[statistic](values)
        )


def _observed(value: Any) -> list[float]:
    if not isinstance(value, dict):
        return [value]
    pairs = zip(value["Values"], value["Counts"], strict=True)
    return [one for one, count in pairs for _ in range(count)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def names_in(alarm: Mapping[str, Any]) -> dict[str, Name]:
    """Return the metrics an alarm looks at, by their ids in its expression; the only one of a plain alarm by ''."""
    if "Metrics" not in alarm:
        return {"": _name(alarm)}
    return {
        one["Id"]: _name(one["MetricStat"]["Metric"])
        for one in alarm["Metrics"]
        if "MetricStat" in one
    }


def _name(metric: Mapping[str, Any]) -> Name:
    dimensions = {
        # what only a deployment tells is told apart by where it comes from
        (one["Name"], one["Value"] if isinstance(one["Value"], str) else json.dumps(one["Value"]))
        for one in metric.get("Dimensions", ())
    }
    return metric["Namespace"], metric["MetricName"], frozenset(dimensions)


def fires(alarm: Mapping[str, Any], metrics: Metrics, minute: int) -> bool:
    """Return whether an alarm is in the state ALARM at the end of a minute."""
    last = range(minute - alarm["EvaluationPeriods"] + 1, minute + 1)
    is_breach = _COMPARED[alarm["ComparisonOperator"]]
    breaches = 0
    for one in last:
        value = _value(alarm, metrics, one)
        if value is None:
            breaches += alarm["TreatMissingData"] == "breaching"
        else:
            breaches += is_breach(value, alarm["Threshold"])
    return bool(breaches >= alarm["DatapointsToAlarm"])


def _value(alarm: Mapping[str, Any], metrics: Metrics, minute: int) -> float | None:
    names = names_in(alarm)
    if "" in names:
        statistic = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        return metrics.statistic(names[""], minute, statistic)
    statistics = {
        one["Id"]: one["MetricStat"]["Stat"] for one in alarm["Metrics"] if "MetricStat" in one
    }
    values = {key: metrics.statistic(name, minute, statistics[key]) for key, name in names.items()}
    (expression,) = [one["Expression"] for one in alarm["Metrics"] if "Expression" in one]
    result = _calculated(ast.parse(expression, mode="eval").body, values)
    return None if result is None else float(result)


def _calculated(node: ast.AST, values: Mapping[str, float | None]) -> Any:
    """Return what an expression comes to; None where a value it needs is missing."""
    match node:
        case ast.Constant(value=number):
            return number
        case ast.Name(id=name):
            return values[name]
        case (
            ast.BinOp(left=left, op=sign, right=right)
            | ast.Compare(left=left, ops=[sign], comparators=[right])
        ):
            first, second = _calculated(left, values), _calculated(right, values)
            return None if None in (first, second) else _OPERATORS[type(sign)](first, second)
        case ast.Call(func=ast.Name(id="FILL"), args=[inner, instead]):
            value = _calculated(inner, values)
            return _calculated(instead, values) if value is None else value
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            chosen = _calculated(condition, values)
            return None if chosen is None else _calculated(then if chosen else otherwise, values)
    raise AssertionError(ast.dump(node))
