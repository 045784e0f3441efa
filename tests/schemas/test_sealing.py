"""A box opens for its region, its event and its subject; a handle says nothing without the key."""

import dataclasses
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused
from olvido.core.events import SealedBox
from olvido.core.subject import Identity, IdentityKind, check_handles
from olvido.schemas.privacy import sealing
from olvido.schemas.privacy.handle_key import HandleKey, create_handle_key
from olvido.schemas.privacy.identities import normalise
from olvido.schemas.privacy.opening import Forgotten, Opener
from olvido.schemas.privacy.region_keys import create_region_key, key_epochs
from olvido.schemas.privacy.sealing import Sealer

REQUEST = UUID("01935d0e-5b6a-7c3d-8e4f-0123456789ab")
SUBJECT = "h1_" + "s" * 43
ANA = (
    normalise(IdentityKind.CUSTOMER_ID, "C-1042"),
    normalise(IdentityKind.EMAIL, "Ana.García@Example.ES"),
)


@dataclasses.dataclass(frozen=True)
class Keys:
    public: Path
    private: Path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    keys = Keys(folder / "public", folder / "private")
    for region in ("cn", "sg"):
        create_region_key(region, "2026-11", public_dir=keys.public, private_dir=keys.private)
    return keys


@pytest.fixture(scope="module")
def sealer(keys: Keys) -> Sealer:
    return Sealer(keys.public)


def sealed(sealer: Sealer, region: str = "cn", identities: tuple[Identity, ...] = ANA) -> SealedBox:
    return sealer.seal(identities, region=region, source_id=REQUEST, subject_id=SUBJECT)


def cause_of(opener: Opener, box: SealedBox, source_id: UUID = REQUEST, subject_id: str = SUBJECT) -> Cause:
    with pytest.raises(Refused) as refused:
        opener.open(box, source_id=source_id, subject_id=subject_id)
    assert "ana" not in str(refused.value).lower()
    return refused.value.cause


# --- boxes -----------------------------------------------------------------------------------------


def test_what_is_sealed_is_opened_as_it_was_given_and_as_normalised(keys: Keys, sealer: Sealer) -> None:
    opener = Opener("cn", keys.private)
    assert opener.open(sealed(sealer), source_id=REQUEST, subject_id=SUBJECT) == ANA


def test_a_box_of_china_does_not_open_with_a_key_of_singapore(keys: Keys, sealer: Sealer) -> None:
    opener = Opener("sg", keys.private)
    box = sealed(sealer, "cn")
    assert cause_of(opener, box) is Cause.CANNOT_OPEN
    renamed = dataclasses.replace(box, region="sg", key_id="sg-2026-11")
    assert cause_of(opener, renamed) is Cause.CANNOT_OPEN


def test_a_box_opens_for_no_other_request_and_no_other_subject(keys: Keys, sealer: Sealer) -> None:
    opener = Opener("cn", keys.private)
    box = sealed(sealer)
    assert cause_of(opener, box, source_id=UUID(int=1)) is Cause.CANNOT_OPEN
    assert cause_of(opener, box, subject_id="h1_" + "t" * 43) is Cause.CANNOT_OPEN


