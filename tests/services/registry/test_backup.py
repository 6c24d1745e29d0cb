"""A backup brings back every version, the history and what is live, and overwrites nothing."""

from __future__ import annotations

import resource
import tarfile
from pathlib import Path

import pytest

from services.errors import Conflict, InvalidInput, NotFound, StorageFailed
from services.registry.backup import back_up, restore
from services.registry.store import ModelStore
from tests.services.registry.stores import NOW, TASK, later, local_store, make_folder, with_versions


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Two tasks, three versions, a history; v2 is live and v1 before it."""
    store = with_versions(local_store(tmp_path / "old"), tmp_path / "made", "v1", "v2")
    store.add("names", "n1", make_folder(tmp_path / "n1", "n1"))
    store.promote(TASK, "v1", NOW, by="Ana")
    store.promote(TASK, "v2", later(1), by="Ben", reason="better")
    return store


def require_same(one: ModelStore, two: ModelStore) -> None:
    assert one.tasks() == two.tasks()
    for task in one.tasks():
        assert one.versions(task) == two.versions(task)
        assert one.history(task) == two.history(task)
        assert one.live(task) == two.live(task)
        for version in one.versions(task):
            assert one.sums(task, version) == two.sums(task, version)
            two.open(task, version)


@pytest.mark.parametrize(
    "target", ["backup.tar", "backup", "s3://files/kept/registry.tar", "s3://files/tree"]
)
def test_what_was_backed_up_comes_back_whole(
    store: ModelStore, tmp_path: Path, target: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    remote = target.startswith("s3://")
    options = {"endpoint_url": s3_endpoint, "skip_instance_cache": True} if remote else {}
    place = target if remote else str(tmp_path / target)
    done = back_up(store, place, **options)
    assert sorted(done.added) == ["names/n1", "topics/v1", "topics/v2"]
    assert done.live == {TASK: "v2"}
    new = local_store(tmp_path / "new")
    dry = restore(new, place, dry_run=True, **options)
    assert new.tasks() == []
    real = restore(new, place, **options)
    assert (real.added, real.live) == (dry.added, dry.live)
    assert real.bytes == done.bytes > 0
    require_same(store, new)
    again = restore(new, place, **options)
    assert again.added == []
    assert sorted(again.kept) == sorted(done.added)
    require_same(store, new)
    new.roll_back(TASK, later(2))
    assert new.live(TASK).version == "v1"  # type: ignore[union-attr]


def test_a_restore_broken_off_half_way_serves_nothing_new_and_is_taken_up_again(
    store: ModelStore, tmp_path: Path
) -> None:
    back_up(store, str(tmp_path / "b.tar"))
    new = local_store(tmp_path / "new")
    (tmp_path / "new/files/models").mkdir(parents=True)
    (tmp_path / "new/files/models" / TASK).write_text("in the way")
    with pytest.raises(StorageFailed):
        restore(new, str(tmp_path / "b.tar"))
    assert new.versions("names") == ["n1"]
    (tmp_path / "new/files/models" / TASK).unlink()
    assert new.live(TASK) is None
    done = restore(new, str(tmp_path / "b.tar"))
    assert done.kept == ["names/n1"]
    require_same(store, new)


def test_another_version_of_the_same_name_stops_the_restore_before_anything_is_written(
    store: ModelStore, tmp_path: Path
) -> None:
    back_up(store, str(tmp_path / "b.tar"))
    new = local_store(tmp_path / "new")
    new.add(TASK, "v2", make_folder(tmp_path / "made" / "other", "other"))
    with pytest.raises(Conflict, match="another version v2 of topics"):
        restore(new, str(tmp_path / "b.tar"))
    assert new.tasks() == [TASK]
    assert new.versions(TASK) == ["v2"]


def test_what_went_on_after_the_backup_stays_live(store: ModelStore, tmp_path: Path) -> None:
    back_up(store, str(tmp_path / "b.tar"))
    store.roll_back(TASK, later(3))
    done = restore(store, str(tmp_path / "b.tar"))
    assert done.own == [TASK]
    assert store.live(TASK).version == "v1"  # type: ignore[union-attr]
    assert len(store.history(TASK)) == 3


def test_a_store_with_a_history_of_its_own_gets_the_versions_and_keeps_its_pointer(
    store: ModelStore, tmp_path: Path
) -> None:
    back_up(store, str(tmp_path / "b.tar"))
    new = with_versions(local_store(tmp_path / "new"), tmp_path / "other", "w1")
    new.promote(TASK, "w1", NOW)
    done = restore(new, str(tmp_path / "b.tar"))
    assert done.own == [TASK]
    assert new.live(TASK).version == "w1"  # type: ignore[union-attr]
    assert new.versions(TASK) == ["v1", "v2", "w1"]


def test_a_second_backup_into_the_same_folder_adds_what_is_new(store: ModelStore, tmp_path: Path) -> None:
    back_up(store, str(tmp_path / "tree"))
    with_versions(store, tmp_path / "more", "v3")
    store.promote(TASK, "v3", later(4))
    done = back_up(store, str(tmp_path / "tree"))
    assert done.added == ["topics/v3"]
    new = local_store(tmp_path / "new")
    restore(new, str(tmp_path / "tree"))
    require_same(store, new)


def test_a_damaged_version_is_named_and_the_others_are_kept_safe(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "old/files/models/topics/versions/v1/model.safetensors").write_bytes(b"damaged")
    done = back_up(store, str(tmp_path / "b.tar"))
    assert done.damaged == ["topics/v1"]
    new = local_store(tmp_path / "new")
    restore(new, str(tmp_path / "b.tar"))
    assert new.versions(TASK) == ["v2"]
    assert new.live(TASK).version == "v2"  # type: ignore[union-attr]


def test_a_file_that_was_changed_inside_a_backup_is_not_brought_back(
    store: ModelStore, tmp_path: Path
) -> None:
    back_up(store, str(tmp_path / "tree"))
    (tmp_path / "tree/models/topics/versions/v2/model.safetensors").write_bytes(b"changed")
    new = local_store(tmp_path / "new")
    done = restore(new, str(tmp_path / "tree"))
    assert done.damaged == ["topics/v2"]
    assert done.own == [TASK]
    assert new.versions(TASK) == ["v1"]
    assert new.live(TASK) is None


def test_a_backup_cut_short_or_of_something_else_restores_nothing(store: ModelStore, tmp_path: Path) -> None:
    back_up(store, str(tmp_path / "b.tar"))
    whole = (tmp_path / "b.tar").read_bytes()
    new = local_store(tmp_path / "new")
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tar").write_bytes(b"not a tar file" * 100)
    for name in ("cut.tar", "text.tar"):
        with pytest.raises(InvalidInput, match="nothing was restored"):
            restore(new, str(tmp_path / name))
    with pytest.raises(NotFound):
        restore(new, str(tmp_path / "none.tar"))
    with pytest.raises(NotFound):
        restore(new, str(tmp_path / "nowhere"))
    assert new.tasks() == []


def test_a_tar_file_that_reaches_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "evil", "../../outside")
    with pytest.raises(InvalidInput):
        restore(local_store(tmp_path / "new"), str(tmp_path / "evil.tar"))
    assert not (tmp_path / "outside").exists()


def test_a_backup_that_cannot_be_written_leaves_the_one_before(store: ModelStore, tmp_path: Path) -> None:
    place = tmp_path / "b.tar"
    back_up(store, str(place))
    before = place.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageFailed, match="what was there before stands"):
            back_up(store, str(place))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert place.read_bytes() == before
    assert not list(tmp_path.glob("*.part"))
