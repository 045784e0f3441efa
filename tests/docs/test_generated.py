"""What is generated from code stands in the repository as it was generated."""

import pytest

import picture
import states
from docs import generate
from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.lifecycle import TABLE, Event, RequestState
from olvido.core.subject import IdentityKind
from olvido.schemas.topics import Topic


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_as_its_code_says(name: str):
    """Write them anew with: .venv/bin/python tests/docs/generate.py"""
    stands = (generate.PROJECT / name).read_text(encoding="utf-8")
    assert generate.PAGES[name]() == stands, "write it anew with: .venv/bin/python tests/docs/generate.py"


def a_catalogue(*names: str) -> Catalogue:
    sinks = tuple(
        SinkEntry(name=name, region="eu", identities=frozenset({IdentityKind.EMAIL}), purposes=frozenset())
        for name in names
    )
    return Catalogue(regions=frozenset({"eu"}), purposes=frozenset({"marketing"}), sinks=sinks)


@pytest.mark.parametrize("count", [1, 5, 12])
def test_the_picture_shows_every_sink_and_keeps_its_lines_on_the_card(count: int):
    catalogue = a_catalogue(*(f"sink-{number}" for number in range(count)))
    layout = picture.Layout(catalogue)
    drawn = picture.draw(catalogue)
    assert all(f">tasks.sink-{number}.v1<" in drawn for number in range(count))
    assert all(box.bottom < layout.height and box.right < picture.WIDTH for box in layout.boxes.values())


def test_no_topic_of_the_picture_lies_on_another():
    pills = list(picture.Layout(a_catalogue("one", "two")).pills.values())
    overlapping = [
        (one, other)
        for number, one in enumerate(pills)
        for other in pills[number + 1 :]
        if one.x < other.right and other.x < one.right and one.y < other.bottom and other.y < one.bottom
    ]
    assert overlapping == []


def test_a_writer_that_has_no_place_in_the_picture_is_an_error(monkeypatch: pytest.MonkeyPatch):
    """So a new process in the table of topics cannot be left out of the picture in silence."""
    stranger = Topic(
        name="olvido.news.v1", schema="task", key="x", writers=("strangers",), readers=("processors",)
    )
    monkeypatch.setattr(picture, "FIXED", (*picture.FIXED, stranger))
    with pytest.raises(KeyError, match="strangers"):
        picture.draw(a_catalogue("crm"))


def test_every_state_of_the_table_is_in_the_drawing():
    drawn = states.draw()
    assert {state.value for state in TABLE if state and f">{state.value}<" in drawn} == {
        state.value for state in TABLE if state
    }


def test_a_way_that_has_no_place_in_the_drawing_is_an_error(monkeypatch: pytest.MonkeyPatch):
    """So a new transition cannot be left out of it in silence."""
    monkeypatch.setattr(
        states, "TABLE", {**TABLE, RequestState.IDENTITY_PENDING: {Event.DONE: RequestState.FULFILLED}}
    )
    with pytest.raises(ValueError, match="not drawn"):
        states.draw()
