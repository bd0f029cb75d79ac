"""Which pods a label selector means, as Kubernetes reads it."""

from __future__ import annotations

from collections.abc import Mapping

from driftline.spec import LabelExpression, LabelSelector


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Do these labels meet every requirement?"""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _meets(each, labels) for each in selector.match_expressions
    )


def _meets(expression: LabelExpression, labels: Mapping[str, str]) -> bool:
    """As Kubernetes: NotIn and DoesNotExist hold where the label is absent."""
    value = labels.get(expression.key)
    match expression.operator:
        case "In":
            return value in expression.values
        case "NotIn":
            return value not in expression.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
