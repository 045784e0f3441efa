"""What makes two events with one id the same event, in this version and as older ones stored it."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from values import NOW, a_box, a_change, an_erasure

from olvido.core.digests import content_digest, same_content
from olvido.core.events import Decision
from olvido.core.rights.names import Right

# As the version before digests had a version stored them, of these very events.
UNVERSIONED = [
    (an_erasure(), "becd571c0b6f48b11c2c094196c02da3e65529c14c81ab50c49ac1070ef28412"),
    (a_change(), "f5dfeb3eda0f2e7faa073409c379d2103b77a70e045b2bbdf3ae242521cb515c"),
]


def test_anybody_can_compute_a_digest_from_the_documented_json():
    request = an_erasure()
    content = {
        "handles": [request.handles[0].value],
        "purposes": [],
        "regions": ["cn", "sg"],
        "right": "ERASE",
        "subject_id": request.subject_id,
        "verification_required": False,
    }
    written = json.dumps(content, separators=(",", ":"))
    assert content_digest(request) == b"\x01" + hashlib.sha256(written.encode()).digest()


@pytest.mark.parametrize(("event", "stored"), UNVERSIONED, ids=["request", "consent"])
def test_a_digest_without_a_version_is_that_of_the_same_event(event, stored):
    assert same_content(event, bytes.fromhex(stored))
    assert not same_content(replace(event, regions=("cn",)), bytes.fromhex(stored))


@pytest.mark.parametrize("event", [an_erasure(), a_change()], ids=["request", "consent"])
def test_another_sealing_and_another_order_are_the_same_event(event):
    stored = content_digest(event)
    assert same_content(replace(event, boxes=(a_box("sg"),), regions=("sg", "cn")), stored)
    assert not same_content(replace(event, subject_id="h1_another"), stored)


def test_a_later_retry_and_another_zone_are_the_same_event():
    stored = content_digest(an_erasure())
    assert same_content(an_erasure(requested_at=NOW), stored)
    assert not same_content(an_erasure(right=Right.ACCESS), stored)
    assert not same_content(an_erasure(jurisdiction="ES"), stored)
    assert same_content(an_erasure(jurisdiction="ES"), content_digest(an_erasure(jurisdiction="ES")))
    change = a_change()
    elsewhere = replace(change, occurred_at=change.occurred_at.astimezone(timezone(timedelta(hours=8))))
    assert same_content(elsewhere, content_digest(change))
    assert not same_content(a_change(decision=Decision.GRANTED), content_digest(change))


def test_an_unknown_version_is_not_the_same_event():
    """A newer version's digest cannot be compared here: a dead letter is said, and nothing is done."""
    assert not same_content(an_erasure(), b"\x02" + content_digest(an_erasure())[1:])
