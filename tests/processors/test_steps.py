"""The steps: the redelivery law, duplicates, reused ids, verifications in either order."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from key_files import UNSIGNED
from values import CATALOGUE, NOW, a_change, a_receipt, a_verification, an_erasure, an_id, read, received

from olvido.core.causes import Cause
from olvido.core.events import Decision, Verified
from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import Outcome
from olvido.core.plan import plan_tasks
from olvido.core.rights.names import Right
from olvido.ledger.rows import (
    ConsentRow,
    KnownChange,
    KnownRequest,
    KnownVerification,
    Place,
    RequestHead,
    RequestRow,
)
from olvido.processors import consents, receipts, requests, verifications
from olvido.processors.sources import Planned

NOTHING = requests.KnownRequests(requests={}, verifications={})


def saved(known: requests.KnownRequests, output: Planned[RequestRow]) -> requests.KnownRequests:
    """What the ledger knows once an output was saved."""
    new = {
        row.request_id: KnownRequest(
            digest=row.digest,
            place=row.place,
            subject_id=row.subject_id,
            state=RequestState(row.state),
            generations={task.sink: [None] for task in output.tasks if task.request_id == row.request_id},
            appended_at=row.appended_at,
        )
        for row in output.rows
    }
    return replace(known, requests={**known.requests, **new})


# Few ids, people and contents, so that duplicates and reused ids are common; some are refused.
some_requests = st.builds(
    lambda number, person, right, late, waits: an_erasure(
        number,
        person=person,
        right=right,
        verification_required=waits,
        requested_at=NOW + (timedelta(hours=1) if late else timedelta(minutes=-1)),
    ),
    st.integers(0, 5),
    st.integers(0, 2),
    st.sampled_from([Right.ERASE, Right.ACCESS]),
    st.booleans(),
    st.booleans(),
)
batches = st.lists(some_requests, max_size=12).map(
    lambda values: [read(value, offset) for offset, value in enumerate(values)]
)


@settings(max_examples=500)
@given(batches, batches)
def test_redelivery_law_stepping_a_batch_again_after_it_was_saved_gives_the_same_records(before, batch):
    batch = [read(item.value, 100 + item.received.offset) for item in batch]
    known = saved(NOTHING, requests.step(before, NOTHING, CATALOGUE, UNSIGNED, NOW))
    first = requests.step(batch, known, CATALOGUE, UNSIGNED, NOW)
    again = requests.step(batch, saved(known, first), CATALOGUE, UNSIGNED, NOW)
    assert again.rows == ()
    assert (again.tasks, again.statuses, again.dead_letters) == (
        first.tasks,
        first.statuses,
        first.dead_letters,
    )


@given(batches)
def test_every_record_of_a_batch_is_exactly_one_of_new_duplicate_or_dead_letter(batch):
    """I11: no silence."""
    output = requests.step(batch, NOTHING, CATALOGUE, UNSIGNED, NOW)
    assert len(output.rows) + output.duplicates + len(output.dead_letters) == len(batch)


@given(batches, st.integers(0, 12))
def test_a_batch_in_two_pieces_asks_for_the_same_as_in_one(batch, cut):
    whole = requests.step(batch, NOTHING, CATALOGUE, UNSIGNED, NOW)
    first = requests.step(batch[:cut], NOTHING, CATALOGUE, UNSIGNED, NOW)
    second = requests.step(batch[cut:], saved(NOTHING, first), CATALOGUE, UNSIGNED, NOW)
    assert whole.tasks == first.tasks + second.tasks
    assert whole.rows == first.rows + second.rows
    assert whole.dead_letters == first.dead_letters + second.dead_letters


def test_the_same_request_from_another_place_changes_nothing():
    known = saved(NOTHING, requests.step([read(an_erasure(), 1)], NOTHING, CATALOGUE, UNSIGNED, NOW))
    retry = an_erasure(requested_at=NOW)  # sent again, later, sealed anew
    output = requests.step([read(retry, 2)], known, CATALOGUE, UNSIGNED, NOW)
    assert output == Planned(rows=(), tasks=(), statuses=(), dead_letters=(), duplicates=1)


def test_what_an_older_version_saved_is_delivered_again_and_not_refused():
    """Its digest was over ``repr``, without a version: what comes again is known by it all the same."""
    item = read(an_erasure(), 1)
    first = requests.step([item], NOTHING, CATALOGUE, UNSIGNED, NOW)
    known = saved(NOTHING, first)
    old = bytes.fromhex("becd571c0b6f48b11c2c094196c02da3e65529c14c81ab50c49ac1070ef28412")
    known = replace(known, requests={key: replace(row, digest=old) for key, row in known.requests.items()})
    again = requests.step([item, read(an_erasure(), 2)], known, CATALOGUE, UNSIGNED, NOW)
    assert (again.tasks, again.statuses) == (first.tasks, first.statuses)
    assert (again.dead_letters, again.duplicates) == ((), 1)
    reused = requests.step([read(an_erasure(right=Right.ACCESS), 3)], known, CATALOGUE, UNSIGNED, NOW)
    assert [letter.cause for letter in reused.dead_letters] == [Cause.ID_REUSE]


def test_the_same_id_with_another_content_is_a_dead_letter_and_the_first_stands():
    known = saved(NOTHING, requests.step([read(an_erasure(), 1)], NOTHING, CATALOGUE, UNSIGNED, NOW))
    output = requests.step([read(an_erasure(right=Right.ACCESS), 2)], known, CATALOGUE, UNSIGNED, NOW)
    assert [(letter.cause, letter.field) for letter in output.dead_letters] == [
        (Cause.ID_REUSE, "request_id")
    ]
    assert (output.rows, output.tasks) == ((), ())


def test_a_redelivery_sends_again_only_what_has_no_receipt():
    known = saved(NOTHING, requests.step([read(an_erasure(), 1)], NOTHING, CATALOGUE, UNSIGNED, NOW))
    row = known.requests[an_id(1)]
    answered = replace(row, generations={"crm": [Outcome.ERASED], "marketing": [None]})
    output = requests.step(
        [read(an_erasure(), 1)], replace(known, requests={an_id(1): answered}), CATALOGUE, UNSIGNED, NOW
    )
    assert [task.sink for task in output.tasks] == ["marketing"]


def test_a_redelivery_sends_again_a_first_task_whose_repeat_was_answered_before_it():
    """A restore asked for it as well, and came first: whether the first was ever sent, nobody knows."""
    known = saved(NOTHING, requests.step([read(an_erasure(), 1)], NOTHING, CATALOGUE, UNSIGNED, NOW))
    row = replace(
        known.requests[an_id(1)], generations={"crm": [None, Outcome.ERASED], "marketing": [Outcome.ERASED]}
    )
    output = requests.step(
        [read(an_erasure(), 1)], replace(known, requests={an_id(1): row}), CATALOGUE, UNSIGNED, NOW
    )
    assert [task.sink for task in output.tasks] == ["crm"]
    assert output.statuses[0].outcomes == {"crm": Outcome.ERASED, "marketing": Outcome.ERASED}


def test_a_redelivery_never_sets_a_status_back():
    known = saved(NOTHING, requests.step([read(an_erasure(), 1)], NOTHING, CATALOGUE, UNSIGNED, NOW))
    done = replace(
        known.requests[an_id(1)],
        state=RequestState.FULFILLED,
        generations={"crm": [Outcome.ERASED], "marketing": [Outcome.NOT_FOUND]},
    )
    output = requests.step(
        [read(an_erasure(), 1)], replace(known, requests={an_id(1): done}), CATALOGUE, UNSIGNED, NOW
    )
    assert [(status.state, status.answered) for status in output.statuses] == [(RequestState.FULFILLED, 2)]
    assert output.tasks == ()


def test_a_request_that_needs_a_verification_waits_and_has_no_tasks():
    output = requests.step([read(an_erasure(verification_required=True))], NOTHING, CATALOGUE, UNSIGNED, NOW)
    assert [row.state for row in output.rows] == ["identity_pending"]
    assert output.tasks == ()


def test_a_policy_that_requires_verification_holds_for_all_who_ask():
    strict = replace(CATALOGUE, verification_required=frozenset({Right.ERASE}))
    assert (
        requests.step([read(an_erasure())], NOTHING, strict, UNSIGNED, NOW).rows[0].state
        == "identity_pending"
    )
    verified = an_erasure(verified=Verified(method="id_document", verified_at=NOW))
    assert requests.step([read(verified)], NOTHING, strict, UNSIGNED, NOW).rows[0].state == "in_progress"


def test_a_verification_that_came_first_lets_its_request_start_at_once():
    request = an_erasure(verification_required=True)
    known = replace(NOTHING, verifications=_stored_by_key(a_verification(request)))
    output = requests.step([read(request)], known, CATALOGUE, UNSIGNED, NOW)
    assert [task.sink for task in output.tasks] == ["crm", "marketing"]


def test_a_verification_of_another_subject_lets_nothing_start():
    """The shadow attack: nobody's word releases somebody else's request."""
    request = an_erasure(verification_required=True)
    foreign = a_verification(request, subject_id=an_erasure(2).subject_id)
    known = replace(NOTHING, verifications=_stored_by_key(foreign))
    assert requests.step([read(request)], known, CATALOGUE, UNSIGNED, NOW).tasks == ()


def test_a_word_about_another_subject_keeps_out_no_word_about_the_right_one():
    """Both come before the request. Found by the simulation: the second was dropped, the request waited."""
    request = an_erasure(verification_required=True)
    foreign = a_verification(request, 901, subject_id=an_erasure(2).subject_id)
    unknown = verifications.KnownVerifications(requests={}, events={}, verifications=_stored_by_key(foreign))
    output = verifications.step([_given(a_verification(request))], unknown, CATALOGUE, UNSIGNED, NOW)
    assert [row.subject_id for row in output.rows] == [request.subject_id]
    known = replace(NOTHING, verifications=_stored_by_key(foreign, a_verification(request)))
    output = requests.step([read(request)], known, CATALOGUE, UNSIGNED, NOW)
    assert [task.sink for task in output.tasks] == ["crm", "marketing"]


PLACE = Place(0, 0)


def _stored(verification, place=PLACE) -> KnownVerification:
    return KnownVerification(
        event_id=verification.event_id,
        subject_id=verification.subject_id,
        verified=verification.verified,
        place=place,
    )


def _stored_by_key(*given) -> dict:
    return {(one.request_id, one.subject_id): _stored(one) for one in given}


def _waiting(request) -> verifications.KnownVerifications:
    known = saved(NOTHING, requests.step([read(request)], NOTHING, CATALOGUE, UNSIGNED, NOW))
    return verifications.KnownVerifications(
        requests=known.requests, events={request.request_id: request}, verifications={}
    )


def _given(verification, offset=7) -> verifications.Given:
    return verifications.Given(verification, Place(0, offset), received(offset))


def test_a_verification_starts_the_request_that_waits_for_it():
    request = an_erasure(verification_required=True)
    output = verifications.step(
        [_given(a_verification(request))], _waiting(request), CATALOGUE, UNSIGNED, NOW
    )
    assert [task.sink for task in output.tasks] == ["crm", "marketing"]
    assert [(row.state, row.tasks) for row in output.started] == [("in_progress", 2)]


def test_a_verification_before_its_request_is_kept():
    request = an_erasure(verification_required=True)
    unknown = verifications.KnownVerifications(requests={}, events={}, verifications={})
    output = verifications.step([_given(a_verification(request))], unknown, CATALOGUE, UNSIGNED, NOW)
    assert ([row.request_id for row in output.rows], output.tasks) == ([request.request_id], ())


def test_a_verification_by_another_subject_is_a_dead_letter():
    request = an_erasure(verification_required=True)
    foreign = a_verification(request, subject_id=an_erasure(2).subject_id)
    output = verifications.step([_given(foreign)], _waiting(request), CATALOGUE, UNSIGNED, NOW)
    assert [letter.cause for letter in output.dead_letters] == [Cause.KEY_MISMATCH]
    assert (output.rows, output.started, output.tasks) == ((), (), ())


def test_the_redelivery_law_holds_for_verifications():
    request = an_erasure(verification_required=True)
    batch = [_given(a_verification(request))]
    known = _waiting(request)
    first = verifications.step(batch, known, CATALOGUE, UNSIGNED, NOW)
    after = replace(
        known,
        requests={
            request.request_id: replace(
                known.requests[request.request_id],
                state=RequestState.IN_PROGRESS,
                generations={task.sink: [None] for task in first.tasks},
            )
        },
        verifications={
            (request.request_id, request.subject_id): _stored(a_verification(request), Place(0, 7))
        },
    )
    again = verifications.step(batch, after, CATALOGUE, UNSIGNED, NOW)
    assert (again.tasks, again.statuses) == (first.tasks, first.statuses)
    assert (again.rows, again.started) == ((), ())
    # Long afterwards the ledger has forgotten the event of a request that was finished.
    forgotten = verifications.step(batch, replace(after, events={}), CATALOGUE, UNSIGNED, NOW)
    assert forgotten == replace(again, tasks=(), statuses=())


# --- consents ---------------------------------------------------------------------------------

some_changes = st.builds(
    lambda number, decision, person, seconds: a_change(
        number, decision, person=person, occurred_at=NOW - timedelta(seconds=seconds)
    ),
    st.integers(0, 6),
    st.sampled_from(Decision),
    st.integers(0, 1),
    st.integers(0, 2),
)
change_batches = st.lists(some_changes, max_size=12).map(
    lambda values: [read(value, offset) for offset, value in enumerate(values)]
)
NO_CHANGES = consents.KnownConsents(changes={}, states={})


def kept(known: consents.KnownConsents, output: Planned[ConsentRow]) -> consents.KnownConsents:
    """What the ledger knows once an output was saved."""
    return consents.KnownConsents(
        changes={
            **known.changes,
            **{
                row.event_id: KnownChange(digest=row.digest, place=row.place, appended_at=row.appended_at)
                for row in output.rows
            },
        },
        states={**known.states, **{(state.handle, state.purpose): state for state in output.states}},
    )


@settings(max_examples=500)
@given(change_batches, change_batches)
def test_the_redelivery_law_holds_for_consents(before, batch):
    batch = [read(item.value, 100 + item.received.offset) for item in batch]
    known = kept(NO_CHANGES, consents.step(before, NO_CHANGES, CATALOGUE, UNSIGNED, NOW))
    first = consents.step(batch, known, CATALOGUE, UNSIGNED, NOW)
    again = consents.step(batch, kept(known, first), CATALOGUE, UNSIGNED, NOW)
    assert again.rows == ()
    assert (again.tasks, again.states, again.dead_letters) == (first.tasks, first.states, first.dead_letters)


@given(change_batches, st.integers(0, 12))
def test_consents_in_two_batches_end_in_the_same_states_as_in_one(batch, cut):
    whole = kept(NO_CHANGES, consents.step(batch, NO_CHANGES, CATALOGUE, UNSIGNED, NOW))
    part = kept(NO_CHANGES, consents.step(batch[:cut], NO_CHANGES, CATALOGUE, UNSIGNED, NOW))
    both = kept(part, consents.step(batch[cut:], part, CATALOGUE, UNSIGNED, NOW))
    assert whole.states == both.states


def test_a_change_that_comes_late_moves_no_state_and_its_sinks_are_told_all_the_same():
    new = a_change(1, Decision.WITHDRAWN, occurred_at=NOW)
    old = a_change(2, Decision.GRANTED, occurred_at=NOW - timedelta(days=1))
    known = kept(NO_CHANGES, consents.step([read(new, 1)], NO_CHANGES, CATALOGUE, UNSIGNED, NOW))
    output = consents.step([read(old, 2)], known, CATALOGUE, UNSIGNED, NOW)
    assert [state.decision for state in output.states] == [Decision.WITHDRAWN]
    assert [task.sink for task in output.tasks] == ["crm", "marketing"]


# --- receipts ---------------------------------------------------------------------------------

TASKS = plan_tasks(an_erasure(), CATALOGUE)


def test_a_receipt_delivered_twice_counts_once():
    batch = [read(a_receipt(TASKS[0]), offset) for offset in range(2)]
    assert receipts.standing(batch) == (a_receipt(TASKS[0]),)


def test_receipts_of_two_generations_answer_two_tasks():
    both = (a_receipt(TASKS[0]), a_receipt(replace(TASKS[0], generation=1)))
    assert receipts.standing([read(receipt) for receipt in both]) == both


def test_what_the_ledger_refuses_is_a_dead_letter_with_its_cause():
    batch = [read(a_receipt(TASKS[0]), offset) for offset in range(3)]
    letters = receipts.refused(batch, [Cause.UNKNOWN_TASK, None, Cause.CONFLICT], NOW)
    assert [(letter.cause, letter.field, letter.offset) for letter in letters] == [
        (Cause.UNKNOWN_TASK, "task_id", 0), (Cause.CONFLICT, "outcome", 2),
    ]  # fmt: skip


def test_a_receipt_that_counts_below_zero_is_a_dead_letter():
    bad = read(replace(a_receipt(TASKS[0]), counts={"customers.deleted": -1}))
    good, letters = receipts.possible([bad, read(a_receipt(TASKS[1]))], {}, NOW)
    assert [item.value for item in good] == [a_receipt(TASKS[1])]
    assert [letter.cause for letter in letters] == [Cause.BAD_COUNT]


def test_the_state_of_a_request_follows_from_what_its_sinks_have_said():
    head = RequestHead(
        request_id=an_id(1), right=Right.ERASE, subject_id=an_erasure().subject_id, requested_at=NOW,
        state=RequestState.IN_PROGRESS, tasks=2, answered=0,
    )  # fmt: skip
    rows, statuses = receipts.fold({an_id(1): head}, {an_id(1): {"crm": Outcome.ERASED, "marketing": None}})
    assert [(row.state, row.answered, row.final) for row in rows] == [("in_progress", 1, False)]
    rows, statuses = receipts.fold(
        {an_id(1): head}, {an_id(1): {"crm": Outcome.ERASED, "marketing": Outcome.NOT_FOUND}}
    )
    assert [(row.state, row.answered, row.final) for row in rows] == [("fulfilled", 2, True)]
    assert statuses[0].outcomes == {"crm": Outcome.ERASED, "marketing": Outcome.NOT_FOUND}


# --- clocks -------------------------------------------------------------------------------------

EARLY = NOW - timedelta(hours=1)  # the clock of a process that is behind the one that saved


def test_what_was_saved_is_not_refused_by_a_process_whose_clock_is_behind():
    """Found by the simulation: saved and not yet told, then read again by such a process, nobody was told."""
    batch = [read(an_erasure(), 1)]
    first = requests.step(batch, NOTHING, CATALOGUE, UNSIGNED, NOW)
    again = requests.step(batch, saved(NOTHING, first), CATALOGUE, UNSIGNED, EARLY)
    assert (again.statuses, again.tasks, again.dead_letters) == (first.statuses, first.tasks, ())


def test_a_consent_change_that_was_saved_is_not_refused_by_a_clock_that_is_behind():
    batch = [read(a_change(), 1)]
    nothing = consents.KnownConsents(changes={}, states={})
    first = consents.step(batch, nothing, CATALOGUE, UNSIGNED, NOW)
    known = consents.KnownConsents(
        changes={
            row.event_id: KnownChange(digest=row.digest, place=row.place, appended_at=row.appended_at)
            for row in first.rows
        },
        states={(state.handle, state.purpose): state for state in first.states},
    )
    again = consents.step(batch, known, CATALOGUE, UNSIGNED, EARLY)
    assert (again.states, again.tasks, again.dead_letters) == (first.states, first.tasks, ())


def test_a_verification_that_was_saved_starts_its_request_whatever_the_clock_says():
    request = an_erasure(verification_required=True)
    word = a_verification(request)
    known = replace(
        _waiting(request), verifications={(word.request_id, word.subject_id): _stored(word, Place(0, 7))}
    )
    output = verifications.step([_given(word)], known, CATALOGUE, UNSIGNED, EARLY)
    assert ([task.sink for task in output.tasks], output.dead_letters) == (["crm", "marketing"], ())
