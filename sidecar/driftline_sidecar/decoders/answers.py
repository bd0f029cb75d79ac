"""From what a model answered to predictions and scores.

Models answer in many forms: a class, a number, a probability, a vector of probabilities, an object with
some of these. What each means is decided here once, for all protocols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from driftline.jsonpath import JsonPath, parse_path
from driftline.spec import Model, Prediction
from msgspec import UNSET

from driftline_sidecar.decoders.failure import DecodeError, Failure

Answer = tuple[object, object]
"""Prediction and score of one row, UNSET where there is none."""

NOTHING: Answer = (UNSET, UNSET)

_PREDICTION_KEYS = ("label", "class", "prediction", "predicted", "value")
_SCORE_KEYS = ("score", "probability", "proba")
_VECTOR_KEYS = ("probabilities", "scores", "proba", "probability")
USUAL_KEYS = frozenset((*_PREDICTION_KEYS, *_SCORE_KEYS, *_VECTOR_KEYS))
"""Where answers are looked for beside the names that the monitor gives."""
_THRESHOLD = 0.5
"""A classifier that answers with a probability alone has predicted the positive class from here on."""


class Answers:
    """Reads the answers of one model."""

    def __init__(self, model: Model, prediction: Prediction, hidden: frozenset[str] = frozenset()) -> None:
        """`hidden`: of USUAL_KEYS, those that are redacted."""
        self._classifies = model.type == "classification"
        self._prediction = prediction
        self._named = prediction.path is not None
        self._path, self._keys = _place(
            prediction.path, (prediction.name, *_without(_PREDICTION_KEYS, hidden))
        )
        usual = _without(_SCORE_KEYS, hidden)
        self._vector_keys = _without(_VECTOR_KEYS, hidden)
        scores = usual if prediction.score is None else (prediction.score, *usual)
        self._score_path, self._score_keys = _place(prediction.score_path, scores)

    def each(self, found: object, rows: int) -> list[Answer]:
        """One answer per row, of a list of predictions or of the only one. Raises DecodeError."""
        if isinstance(found, dict):
            columns = self._columns(found, rows)
            if columns is not None:
                return columns
        if not isinstance(found, list):
            items: Sequence[object] = (found,)
        elif rows == 1 and len(found) != 1 and self.is_vector(found):
            items = (found,)
        else:
            items = found
        if len(items) != rows:
            raise DecodeError(Failure.ROW_COUNT)
        return [self.one(item) for item in items]

    def one(self, item: object) -> Answer:
        """The answer of one row. Raises DecodeError where there is none."""
        if isinstance(item, dict):
            return self._of_object(item)
        if isinstance(item, list):
            if len(item) == 1:
                return self.one(item[0])
            if not self.is_vector(item):
                raise DecodeError(Failure.NO_PREDICTION)
            return self.of_vector(item)
        if item is None or item is UNSET:
            raise DecodeError(Failure.NO_PREDICTION)
        if self._prediction.score is not None and self._classifies and _is_probability(item):
            return self._class_at(item >= _THRESHOLD), item
        return item, UNSET

    def is_vector(self, items: Sequence[object]) -> bool:
        """Whether these may be the probabilities of a classifier's classes."""
        return (
            self._classifies
            and len(items) > 1
            and all(isinstance(item, int | float) and 0 <= item <= 1 for item in items)
        )

    def of_vector(self, probabilities: Sequence[object]) -> Answer:
        """The most probable class, and the probability of the positive one."""
        numbers = [float(value) for value in probabilities if isinstance(value, int | float)]
        best = max(range(len(numbers)), key=numbers.__getitem__)
        positive = self._positive(len(numbers))
        return self._name(best), UNSET if positive is None else numbers[positive]

    def score(self, item: object) -> object:
        """The score that a value of the score's own column or tensor says: itself, or of its vector."""
        if not isinstance(item, list):
            return item
        return self.of_vector(item)[1] if self.is_vector(item) else UNSET

    def _columns(self, found: Mapping[str, object], rows: int) -> list[Answer] | None:
        """`{"prediction": [..], "score": [..]}`: a list a column; None where that isn't the form."""
        values = found.get(self._prediction.name)
        if not isinstance(values, list) or (rows == 1 and len(values) != 1):
            return None
        scores = found.get(self._prediction.score or "", UNSET)
        if len(values) != rows or (isinstance(scores, list) and len(scores) != rows):
            raise DecodeError(Failure.ROW_COUNT)
        read = [self.one(value) for value in values]
        if not isinstance(scores, list):
            return read
        return [(value, self.score(score)) for (value, _), score in zip(read, scores, strict=True)]

    def _of_object(self, item: Mapping[str, object]) -> Answer:
        prediction = _select(item, self._path, self._keys)
        score = _select(item, self._score_path, self._score_keys)
        if isinstance(score, list) and self.is_vector(score):
            named, score = self.of_vector(score)
            prediction = named if prediction is UNSET else prediction
        elif prediction is UNSET and not self._named:
            vector = next((item[key] for key in self._vector_keys if key in item), UNSET)
            if isinstance(vector, list) and self.is_vector(vector):
                return self.of_vector(vector)
            if self._classifies and _is_probability(score):
                return self._class_at(score >= _THRESHOLD), score
        if isinstance(prediction, list | dict):
            read, own = self.one(prediction)
            return read, own if score is UNSET else score
        if prediction is UNSET:
            raise DecodeError(Failure.NO_PREDICTION)
        return prediction, score

    def _positive(self, classes: int) -> int | None:
        wanted = self._prediction.positive
        if isinstance(wanted, int):
            return wanted if wanted < classes else None
        if wanted is not None:
            named = self._prediction.classes
            return named.index(wanted) if wanted in named[:classes] else (1 if classes == 2 else None)
        return 1 if classes == 2 else None

    def _name(self, index: int) -> str:
        classes = self._prediction.classes
        if index < len(classes):
            return classes[index]
        wanted = self._prediction.positive
        return wanted if isinstance(wanted, str) and index == 1 else str(index)

    def _class_at(self, positive: bool) -> str:
        wanted = self._prediction.positive
        index = wanted if isinstance(wanted, int) else self._positive(2)
        if index is None:
            index = 1
        return self._name(index if positive else 1 - min(index, 1))


def _place(text: str | None, usual: tuple[str, ...]) -> tuple[JsonPath | None, tuple[str, ...]]:
    """Where an answer stands: at a path, or at the first of some keys.

    A path of one key is looked up as a key: walking it would take half of the time of decoding.
    """
    if text is None:
        return None, usual
    path = parse_path(text)
    keys = path.keys
    return (None, keys) if keys is not None and len(keys) == 1 else (path, ())


def _without(keys: tuple[str, ...], hidden: frozenset[str]) -> tuple[str, ...]:
    return tuple(key for key in keys if key not in hidden)


def _select(item: Mapping[str, object], path: JsonPath | None, keys: Sequence[str]) -> object:
    if path is not None:
        return next(path.select(item), UNSET)
    for key in keys:
        if key in item:
            return item[key]
    return UNSET


def _is_probability(item: object) -> TypeGuard[float]:
    """A float from 0 to 1; `1` is a class, `1.0` is not."""
    return type(item) is float and 0.0 <= item <= 1.0
