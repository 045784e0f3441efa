"""A box opens for its region, its event and its subject; a handle says nothing without the key."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st
from key_files import KeyFiles
from values import an_erasure

from olvido.core.asked import asked_digests
from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused
from olvido.core.events import PrivacyRequest
from olvido.core.sessions import CONTROL, SignedSession
from olvido.core.subject import Identity, IdentityKind, check_handles
from olvido.schemas.privacy import sealing
from olvido.schemas.privacy.box import first_binding, new_session_key, seal
from olvido.schemas.privacy.handle_key import HandleKey, create_handle_key
from olvido.schemas.privacy.identities import normalise
from olvido.schemas.privacy.opening import Forgotten, Opener
from olvido.schemas.privacy.region_keys import create_region_key, current_public_keys, key_epochs
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.sealed_records import session_in

ANA = (
    normalise(IdentityKind.CUSTOMER_ID, "C-1042"),
    normalise(IdentityKind.EMAIL, "Ana.García@Example.ES"),
)
HANDLES = tuple(HandleKey(1, bytes(32)).handle(identity) for identity in ANA)
ASKED = replace(an_erasure(), handles=HANDLES, subject_id=HANDLES[0].value, regions=("cn",), boxes=())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return KeyFiles(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def sealer(keys: KeyFiles) -> Sealer:
    return keys.sealer()


def sealed(sealer: Sealer, *regions: str, identities: tuple[Identity, ...] = ANA) -> PrivacyRequest:
    return sealer.sealed_source(replace(ASKED, regions=regions or ("cn",)), identities)


def opened(opener: Opener, asked: PrivacyRequest) -> tuple[Identity, ...]:
    return opener.open(asked.boxes[0], asked)


def cause_of(opener: Opener, asked: PrivacyRequest, **box: object) -> Cause:
    with pytest.raises(Refused) as refused:
        opener.open(replace(asked.boxes[0], **box), asked)
    assert "ana" not in str(refused.value).lower()
    return refused.value.cause


def session_of(asked: PrivacyRequest) -> SignedSession:
    assert asked.seal is not None
    return session_in(asked.seal.header)


# --- boxes -----------------------------------------------------------------------------------------


def test_what_is_sealed_is_opened_as_it_was_given_and_as_normalised(keys: KeyFiles, sealer: Sealer) -> None:
    assert opened(keys.opener("cn"), sealed(sealer)) == ANA


def test_a_box_of_china_does_not_open_with_a_key_of_singapore(keys: KeyFiles, sealer: Sealer) -> None:
    opener, asked = keys.opener("sg"), sealed(sealer, "cn", "sg")
    assert cause_of(opener, asked) is Cause.CANNOT_OPEN
    assert cause_of(opener, asked, region="sg", key_id="sg-2026-11") is Cause.CANNOT_OPEN


@pytest.mark.parametrize("region", ["cn", "sg"])
def test_each_region_of_an_event_opens_its_own_box_alone(keys: KeyFiles, sealer: Sealer, region: str) -> None:
    asked = sealed(sealer, "cn", "sg")
    opener = keys.opener(region)
    open_to = []
    for box in asked.boxes:
        with suppress(Refused):
            assert opener.open(box, asked) == ANA
            open_to.append(box.region)
    assert open_to == [region]


def test_the_control_plane_opens_no_box(keys: KeyFiles, sealer: Sealer) -> None:
    asked = sealed(sealer, "cn")
    control = session_of(asked).recipient(CONTROL)
    cipher = keys.opener(CONTROL).cipher(control)
    assert asked.seal is not None
    binding = asked_digests(asked, header=asked.seal.header)("cn")
    with pytest.raises(InvalidTag):
        cipher.decrypt(asked.boxes[0].nonce, asked.boxes[0].ciphertext, binding)


@pytest.mark.parametrize("part", ["nonce", "ciphertext"])
def test_a_box_with_any_bit_turned_does_not_open(keys: KeyFiles, sealer: Sealer, part: str) -> None:
    opener = keys.opener("cn")
    asked = sealed(sealer)
    content: bytes = getattr(asked.boxes[0], part)
    for place in range(len(content) * 8):
        turned = bytearray(content)
        turned[place // 8] ^= 1 << place % 8
        assert cause_of(opener, asked, **{part: bytes(turned)}) is Cause.CANNOT_OPEN


@pytest.mark.parametrize("part", ["wrapped_key", "nonce", "ciphertext"])
@pytest.mark.parametrize("content", [b"x", b"x" * 5000])
def test_a_box_of_another_size_does_not_open(
    keys: KeyFiles, sealer: Sealer, part: str, content: bytes
) -> None:
    assert cause_of(keys.opener("cn"), sealed(sealer), **{part: content}) is Cause.CANNOT_OPEN


@pytest.mark.parametrize("key_id", ["cn-2026-10", "cn-../../x-2026-11", "", "cn", "cn-2026-11/../cn-2026-11"])
def test_a_box_of_a_key_that_is_not_here_does_not_open(keys: KeyFiles, sealer: Sealer, key_id: str) -> None:
    assert cause_of(keys.opener("cn"), sealed(sealer), key_id=key_id) is Cause.CANNOT_OPEN


def test_a_box_from_before_there_were_seals_opens_for_its_event_and_subject_alone(keys: KeyFiles) -> None:
    old = replace(ASKED, regions=("cn",))
    key_id = "cn-2026-11"
    wrapped_key, cipher = new_session_key(key_id, current_public_keys(keys.public)["cn"][1])
    binding = first_binding(old.request_id, old.subject_id, "cn")
    box = replace(seal(ANA, cipher, region="cn", key_id=key_id, binding=binding), wrapped_key=wrapped_key)
    opener = keys.opener("cn")
    assert opener.open(box, old) == ANA
    for other in (replace(old, request_id=UUID(int=1)), replace(old, subject_id="h1_" + "t" * 43)):
        with pytest.raises(Refused, match="CANNOT_OPEN"):
            opener.open(box, other)


@pytest.mark.parametrize(
    "inside",
    [
        pytest.param((), id="nobody"),
        pytest.param(ANA[:1], id="fewer than the handles"),
        pytest.param((*ANA, *ANA), id="more than the handles"),
        pytest.param(ANA[::-1], id="in another order"),
        pytest.param(
            (ANA[0], Identity(kind=IdentityKind.EMAIL, value="ana@example.es", normalised="bob@example.es")),
            id="another person by its written form",
        ),
        pytest.param(
            (ANA[0], Identity(kind=IdentityKind.EMAIL, value=" ", normalised=" ")), id="a blank identity"
        ),
    ],
)
def test_a_box_holds_just_whom_the_handles_stand_for(
    keys: KeyFiles, sealer: Sealer, inside: tuple[Identity, ...]
) -> None:
    """One event with one handle, and five hundred people in its box: nobody is erased."""
    assert cause_of(keys.opener("cn"), sealed(sealer, identities=inside)) is Cause.CANNOT_OPEN


# --- sessions --------------------------------------------------------------------------------------


def test_one_session_serves_many_events_and_no_two_boxes_are_alike(sealer: Sealer) -> None:
    one, other = sealed(sealer), sealed(sealer)
    assert session_of(one) == session_of(other)
    (first,), (second,) = one.boxes, other.boxes
    assert (first.nonce == second.nonce, first.ciphertext == second.ciphertext) == (False, False)


def test_a_session_ends_by_count(keys: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SESSION_EVENTS_MAX", 3)
    sealer = keys.sealer()
    sessions = [session_of(sealed(sealer)) for _ in range(7)]
    assert [sessions.index(session) for session in sessions] == [0, 0, 0, 3, 3, 3, 6]


def test_a_session_ends_by_age(keys: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SESSION_AGE_S_MAX", -1.0)
    sealer = keys.sealer()
    assert session_of(sealed(sealer)) != session_of(sealed(sealer))


def test_the_newest_epoch_seals_and_the_older_ones_still_open(tmp_path: Path) -> None:
    keys = KeyFiles(tmp_path)
    before = sealed(keys.sealer())
    keys.add("cn", "2026-12")
    after = sealed(keys.sealer())
    opener = keys.opener("cn")
    assert (before.boxes[0].key_id, after.boxes[0].key_id) == ("cn-2026-11", "cn-2026-12")
    assert opened(opener, before) == opened(opener, after) == ANA


def test_a_process_that_runs_on_seals_to_a_new_epoch_from_its_next_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else destroying the old epoch would forget new events."""
    monkeypatch.setattr(sealing, "SESSION_EVENTS_MAX", 1)
    keys = KeyFiles(tmp_path)
    sealer = keys.sealer()
    before = sealed(sealer)
    keys.add("cn", "2026-12")
    assert (before.boxes[0].key_id, sealed(sealer).boxes[0].key_id) == ("cn-2026-11", "cn-2026-12")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("old-backup.pem", None, id="a copy under a name of its own"),
        pytest.param("cn-2026-12.pem", "-----BEGIN PUBLIC KEY-----\nMCow", id="half a key of the next epoch"),
        pytest.param("cn-2026-12.pem", "", id="an empty file"),
        pytest.param("producer.0123456789abcdef.pub", "AAAA", id="half a key of a principal"),
    ],
)
def test_a_stray_file_among_the_public_keys_stops_no_running_producer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | None
) -> None:
    monkeypatch.setattr(sealing, "SESSION_EVENTS_MAX", 1)
    keys = KeyFiles(tmp_path)
    sealer = keys.sealer()
    sealed(sealer)
    good = (keys.public / "cn-2026-11.pem").read_text()
    (keys.public / name).write_text(good if content is None else content)
    assert opened(keys.opener("cn"), sealed(sealer)) == ANA
    assert opened(keys.opener("cn"), sealed(keys.sealer())) == ANA


