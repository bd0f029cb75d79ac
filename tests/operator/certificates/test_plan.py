"""Years of certificates in seconds: whatever is served is trusted, by whoever has an older bundle too."""

from __future__ import annotations

import datetime as dt
from collections import deque

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from driftline_operator.certificates.plan import SERVING_LIFE, SPREAD, Held, Pair, read_pair, renew

NAMES = ["driftline-injector.driftline-system.svc", "driftline-controller.driftline-system.svc"]
START = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
STEP = dt.timedelta(minutes=20)


def trusted(bundle: bytes, serving: Pair, now: dt.datetime) -> bool:
    store = Store(x509.load_pem_x509_certificates(bundle))
    verifier = PolicyBuilder().store(store).time(now).build_server_verifier(x509.DNSName(NAMES[0]))
    try:
        verifier.verify(serving.certificate, [])
    except VerificationError:
        return False
    return True


def test_three_years_without_a_moment_of_mistrust() -> None:
    held: Held | None = None
    recent: deque[Held] = deque(maxlen=int(SPREAD / STEP) + 1)
    authorities: set[int] = set()
    now, changes = START, 0
    while now < START + dt.timedelta(days=3 * 365):
        before, held = held, renew(held, NAMES, now)
        if held is not before:
            changes += 1
            authorities.update(each.certificate.serial_number for each in held.authorities)
        recent.append(held)
        quiet = before is held and len({id(each) for each in recent}) == 1
        if not quiet:
            # Whoever was slow has the bundle, or the certificate, of up to SPREAD ago.
            for bundle_of in recent:
                for served in recent:
                    assert trusted(bundle_of.bundle, served.serving, now), now
        # Long stretches where nothing is due are taken in days, the rest step by step.
        now += STEP if not quiet or _near(held, now) else dt.timedelta(hours=12)
        assert now < held.expires
        assert len(held.authorities) <= 2
    assert len(authorities) == 5
    assert 25 < changes < 60


def _near(held: Held, now: dt.datetime) -> bool:
    """Is anything due within a day?"""
    return renew(held, NAMES, now + dt.timedelta(days=1)) is not held


def test_nothing_due_is_nothing_done() -> None:
    held = renew(None, NAMES, START)
    assert renew(held, NAMES, START + SPREAD) is held
    assert renew(held, NAMES, START + dt.timedelta(days=39)) is held
    assert renew(held, NAMES, START + dt.timedelta(days=41)).serving != held.serving


def test_other_names_need_another_certificate_of_the_same_authority() -> None:
    held = renew(None, NAMES, START)
    other = renew(held, ["elsewhere.svc"], START + SPREAD)
    assert other.authorities == held.authorities
    assert other.serving != held.serving


def test_what_has_run_out_long_ago_is_made_anew() -> None:
    held = renew(None, NAMES, START)
    later = START + dt.timedelta(days=800)
    fresh = renew(held, NAMES, later)
    assert trusted(fresh.bundle, fresh.serving, later)
    assert set(fresh.authorities).isdisjoint(held.authorities)
    assert fresh.expires <= later + SERVING_LIFE


def test_pairs_are_read_back_and_damage_is_refused() -> None:
    held = renew(None, NAMES, START)
    serving, authority = held.serving, held.authorities[0]
    assert read_pair(serving.pem, serving.key_pem).certificate == serving.certificate
    with pytest.raises(ValueError, match="don't belong together"):
        read_pair(serving.pem, authority.key_pem)
    with pytest.raises(ValueError, match="PEM"):
        read_pair(b"nothing", serving.key_pem)
