"""Versions go live one at a time: of two changes at once one comes through, and no kill loses one."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.errors import Conflict, InvalidInput, ModelUnavailable, NotFound, StorageFailed
from services.registry.store import ModelStore
from services.storage import Storage
from tests.services.registry.stores import NOW, TASK, later, local_store, make_folder, with_versions

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return with_versions(local_store(tmp_path), tmp_path / "made", "v1", "v2", "v3")


def child(root: Path, what: str, version: str = "v1", count: int = 0) -> subprocess.Popen[str]:
    """A process that promotes; it is ready when this returns."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.services.registry.promoting", str(root), what, version, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@contextmanager
def full_disk() -> Iterator[None]:
    """Every file that grows past a few bytes is refused by the system."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def require_chain(store: ModelStore) -> None:
    """Numbers without a gap, each change from what the one before it made live, the last one live."""
    changes = store.history(TASK)
    assert [change.number for change in changes] == list(range(1, len(changes) + 1))
    assert [change.was for change in changes[1:]] == [change.version for change in changes[:-1]]
    live = store.live(TASK)
    assert live is not None
    assert live.version == changes[-1].version


def test_the_history_tells_who_changed_what_when_and_why(store: ModelStore) -> None:
    store.promote(TASK, "v1", NOW, by="Ana", expected=None)
    store.promote(TASK, "v2", later(1), by="Ben", reason="better on long texts", expected="v1")
    store.promote(TASK, "v3", later(2), by="Ben", reason="the gate counted wrong", overridden=True)
    store.roll_back(TASK, later(3), by="Ana", reason="complaints", expected="v3")
    told = [(e.action, e.was, e.version, e.by, e.reason, e.overridden, e.at) for e in store.history(TASK)]
    assert told == [
        ("promote", "", "v1", "Ana", "", False, NOW),
        ("promote", "v1", "v2", "Ben", "better on long texts", False, later(1)),
        ("promote", "v2", "v3", "Ben", "the gate counted wrong", True, later(2)),
        ("roll_back", "v3", "v2", "Ana", "complaints", False, later(3)),
    ]
    live = store.live(TASK)
    assert live is not None
    assert (live.version, live.since, live.before) == ("v2", later(3), ("v1",))


def test_a_promotion_against_the_gate_needs_a_reason(store: ModelStore) -> None:
    with pytest.raises(InvalidInput) as caught:
        store.promote(TASK, "v1", NOW, overridden=True, reason="  ")
    assert caught.value.field == "reason"
    assert store.live(TASK) is None


def test_a_promotion_on_what_is_no_longer_live_is_told_who_was_first(store: ModelStore) -> None:
    store.promote(TASK, "v1", NOW)
    store.promote(TASK, "v2", later(1), by="Ana", expected="v1")
    with pytest.raises(
        Conflict, match=r"Ana made v2 live for topics at 2026-03-01T09:31:00\+00:00"
    ) as caught:
        store.promote(TASK, "v3", later(2), by="Ben", expected="v1")
    assert caught.value.extra == {"live": "v2", "by": "Ana"}
    with pytest.raises(Conflict, match="Ana made v2 live"):
        store.roll_back(TASK, later(2), expected="v1")
    with pytest.raises(Conflict):
        store.promote(TASK, "v3", later(2), expected=None)
    require_chain(store)
    assert len(store.history(TASK)) == 2


def test_promoting_what_is_live_changes_nothing(store: ModelStore) -> None:
    first = store.promote(TASK, "v1", NOW)
    assert store.promote(TASK, "v1", later(5)) == first
    assert len(store.history(TASK)) == 1


def test_of_two_threads_that_promote_at_once_exactly_one_wins_every_time(
    store: ModelStore, tmp_path: Path
) -> None:
    stores = (local_store(tmp_path), local_store(tmp_path))
    for versions in (("v1", "v2"), ("v3", "v1")):
        store.promote(TASK, "v2" if "v2" not in versions else "v3", NOW)
        for one, version in zip(stores, versions, strict=True):
            one.open(TASK, version)
    meet = threading.Barrier(2)
    won: list[list[bool]] = [[], []]
    messages: list[str] = []

    def promote(which: int) -> None:
        own = stores[which]
        for turn in range(50):
            live = own.live(TASK)
            assert live is not None
            free = sorted({"v1", "v2", "v3"} - {live.version})
            meet.wait()
            try:
                own.promote(TASK, free[which], later(turn), by=f"thread {which}", expected=live.version)
                won[which].append(True)
            except Conflict as error:
                won[which].append(False)
                messages.append(error.detail)
            meet.wait()

    threads = [threading.Thread(target=promote, args=(which,)) for which in (0, 1)]
    before = len(store.history(TASK))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [a + b for a, b in zip(*won, strict=True)] == [1] * 50
    assert len(store.history(TASK)) == before + 50
    assert all("thread" in message and "live for topics" in message for message in messages)
    require_chain(store)


def test_two_processes_lose_none_of_a_hundred_promotions_and_count_none_twice(tmp_path: Path) -> None:
    store = with_versions(local_store(tmp_path), tmp_path / "made", "a", "a-b", "b", "b-b")
    processes = [child(tmp_path, "race", version, 50) for version in ("a", "b")]
    for process in processes:
        assert process.wait(120) == 0
    changes = store.history(TASK)
    assert sorted(change.by for change in changes) == ["a"] * 50 + ["b"] * 50
    require_chain(store)


def test_a_process_killed_between_the_change_and_the_pointer_has_made_the_change(
    store: ModelStore, tmp_path: Path
) -> None:
    store.promote(TASK, "v1", NOW)
    assert child(tmp_path, "die", "v2").wait(60) == -9
    pointer = json.loads((tmp_path / "files/models/topics/live.json").read_text())
    assert pointer["version"] == "v1"
    live = store.live(TASK)
    assert live is not None
    assert (live.version, live.before) == ("v2", ("v1",))
    assert store.open(TASK).name == "v2"
    store.promote(TASK, "v3", later(1), expected="v2")
    require_chain(store)


def test_processes_killed_at_any_moment_leave_no_lock_and_no_half_change(tmp_path: Path) -> None:
    store = with_versions(local_store(tmp_path), tmp_path / "made", "a", "a-b", "last")
    for turn in range(4):
        process = child(tmp_path, "loop", "a")
        time.sleep(0.02 + 0.03 * turn)
        process.kill()
        process.wait(10)
    store.promote(TASK, "last", later(1))
    require_chain(store)


def test_a_full_disk_refuses_the_change_and_the_old_version_stands(store: ModelStore, tmp_path: Path) -> None:
    store.promote(TASK, "v1", NOW)
    store.open(TASK, "v2")
    with full_disk(), pytest.raises(StorageFailed, match="nothing was changed"):
        store.promote(TASK, "v2", later(1))
    with full_disk(), pytest.raises(StorageFailed):
        store.retire(TASK, "v3", later(1))
    live = store.live(TASK)
    assert live is not None
    assert live.version == "v1"
    assert not list((tmp_path / "files").rglob("*.part"))
    assert store.versions(TASK) == ["v1", "v2", "v3"]
    store.promote(TASK, "v2", later(2))
    require_chain(store)


def test_a_damaged_pointer_is_made_good_by_the_history(store: ModelStore, tmp_path: Path) -> None:
    store.promote(TASK, "v1", NOW)
    store.promote(TASK, "v2", later(1))
    pointer = tmp_path / "files/models/topics/live.json"
    for damage in (b"", b'{"version"', b"[]", b"\x00\xff"):
        pointer.write_bytes(damage)
        live = store.live(TASK)
        assert live is not None
        assert (live.version, live.before) == ("v2", ("v1",))
    pointer.unlink()
    store.promote(TASK, "v3", later(2), expected="v2")
    assert json.loads(pointer.read_text())["version"] == "v3"


def test_a_store_from_before_there_was_a_history_goes_on_from_its_pointer(
    store: ModelStore, tmp_path: Path
) -> None:
    pointer = tmp_path / "files/models/topics/live.json"
    pointer.write_text(json.dumps({"version": "v2", "since": NOW.isoformat(), "before": ["v1"]}))
    live = store.live(TASK)
    assert live is not None
    assert (live.version, live.before) == ("v2", ("v1",))
    assert store.history(TASK) == ()
    store.roll_back(TASK, later(1), expected="v2")
    assert [(change.was, change.version) for change in store.history(TASK)] == [("v2", "v1")]
    pointer.write_text("{")
    assert store.live(TASK) is not None


def test_what_is_live_and_cannot_be_read_is_said_so(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "files/models/topics/live.json").write_text("{")
    with pytest.raises(ModelUnavailable, match="restore the registry from a backup"):
        store.live(TASK)


def test_the_live_version_and_the_one_before_it_cannot_be_retired(store: ModelStore) -> None:
    for minute, version in enumerate(("v1", "v2", "v3")):
        store.promote(TASK, version, later(minute))
    with pytest.raises(Conflict, match="v3 of topics is live and stays"):
        store.retire(TASK, "v3", later(5))
    with pytest.raises(Conflict, match="rollback"):
        store.retire(TASK, "v2", later(5))
    size = store.size(TASK, "v1")
    assert store.retire(TASK, "v1", later(6), by="Ana", reason="old") == size > 1000
    assert store.versions(TASK) == ["v2", "v3"]
    for gone in (
        lambda: store.open(TASK, "v1"),
        lambda: store.promote(TASK, "v1", later(7)),
        lambda: store.retire(TASK, "v1", later(7)),
        lambda: store.size(TASK, "v1"),
        lambda: store.lineage(TASK, "v1"),
    ):
        with pytest.raises(NotFound):
            gone()
    last = store.history(TASK)[-1]
    assert (last.action, last.retired, last.by, last.reason) == ("retire", "v1", "Ana", "old")
    store.roll_back(TASK, later(8))
    require_chain(store)
    assert store.roll_back(TASK, later(9)).version == ""
    assert store.live(TASK) is None
    with pytest.raises(Conflict, match="no earlier one"):
        store.roll_back(TASK, later(10))


def test_a_version_that_another_process_retired_is_no_longer_promoted(
    store: ModelStore, tmp_path: Path
) -> None:
    store.open(TASK, "v3")
    other = local_store(tmp_path)
    other.retire(TASK, "v3", NOW)
    with pytest.raises(NotFound):
        store.promote(TASK, "v3", NOW)
    assert store.live(TASK) is None


def test_two_versions_are_compared_by_what_differs(store: ModelStore, tmp_path: Path) -> None:
    folder = make_folder(
        tmp_path / "made" / "v4",
        "v4",
        parameters={"epochs": 5, "optimiser": {"rate": 0.001}, "rank": 8},
        metrics={"macro_f1": 0.74},
    )
    store.add(TASK, "v4", folder)
    found = store.compare(TASK, "v1", "v4")
    assert [(c.name, c.first, c.second) for c in found.parameters] == [("epochs", 3, 5), ("rank", None, 8)]
    assert [(c.name, c.first, c.second) for c in found.metrics] == [("macro_f1", 0.71, 0.74)]
    assert [c.name for c in found.other] == ["version"]


@pytest.fixture
def s3_stores(
    tmp_path: Path, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[ModelStore, ModelStore]:
    """Two processes' views of one bucket, each with a cache of its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    one, two = (
        ModelStore(
            Storage(
                f"s3://files/{tmp_path.name}",
                tmp_path / name,
                endpoint_url=s3_endpoint,
                skip_instance_cache=True,
            )
        )
        for name in ("one", "two")
    )
    return one, two