def test_keys_that_cannot_be_read_for_a_while_stop_no_running_producer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SESSION_EVENTS_MAX", 1)
    keys = KeyFiles(tmp_path)
    sealer = keys.sealer()
    keys.public.rename(tmp_path / "elsewhere")
    keys.signing_file().rename(tmp_path / "producer.key")
    assert opened(keys.opener("cn"), sealed(sealer)) == ANA


@pytest.mark.parametrize("opened_before", [True, False])
def test_what_was_sealed_to_a_destroyed_epoch_is_forgotten(tmp_path: Path, *, opened_before: bool) -> None:
    keys = KeyFiles(tmp_path)
    asked, opener = sealed(keys.sealer()), keys.opener("cn")
    if opened_before:
        opened(opener, asked)
    (keys.private / "cn-2026-11.destroyed").touch()
    (keys.private / "cn-2026-11.pem").unlink()
    with pytest.raises(Forgotten):
        opened(opener, asked)


def test_sizes_tell_little_of_what_is_inside(sealer: Sealer) -> None:
    short = (normalise(IdentityKind.EMAIL, "a@b.es"),)
    longer = (normalise(IdentityKind.EMAIL, "a" * 60 + "@example.es"),)
    sizes = {len(sealed(sealer, identities=one).boxes[0].ciphertext) for one in (short, longer, ANA)}
    assert sizes == {256 + 16}  # padded, and the tag of AES-GCM


