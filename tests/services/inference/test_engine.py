"""The process's one engine: made on first use, replaced by tests, made anew after a fork."""

from __future__ import annotations

import os

import pytest

from services.errors import Misconfigured
from services.inference import engine as engine_module
from services.inference.engine import configure_engine, get_engine, set_engine
from services.inference.fake import FakeEngine


@pytest.fixture(autouse=True)
def _factory_put_back(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setattr(engine_module, "_factory", None)
    set_engine(None)
    yield
    set_engine(None)


def test_the_engine_is_made_once_and_not_before_it_is_asked_for() -> None:
    made: list[FakeEngine] = []

    def make() -> FakeEngine:
        made.append(FakeEngine())
        return made[-1]

    configure_engine(make)
    assert made == []
    assert get_engine() is get_engine()
    assert len(made) == 1


def test_an_engine_nobody_configured_is_said_to_be_so() -> None:
    with pytest.raises(Misconfigured):
        get_engine()


def test_a_forked_worker_makes_its_own_engine() -> None:
    configure_engine(FakeEngine)
    parent = get_engine()
    child = os.fork()
    if child == 0:
        os._exit(0 if get_engine() is not parent else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert get_engine() is parent
