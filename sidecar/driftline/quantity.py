"""Durations and sizes as Kubernetes writes them: `5m`, `1h30m`, `1Mi`, `500k`.

Value types over int, so that arithmetic needs no conversion and `str()` gives back what a person
would have written. Neither knows the spec that uses it.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import ClassVar

_DURATION_UNITS = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 1_000),
    "us": Fraction(1, 1_000_000),
    "µs": Fraction(1, 1_000_000),
    "ns": Fraction(1, 1_000_000_000),
}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|[hms])")
_LONGER_UNITS = {"d": 24, "w": 168}

_BINARY_SUFFIXES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL_SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{0,15})?)(?:e([0-9]{1,2})|(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P))?")

MAX_TEXT = 32
"""Longest text of a quantity, in characters; what is longer is refused unread."""


class Duration(int):
    """Whole seconds, not negative. `Duration.parse("1h30m") == 5400`, `str(Duration(5400)) == "1h30m"`."""

    PATTERN: ClassVar[str] = r"^([0-9]+(h|m|s))+$"
    """What a schema accepts (RE2 and ECMAScript alike): whole numbers of what `parse` takes, which also reads
    Go's rarer forms. So an API server takes nothing that `parse` refuses, such as `500ms`."""

    @classmethod
    def parse(cls, text: str) -> Duration:
        """The duration that `text` writes in Go's form, as metav1.Duration reads it.

        Raises ValueError that says what to write: for unknown units, for days and weeks (Go has
        none) and for what is not a whole number of seconds.
        """
        if not 0 < len(text) <= MAX_TEXT:
            raise ValueError("must be a duration such as 30s, 5m or 1h30m")
        total = Fraction(0)
        end = 0
        for match in _DURATION_PART.finditer(text):
            if match.start() != end:
                break
            total += Fraction(match[1].rstrip(".")) * _DURATION_UNITS[match[2]]
            end = match.end()
        if end != len(text):
            raise ValueError(f"must be a duration such as 30s, 5m or 1h30m{_hint(text)}, not {text!r}")
        if total.denominator != 1:
            raise ValueError(f"must be a whole number of seconds, not {text!r}")
        return cls(total.numerator)

    def __str__(self) -> str:
        """The shortest form: `24h`, `1h30m`, `90s` as `1m30s`, `0s`."""
        minutes, seconds = divmod(int(self), 60)
        hours, minutes = divmod(minutes, 60)
        parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
        return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"

    def __repr__(self) -> str:
        return f"Duration({str(self)!r})"

    def __format__(self, spec: str) -> str:
        """Without a format the text, with one (`d`) the seconds."""
        return format(int(self), spec) if spec else str(self)


class Size(int):
    """Whole bytes, not negative. `Size.parse("1Mi") == 1048576`, `str(Size(500_000)) == "500k"`."""

    PATTERN: ClassVar[str] = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P|e[0-9]+)?$"
    """What a schema accepts where the size is text; a bare number of bytes is accepted too."""

    @classmethod
    def parse(cls, text: str | int) -> Size:
        """The size that `text` writes as a Kubernetes quantity; an int is bytes.

        Raises ValueError that says what to write: for unknown suffixes (`MB`, `mb`, `KB`), for
        negative sizes and for fractions of a byte.
        """
        if isinstance(text, int):
            if text < 0:
                raise ValueError(f"must not be negative ({text})")
            return cls(text)
        match = _SIZE.fullmatch(text) if len(text) <= MAX_TEXT else None
        if match is None:
            raise ValueError(f"must be a size in bytes such as 1Mi, 500k or 65536, not {text!r}")
        number, exponent, suffix = match.groups()
        factor = 10 ** int(exponent) if exponent else _SUFFIXES[suffix or ""]
        total = Fraction(number.rstrip(".")) * factor
        if total.denominator != 1:
            raise ValueError(f"must be a whole number of bytes, not {text!r}")
        return cls(total.numerator)

    def __str__(self) -> str:
        """With the largest suffix that divides it, binary before decimal: `1Mi`, `500k`, `1025`."""
        for suffixes in (_BINARY_SUFFIXES, _DECIMAL_SUFFIXES):
            for suffix, factor in reversed(suffixes.items()):
                if self and int(self) % factor == 0:
                    return f"{int(self) // factor}{suffix}"
        return str(int(self))

    def __repr__(self) -> str:
        return f"Size({str(self)!r})"

    def __format__(self, spec: str) -> str:
        """Without a format the text, with one (`d`) the bytes."""
        return format(int(self), spec) if spec else str(self)


_SUFFIXES = {"": 1, **_BINARY_SUFFIXES, **_DECIMAL_SUFFIXES}


def _hint(text: str) -> str:
    """For days and weeks: what to write instead."""
    match = re.fullmatch(r"([0-9]{1,6})([dw])", text)
    return f" (here {int(match[1]) * _LONGER_UNITS[match[2]]}h)" if match else ""