@pytest.mark.parametrize("part", ["wrapped_key", "nonce", "ciphertext"])
def test_a_box_with_any_bit_turned_does_not_open(keys: Keys, sealer: Sealer, part: str) -> None:
    opener = Opener("cn", keys.private)
    box = sealed(sealer)
    content: bytes = getattr(box, part)
    for place in range(len(content) * 8):
        turned = bytearray(content)
        turned[place // 8] ^= 1 << place % 8
        assert cause_of(opener, dataclasses.replace(box, **{part: bytes(turned)})) is Cause.CANNOT_OPEN


@pytest.mark.parametrize("part", ["wrapped_key", "nonce", "ciphertext"])
@pytest.mark.parametrize("content", [b"", b"x", b"x" * 5000])
def test_a_box_of_another_size_does_not_open(keys: Keys, sealer: Sealer, part: str, content: bytes) -> None:
    opener = Opener("cn", keys.private)
    assert cause_of(opener, dataclasses.replace(sealed(sealer), **{part: content})) is Cause.CANNOT_OPEN


@pytest.mark.parametrize("key_id", ["cn-2026-10", "cn-../../x-2026-11", "", "cn", "cn-2026-11/../cn-2026-11"])
def test_a_box_of_a_key_that_is_not_here_does_not_open(keys: Keys, sealer: Sealer, key_id: str) -> None:
    opener = Opener("cn", keys.private)
    assert cause_of(opener, dataclasses.replace(sealed(sealer), key_id=key_id)) is Cause.CANNOT_OPEN


def test_one_session_serves_many_events_and_no_two_boxes_are_alike(sealer: Sealer) -> None:
    one, other = sealed(sealer), sealed(sealer)
    assert one.wrapped_key == other.wrapped_key
    assert (one.nonce == other.nonce, one.ciphertext == other.ciphertext) == (False, False)


def test_a_session_ends_by_count(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SESSION_EVENTS_MAX", 3)
    sealer = Sealer(keys.public)
    wrapped = [sealed(sealer).wrapped_key for _ in range(7)]
    assert [wrapped.index(key) for key in wrapped] == [0, 0, 0, 3, 3, 3, 6]


def test_a_session_ends_by_age(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SESSION_AGE_S_MAX", -1.0)
    sealer = Sealer(keys.public)
    assert sealed(sealer).wrapped_key != sealed(sealer).wrapped_key


def test_the_newest_epoch_seals_and_the_older_ones_still_open(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "public", tmp_path / "private")
    create_region_key("cn", "2026-11", public_dir=keys.public, private_dir=keys.private)
    before = sealed(Sealer(keys.public))
    create_region_key("cn", "2026-12", public_dir=keys.public, private_dir=keys.private)
    after = sealed(Sealer(keys.public))
    opener = Opener("cn", keys.private)
    assert (before.key_id, after.key_id) == ("cn-2026-11", "cn-2026-12")
    for box in (before, after):
        assert opener.open(box, source_id=REQUEST, subject_id=SUBJECT) == ANA


def test_a_process_that_runs_on_seals_to_a_new_epoch_from_its_next_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else destroying the old epoch would forget new events."""
    monkeypatch.setattr(sealing, "SESSION_EVENTS_MAX", 1)
    keys = Keys(tmp_path / "public", tmp_path / "private")
    create_region_key("cn", "2026-11", public_dir=keys.public, private_dir=keys.private)
    sealer = Sealer(keys.public)
    before = sealed(sealer)
    create_region_key("cn", "2026-12", public_dir=keys.public, private_dir=keys.private)
    assert (before.key_id, sealed(sealer).key_id) == ("cn-2026-11", "cn-2026-12")


@pytest.mark.parametrize("opened_before", [True, False])
def test_what_was_sealed_to_a_destroyed_epoch_is_forgotten(tmp_path: Path, *, opened_before: bool) -> None:
    keys = Keys(tmp_path / "public", tmp_path / "private")
    create_region_key("cn", "2026-11", public_dir=keys.public, private_dir=keys.private)
    box, opener = sealed(Sealer(keys.public)), Opener("cn", keys.private)
    if opened_before:
        opener.open(box, source_id=REQUEST, subject_id=SUBJECT)
    (keys.private / "cn-2026-11.destroyed").touch()
    (keys.private / "cn-2026-11.pem").unlink()
    with pytest.raises(Forgotten):
        opener.open(box, source_id=REQUEST, subject_id=SUBJECT)


def test_sizes_tell_little_of_what_is_inside(sealer: Sealer) -> None:
    short = (normalise(IdentityKind.EMAIL, "a@b.es"),)
    longer = (normalise(IdentityKind.EMAIL, "a" * 60 + "@example.es"),)
    sizes = {len(sealed(sealer, identities=one).ciphertext) for one in (short, longer, ANA)}
    assert sizes == {256 + 16}  # padded, and the tag of AES-GCM


def test_a_region_without_a_public_key_is_a_setting_to_mend(sealer: Sealer) -> None:
    with pytest.raises(ConfigError, match=r"keys\.public_dir: no public key for region 'eu' .*cn, sg"):
        sealed(sealer, "eu")


def test_a_folder_without_keys_is_a_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keys\.public_dir: .* holds no public key"):
        Sealer(tmp_path)
    with pytest.raises(ConfigError, match=r"keys\.private_dir: .* holds no private key of region 'cn'"):
        Opener("cn", tmp_path)


def test_a_key_that_is_there_is_kept(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "public", tmp_path / "private")
    create_region_key("cn", "2026-11", public_dir=keys.public, private_dir=keys.private)
    private = (keys.private / "cn-2026-11.pem").read_bytes()
    (keys.public / "cn-2026-11.pem").unlink()  # a crash between the two
    create_region_key("cn", "2026-11", public_dir=keys.public, private_dir=keys.private)
    assert (keys.private / "cn-2026-11.pem").read_bytes() == private
    box = sealed(Sealer(keys.public))
    assert Opener("cn", keys.private).open(box, source_id=REQUEST, subject_id=SUBJECT) == ANA


def test_a_public_key_whose_private_half_is_elsewhere_keeps_its_id(tmp_path: Path) -> None:
    """Else what is sealed from then on could be opened by nobody: the sinks have the other private key."""
    there, here = Keys(tmp_path / "public", tmp_path / "there"), tmp_path / "here"
    create_region_key("cn", "2026-11", public_dir=there.public, private_dir=there.private)
    with pytest.raises(ConfigError, match=r"keys\.public_dir: .*private half is not in .*here"):
        create_region_key("cn", "2026-11", public_dir=there.public, private_dir=here)
    assert not list(here.glob("*"))
    create_region_key("cn", "2026-11", public_dir=tmp_path / "other", private_dir=here)
    with pytest.raises(ConfigError, match="is not the public half of"):
        create_region_key("cn", "2026-11", public_dir=there.public, private_dir=here)
    assert (
        Opener("cn", there.private).open(sealed(Sealer(there.public)), source_id=REQUEST, subject_id=SUBJECT)
        == ANA
    )


def test_the_epochs_of_a_region_are_its_own(tmp_path: Path) -> None:
    for region, epoch in (("cn", "2026-12"), ("cn-north", "2027-01"), ("cn", "2026-11")):
        create_region_key(region, epoch, public_dir=tmp_path / "public", private_dir=tmp_path / "private")
    assert key_epochs(tmp_path / "private", "cn") == ["2026-11", "2026-12"]
    assert key_epochs(tmp_path / "nowhere", "cn") == []


def test_private_keys_are_for_their_owner_only(keys: Keys) -> None:
    assert {path.stat().st_mode & 0o777 for path in keys.private.glob("*.pem")} == {0o600}


# --- handles ---------------------------------------------------------------------------------------


@pytest.fixture
def handle_key(tmp_path: Path) -> HandleKey:
    create_handle_key(tmp_path / "handle.key")
    return HandleKey.load(tmp_path / "handle.key")


def test_a_handle_is_the_hmac_of_kind_and_normalised_value() -> None:
    """Fixed for ever: another handle would be another person."""
    handle = HandleKey(1, bytes(32)).handle(normalise(IdentityKind.EMAIL, "ana@example.es"))
    assert (handle.kind, handle.value) == (
        IdentityKind.EMAIL,
        "h1_XB7XT-3DHI83dFFNJutNA_RqjmMUykjGuzIuwtB8M_4",
    )


@pytest.mark.parametrize(
    ("kind", "spellings", "handle"),
    [
        (
            IdentityKind.EMAIL,
            ("ana@example.es", " Ana@EXAMPLE.es ", "ANA@example.ES", "ana@example.es."),
            "h1_poX8ZZXlUGKC7gjudMkeLPMBjal8KaCp8Io51SB1xjk",
        ),
        (
            IdentityKind.EMAIL,
            (
                "zo\u00eb@b\u00fccher.example",
                "zoe\u0308@bu\u0308cher.example",
                "ZO\u00cb@XN--BCHER-KVA.example",
            ),
            "h1_mH6RndhzcYRZ2LpIwphexmXnA5d6bqoODO0a_ylIF-4",
        ),
        (
            IdentityKind.PHONE,
            ("+34600000000", "tel:+34 600-000-000"),
            "h1_EkTFd0BoD-ap1GmSh9xxw6Oa5wPOYROiPKn8z9zJ0oI",
        ),
        (
            IdentityKind.PHONE,
            ("+525512345678", "+52 1 55 1234 5678"),
            "h1_SEUrLHans7MNuGV7uAVMpqKhJriqsZDHDGT6y66_O2k",
        ),
        (
            IdentityKind.PHONE,
            ("+5491123456789", "+54 11 2345 6789", "+54 11 15 2345 6789"),
            "h1_EZ5z2-FM9imDeOQ3z1lpA_1usu3RN8GQUpFmvhm8QJM",
        ),
        (IdentityKind.CUSTOMER_ID, ("C-1042",), "h1_XdcMJEsbFJTuloG5hdBosyTHurVMXIhHKuL1sIh2BoQ"),
    ],
)
def test_a_handle_is_the_same_for_every_spelling_of_an_identity(
    kind: IdentityKind, spellings: tuple[str, ...], handle: str
) -> None:
    """Fixed for ever, too, for identities that are not in plain ASCII."""
    handle_key = HandleKey(1, bytes(range(32)))
    assert {handle_key.handle(normalise(kind, one)).value for one in spellings} == {handle}


@given(one=st.binary(min_size=32, max_size=32), other=st.binary(min_size=32, max_size=32))
def test_a_handle_cannot_be_had_with_another_key(one: bytes, other: bytes) -> None:
    same = HandleKey(1, one).handle(ANA[1]) == HandleKey(1, other).handle(ANA[1])
    assert same == (one == other)


def test_the_same_text_of_two_kinds_has_two_handles(handle_key: HandleKey) -> None:
    device = handle_key.handle(normalise(IdentityKind.DEVICE_ID, "x-1"))
    cookie = handle_key.handle(normalise(IdentityKind.COOKIE_ID, "x-1"))
    assert device.value != cookie.value


def test_every_handle_passes_the_check_that_readers_make(handle_key: HandleKey) -> None:
    handles = tuple(handle_key.handle(identity) for identity in ANA)
    check_handles(handles, handles[0].value)


def test_a_handle_key_that_is_there_is_kept(tmp_path: Path) -> None:
    create_handle_key(tmp_path / "handle.key")
    first = (tmp_path / "handle.key").read_bytes()
    create_handle_key(tmp_path / "handle.key")
    assert (tmp_path / "handle.key").read_bytes() == first


@pytest.mark.parametrize("content", ["", "h1", "h1 !!!", "x1 AAAA", "h1 AAAA", "h1 a b"])
def test_a_broken_handle_key_is_a_setting_to_mend_and_is_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "handle.key"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"keys\.handle_file: ") as told:
        HandleKey.load(path)
    assert "AAAA" not in str(told.value)


def test_an_identity_does_not_show_itself() -> None:
    assert [repr(identity) for identity in ANA] == ["Identity(customer_id=…)", "Identity(email=…)"]
    assert "Ana" not in f"{ANA}"
