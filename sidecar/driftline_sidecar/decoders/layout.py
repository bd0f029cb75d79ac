"""Where a row's features lie, whatever form the row has: an object by name or path, or an array in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from driftline.jsonpath import JsonPath, of_key, parse_path
from driftline.spec import Feature
from msgspec import UNSET

from driftline_sidecar.decoders.failure import DecodeError, Failure

Row = Sequence[object]
"""One value per feature, in the layout's order: JSON values, UNSET where the record has none."""


class Layout:
    """The features of one monitor, in the order of its schema."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = tuple(features)
        self.names = tuple(feature.name for feature in features)
        self._paths = tuple(
            parse_path(feature.path) if feature.path else of_key(feature.name) for feature in features
        )
        keys = [path.keys for path in self._paths]
        self.keys = tuple(key[0] for key in keys if key and len(key) == 1)
        """The record's own keys, where every feature is one; else empty."""
        if len(self.keys) != len(self._paths):
            self.keys = ()

    def rows(self, records: Sequence[object]) -> list[Row]:
        """Each record as a row. Raises DecodeError."""
        return [self.row(record) for record in records]

    def row(self, record: object) -> Row:
        """One record as a row. Raises DecodeError."""
        if isinstance(record, dict):
            return self.of_object(record)
        if isinstance(record, list):
            if len(record) != len(self.names):
                raise DecodeError(Failure.COLUMN_COUNT)
            return record
        if len(self.names) == 1 and isinstance(record, str | float | int):
            return (record,)
        raise DecodeError(Failure.UNKNOWN_SHAPE)

    def of_object(self, record: Mapping[str, object]) -> Row:
        """An object's features; an object that has none of them is no record."""
        if self.keys:
            get = record.get
            row: Row = [get(key, UNSET) for key in self.keys]
        else:
            row = [_first(record, path) for path in self._paths]
        if all(value is UNSET for value in row):
            raise DecodeError(Failure.UNKNOWN_SHAPE)
        return row

    def typed_decoder(self, path: JsonPath) -> Callable[[bytes], list[Row]] | None:
        """A parser of bodies whose records lie at `path`, compiled from the features' types.

        Three times as fast as parsing into dictionaries. It raises msgspec.ValidationError for every
        body that isn't exactly so (a string where a number belongs, arrays for records): those go
        the careful way. None where a feature or the records lie deeper than keys reach.
        """
        outer = path.keys
        if not self.keys or outer is None:
            return None
        return _compile(self.keys, self.features, outer)


def _first(record: object, path: JsonPath) -> object:
    return next(path.select(record), UNSET)


def _compile(
    keys: Sequence[str], features: Sequence[Feature], outer: Sequence[str]
) -> Callable[[bytes], list[Row]]:
    number, text = float | None | msgspec.UnsetType, str | None | msgspec.UnsetType
    fields = [
        (f"f{index}", number if feature.type == "numeric" else text, UNSET)
        for index, feature in enumerate(features)
    ]
    record = msgspec.defstruct(
        "Record", fields, rename={f"f{index}": key for index, key in enumerate(keys)}, gc=False
    )
    form: object = list[record] | record  # type: ignore[valid-type]
    for key in reversed(outer):
        form = msgspec.defstruct("Outer", [("inner", form)], rename={"inner": key}, gc=False)
    decode = msgspec.json.Decoder(form).decode
    astuple = msgspec.structs.astuple
    depth = len(outer)
    nothing = (UNSET,) * len(keys)

    def rows(body: bytes) -> list[Row]:
        found = decode(body)
        for _ in range(depth):
            found = found.inner
        made: list[Row] = [astuple(found)] if type(found) is record else [astuple(one) for one in found]
        if nothing in made:
            raise msgspec.ValidationError("a record without any feature")
        return made

    return rows