def test_on_s3_one_of_two_wins_and_each_sees_what_the_other_did(
    s3_stores: tuple[ModelStore, ModelStore], tmp_path: Path
) -> None:
    one, two = s3_stores
    assert two.versions(TASK) == []
    with_versions(one, tmp_path / "made", "v1", "v2", "v3")
    assert two.tasks() == [TASK]
    assert two.versions(TASK) == ["v1", "v2", "v3"]
    two.promote(TASK, "v1", NOW, by="two")
    meet = threading.Barrier(2)
    won: list[str] = []
    told: list[str] = []

    def promote(own: ModelStore, version: str) -> None:
        own.open(TASK, version)
        meet.wait()
        try:
            own.promote(TASK, version, later(1), by=version, expected="v1")
            won.append(version)
        except Conflict as error:
            told.append(error.detail)

    threads = [threading.Thread(target=promote, args=pair) for pair in ((one, "v2"), (two, "v3"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(won) == len(told) == 1
    assert f"{won[0]} made {won[0]} live for topics" in told[0]
    for own in s3_stores:
        require_chain(own)
        assert own.live(TASK).version == won[0]  # type: ignore[union-attr]
    one.roll_back(TASK, later(2))
    assert two.live(TASK).version == "v1"  # type: ignore[union-attr]


def test_on_s3_a_version_without_its_sums_is_none_and_can_be_added_again(
    s3_stores: tuple[ModelStore, ModelStore], tmp_path: Path
) -> None:
    one, two = s3_stores
    one.storage.write("models/topics/versions/v1/model.safetensors", b"the first half")
    one.storage.write("models/topics/versions/v1/left-over.safetensors", b"from then")
    assert two.versions(TASK) == []
    with_versions(two, tmp_path / "made", "v1")
    assert one.open(TASK, "v1").is_dir()
    assert sorted(one.sums(TASK, "v1")) == ["README.md", "lineage.json", "model.safetensors"]
    assert one.size(TASK, "v1") == two.size(TASK, "v1")


def test_on_s3_a_local_copy_that_was_damaged_or_replaced_is_fetched_again(
    s3_stores: tuple[ModelStore, ModelStore], tmp_path: Path
) -> None:
    one, two = s3_stores
    with_versions(one, tmp_path / "made", "v1")
    copy = two.open(TASK, "v1")
    (copy / "model.safetensors").write_bytes(b"damaged")
    fresh = ModelStore(two.storage)
    assert (fresh.open(TASK, "v1") / "model.safetensors").read_bytes() == b"v1" * 500
    one.retire(TASK, "v1", NOW)
    one.add(TASK, "v1", make_folder(tmp_path / "other", "other"))
    assert (ModelStore(two.storage).open(TASK, "v1") / "model.safetensors").read_bytes() == b"other" * 500
