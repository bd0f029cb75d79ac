"""What a mirror is told: `shadow.yaml` beside the monitor, from the controller to the analyzer."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import msgspec
import yaml

from driftline.errors import DataError, InvalidSpec
from driftline.quantity import Duration
from driftline.shadow.plan import ComparisonPlan, Sort
from driftline.spec.shadow import Aa, Compare, Tolerance, Traffic

MIRROR_FILE: Final = "shadow.yaml"
VERSION: Final = 1
VARIANT: Final = "shadow/"
"""With it begin the variants of candidates: what they answer is nobody's performance."""
LEAST_KEY: Final = 32
"""Bytes of a marker's key."""


_ORIGIN: Final = re.compile(r"(https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?)/?")


class ShadowId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which shadow, at which generation of its spec."""

    uid: str
    name: str
    generation: int = 1

    @property
    def variant(self) -> str:
        """What the candidate's predictions are called in the hub, beside the live model's."""
        return f"{VARIANT}{self.uid}/{self.generation}"


class _PlanForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan as people can read it."""

    sort: Sort
    classes: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    clip: float | None = None
    tolerance: Tolerance = Tolerance()
    segments: dict[str, tuple[str, ...]] = {}


class _Form(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    version: int
    shadow: ShadowId
    began: float
    url: str
    plan: _PlanForm
    live: str = ""
    until: float | None = None
    ready: bool = True
    warming: bool = False
    key: str = ""
    logged: bool = False
    traffic: Traffic = Traffic()
    compare: Compare = Compare()
    aa: Aa = Aa()


class MirrorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`began`: unix seconds, from which days count; `until`: when the comparison is over, whoever forgets to
    say so. `url`, `live`: scheme, host and port, no path.

    `ready`: whether the candidate is. `warming`: copies are only sent so that it gets warm, and nothing is
    counted; another life, of a later `began`, compares. `key`: of the marker, where there is no token; empty:
    one of the process. `logged`: send the candidate's answers to the hub, which joins them with labels.
    """

    shadow: ShadowId
    began: float
    url: str
    plan: ComparisonPlan
    live: str = ""
    until: float = math.inf
    ready: bool = True
    warming: bool = False
    key: bytes = b""
    logged: bool = False
    traffic: Traffic = Traffic()
    compare: Compare = Compare()
    aa: Aa = Aa()

    @property
    def life(self) -> tuple[ShadowId, float, bool, ComparisonPlan]:
        """What parts are of: another one begins new parts."""
        return self.shadow, self.began, self.warming, self.plan

    def day(self, now: float) -> int:
        """Whole days since the shadow began, from 0."""
        return max(0, int((now - self.began) // (24 * 3600)))


def decode_mirror(raw: bytes, source: str = MIRROR_FILE) -> MirrorConfig:
    """The configuration of these bytes, YAML or JSON. Raises DataError with the file's name."""
    try:
        form = msgspec.convert(yaml.safe_load(raw), _Form, dec_hook=_parse)
        return _built(form)
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError, InvalidSpec, ValueError) as error:
        raise DataError(f"{source}: {error}") from error


def encode_mirror(config: MirrorConfig) -> str:
    """The configuration as text that `decode_mirror` reads back to an equal one."""
    plan = config.plan
    form = _Form(
        version=VERSION,
        shadow=config.shadow,
        began=config.began,
        url=config.url,
        live=config.live,
        until=config.until if math.isfinite(config.until) else None,
        ready=config.ready,
        warming=config.warming,
        key=config.key.hex(),
        logged=config.logged,
        traffic=config.traffic,
        compare=config.compare,
        aa=config.aa,
        plan=_PlanForm(
            sort=plan.sort,
            classes=plan.classes,
            edges=plan.edges,
            clip=plan.clip,
            tolerance=plan.tolerance,
            segments=dict(plan.segments),
        ),
    )
    return msgspec.json.encode(form, enc_hook=str).decode()


def _built(form: _Form) -> MirrorConfig:
    if form.version != VERSION:
        raise ValueError(f"version {form.version}, this program reads {VERSION}: use programs of one release")
    if form.aa.share > 0 and not form.live:
        raise ValueError("aa.share needs `live`, the model's own address")
    key = bytes.fromhex(form.key)
    if key and len(key) < LEAST_KEY:
        raise ValueError(f"key must be {LEAST_KEY} bytes or more in hex")
    plan = form.plan
    return MirrorConfig(
        shadow=form.shadow,
        began=form.began,
        url=_origin("url", form.url),
        live=_origin("live", form.live) if form.live else "",
        until=math.inf if form.until is None else form.until,
        ready=form.ready,
        warming=form.warming,
        key=key,
        logged=form.logged,
        traffic=form.traffic,
        compare=form.compare,
        aa=form.aa,
        plan=ComparisonPlan(
            sort=plan.sort,
            classes=plan.classes,
            edges=plan.edges,
            clip=plan.clip,
            tolerance=plan.tolerance,
            segments=tuple(plan.segments.items()),
        ),
    )


def _origin(field: str, url: str) -> str:
    found = _ORIGIN.fullmatch(url)
    if found is None:
        raise ValueError(f"{field} must be http(s)://HOST:PORT without a path ({url!r})")
    return found[1]


def _parse(kind: type, value: Any) -> Any:
    return Duration.parse(value) if kind is Duration else kind(value)
