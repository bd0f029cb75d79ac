"""A stored profile is the same profile, or is refused with a word on what to do."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from driftline.errors import ProfileError
from driftline.labels import LabelsBuilder, ScoreLabels, score_edges
from driftline.pane import Axes
from driftline.profile import ModelName, Profile, Season
from driftline.profile_codec import decode_profile, encode_profile, sealed
from driftline.profile_parts import (
    CONFIG_MAP_BYTES,
    MOST_PARTS,
    further_names,
    join_profile,
    part_head,
    split_profile,
)
from msgspec.structs import asdict

from tests.support.profiles import column, reference, texts

DAY = 86_400.0


def example(seed: int = 0) -> Profile:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=4000)
    x[:10] = np.nan
    x[10:13] = np.inf
    columns = {
        "x": x,
        "y": rng.lognormal(size=4000),
        "few": rng.integers(0, 4, 4000).astype(float),
        "constant": np.full(4000, 7.0),
        "nothing": np.full(4000, np.nan),
        "c": [*texts(rng.integers(0, 5, 3999)), None],
    }
    times = np.sort(rng.uniform(0, 30 * DAY, 4000))
    return reference(
        columns,
        times,
        windows=(3600, 86_400),
        season=Season.DAILY,
        created=1.7e9,
        model=ModelName("late", "3"),
    )


def assert_same(a: Profile, b: Profile) -> None:
    assert encode_profile(a) == encode_profile(b)
    assert (a.hash, a.rows, a.created, a.season, a.span, a.model) == (
        *(b.hash, b.rows, b.created, b.season, b.span, b.model),
    )
    for one, other in zip(a.features, b.features, strict=True):
        assert one.axis == other.axis
        assert one.counts == other.counts
        assert (one.name, one.role, one.mean, one.sd, one.max_abs) == (
            *(other.name, other.role, other.mean, other.sd, other.max_abs),
        )
    assert a.diagnostics == b.diagnostics
    assert a.calibration == b.calibration


def test_round_trip() -> None:
    profile = example()
    assert profile.calibration is not None
    assert profile.components is not None
    assert_same(decode_profile(encode_profile(profile)), profile)


def test_equal_rows_give_equal_bytes() -> None:
    assert encode_profile(example()) == encode_profile(example())
    assert example().hash != example(seed=1).hash


def test_the_hash_is_of_the_content_not_of_when_it_was_made() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=500)
    early, late = reference({"x": x}, created=1.0), reference({"x": x}, created=2.0)
    assert early.hash == late.hash
    assert encode_profile(early) != encode_profile(late)
    assert len(early.hash) == 64


def test_deciles_are_exact() -> None:
    x = np.random.default_rng(3).standard_cauchy(5000)
    stored = decode_profile(encode_profile(reference({"x": x}))).feature("x")
    assert stored is not None
    np.testing.assert_array_equal(
        stored.axis.decile_edges,  # type: ignore[union-attr]
        [np.quantile(x, k / 10) for k in range(1, 10)],
    )
    assert stored.mean == float(np.mean(x))
    assert stored.sd == float(np.std(x))


def test_axes_count_on_the_profiles_hash() -> None:
    profile = example()
    axes = profile.axes()
    assert isinstance(axes, Axes)
    assert axes.profile_hash == profile.hash
    assert set(axes.features) == {feature.name for feature in profile.features}


def test_labels_round_trip() -> None:
    rng = np.random.default_rng(4)
    scores = rng.beta(2, 5, 3000)
    builder = LabelsBuilder(score_edges(scores), regression=False, rows=3000)
    segments = {"sex": column(texts(rng.integers(0, 2, 3000)))}
    builder.add(scores, (rng.uniform(size=3000) < scores).astype(float), segments)
    profile = sealed(replace(example(), labels=builder.build()))
    read = decode_profile(encode_profile(profile))
    assert read.labels is not None
    assert encode_profile(read) == encode_profile(profile)
    whole = read.labels.groups[0]
    assert whole.group.segment is None
    assert int(whole.negatives.sum() + whole.positives.sum()) == 3000  # type: ignore[union-attr]
    assert isinstance(read.labels, ScoreLabels)
    assert read.labels.blocks is not None
    assert int(read.labels.blocks.counts.sum()) == 3000


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: b"", "not a Driftline profile"),
        (lambda d: b"hello", "not a Driftline profile"),
        (lambda d: gzip.compress(b"hello"), "not a Driftline profile"),
        (lambda d: d[:-9], "cut short"),
        (lambda d: d[: len(d) // 2], "cut short"),
        (lambda d: d[:2000] + b"\0\0\0\0" + d[2004:], "damaged"),
        (lambda d: d + b"more", "bytes follow"),
    ],
)
def test_damaged_files_are_refused(damage: object, said: str) -> None:
    with pytest.raises(ProfileError, match=f"^census.profile: .*{said}"):
        decode_profile(damage(encode_profile(example())), "census.profile")  # type: ignore[operator]


def repacked(data: bytes, at: int, new: bytes) -> bytes:
    raw = bytearray(zlib.decompress(data, 31))
    raw[at : at + len(new)] = new
    return gzip.compress(bytes(raw), mtime=0)


def test_an_unknown_version_says_what_to_do() -> None:
    data = encode_profile(example())
    with pytest.raises(ProfileError, match=r"version 9 .* upgrade driftline"):
        decode_profile(repacked(data, 8, struct.pack("<H", 9)))
    with pytest.raises(ProfileError, match=r"version 0 .* build the profile again"):
        decode_profile(repacked(data, 8, struct.pack("<H", 0)))


def test_content_that_does_not_match_its_hash_is_refused() -> None:
    with pytest.raises(ProfileError, match="doesn't match its hash"):
        decode_profile(repacked(encode_profile(example()), 200, b"\x01\x02\x03"))


def test_a_bomb_does_not_fill_the_memory() -> None:
    bomb = gzip.compress(b"\0" * (300 << 20), compresslevel=1)
    with pytest.raises(ProfileError, match="larger than 256 MiB"):
        decode_profile(bomb)


def test_parts_make_the_whole_again_in_any_order() -> None:
    data = encode_profile(example())
    parts = split_profile(data, 5000)
    assert len(parts) > 2
    assert max(len(part) for part in parts) < 5100
    assert join_profile(reversed(parts)) == data


def test_missing_mixed_and_damaged_parts_are_told() -> None:
    parts = split_profile(encode_profile(example()), 5000)
    others = split_profile(encode_profile(example(seed=1)), 5000)
    with pytest.raises(ProfileError, match=f"part 2 of {len(parts)} is missing"):
        join_profile([parts[0], *parts[2:]])
    with pytest.raises(ProfileError, match="parts of different profiles are mixed"):
        join_profile([*parts[1:], others[0]])
    with pytest.raises(ProfileError, match=r"part 1 of .* is damaged"):
        join_profile([parts[0][:-1] + b"?", *parts[1:]])
    with pytest.raises(ProfileError, match="one part of a split profile"):
        decode_profile(parts[0])


@pytest.mark.slow
def test_a_hundred_features_with_three_windows_fit_a_config_map() -> None:
    """Continuous, heavy-tailed, all different, a daily season, 5m, 1h and 24h with their blocks.

    Twenty are built and stand for a hundred: the bytes of a column don't depend on the others.
    """
    rng = np.random.default_rng(6)
    rows = 1_000_000
    columns = {f"feature_number_{i:03}": rng.lognormal(i / 10, 1 + i / 20, rows) for i in range(20)}
    times = np.sort(rng.uniform(0, 15 * DAY, rows))
    profile = reference(columns, times, windows=(300, 3600, 86_400), season=Season.DAILY)
    assert profile.calibration is not None
    assert {300, 3600, 86_400} <= {scale.seconds for scale in profile.calibration.scales}
    size = len(encode_profile(profile))
    print(f"{size} bytes for 20 features")
    assert 5 * size < CONFIG_MAP_BYTES


def test_counts_are_structs_of_this_format() -> None:
    """A field added to the counts must be stored too: this test names those the format knows."""
    counts = example().features[0].counts
    assert set(asdict(counts)) == {
        *("counts", "sums", "minimum", "maximum", "nan", "pos_inf", "neg_inf", "missing", "null"),
        *("wrong_type", "out_of_range"),
    }


def test_a_first_part_leads_to_its_own_further_parts() -> None:
    data = encode_profile(example())
    size = len(data) // 3 + 1
    parts = split_profile(data, size)
    whole = part_head(parts[0]).whole[:12]
    assert further_names("census", parts[0]) == (f"census-{whole}-2", f"census-{whole}-3")
    other = split_profile(encode_profile(example(seed=1)), size)
    assert set(further_names("census", other[0])).isdisjoint(further_names("census", parts[0]))
    assert further_names("census", data) == ()  # a whole one


def test_what_is_no_first_part_leads_nowhere() -> None:
    parts = split_profile(encode_profile(example()), 1000)
    assert len(parts) > MOST_PARTS
    for wrong in (parts[0], parts[1], parts[0][:50]):
        with pytest.raises(ProfileError):
            further_names("census", wrong)