def test_a_region_without_a_public_key_is_a_setting_to_mend(sealer: Sealer) -> None:
    with pytest.raises(ConfigError, match=r"keys\.public_dir: no public key for region 'eu' .*cn, sg\)"):
        sealed(sealer, "eu")


def test_a_folder_without_keys_is_a_setting_to_mend(tmp_path: Path, keys: KeyFiles) -> None:
    with pytest.raises(ConfigError, match=r"keys\.public_dir: .* holds no public key"):
        Sealer(tmp_path, keys.signing_file())
    with pytest.raises(ConfigError, match=r"keys\.private_dir: .* holds no private key of region 'cn'"):
        Opener("cn", tmp_path)
    with pytest.raises(ConfigError, match=r"keys\.signing_file: .* is not there; make one with: "):
        Sealer(keys.public, tmp_path / "none.key")
    create_region_key("cn", "2026-11", public_dir=tmp_path, private_dir=tmp_path / "private")
    with pytest.raises(ConfigError, match=r"keys\.public_dir: .* no public key of the control plane"):
        Sealer(tmp_path, keys.signing_file())


def test_a_key_that_is_there_is_kept(tmp_path: Path) -> None:
    keys = KeyFiles(tmp_path)
    private = (keys.private / "cn-2026-11.pem").read_bytes()
    (keys.public / "cn-2026-11.pem").unlink()  # a crash between the two
    keys.add("cn")
    assert (keys.private / "cn-2026-11.pem").read_bytes() == private
    assert opened(keys.opener("cn"), sealed(keys.sealer())) == ANA


def test_a_public_key_whose_private_half_is_elsewhere_keeps_its_id(tmp_path: Path) -> None:
    """Else what is sealed from then on could be opened by nobody: the sinks have the other private key."""
    there, here = KeyFiles(tmp_path / "there"), tmp_path / "here"
    with pytest.raises(ConfigError, match=r"keys\.public_dir: .*private half is not in .*here"):
        create_region_key("cn", "2026-11", public_dir=there.public, private_dir=here)
    assert not list(here.glob("*"))
    create_region_key("cn", "2026-11", public_dir=tmp_path / "other", private_dir=here)
    with pytest.raises(ConfigError, match="is not the public half of"):
        create_region_key("cn", "2026-11", public_dir=there.public, private_dir=here)
    assert opened(there.opener("cn"), sealed(there.sealer())) == ANA


def test_the_epochs_of_a_region_are_its_own(tmp_path: Path) -> None:
    for region, epoch in (("cn", "2026-12"), ("cn-north", "2027-01"), ("cn", "2026-11")):
        create_region_key(region, epoch, public_dir=tmp_path / "public", private_dir=tmp_path / "private")
    assert key_epochs(tmp_path / "private", "cn") == ["2026-11", "2026-12"]
    assert key_epochs(tmp_path / "nowhere", "cn") == []


def test_private_keys_are_for_their_owner_only_and_public_ones_for_all(keys: KeyFiles) -> None:
    private = [*keys.private.glob("*.pem"), keys.signing_file()]
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in keys.public.iterdir()} == {0o644}


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
