"""A derived id is the UUIDv5 of its name, as any library makes it."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from olvido.core.ids import NAMESPACE, receipt_id, task_id


@given(number=st.integers(0, 2**128 - 1), generation=st.integers(0, 2**31 - 1))
def test_a_derived_id_is_a_uuid5(number: int, generation: int) -> None:
    of = UUID(int=number)
    assert receipt_id(of, generation) == uuid5(NAMESPACE, f"receipt/{of}/{generation}")
    assert task_id(of, "crm", "ERASE") == uuid5(NAMESPACE, f"task/{of}/crm/ERASE")
