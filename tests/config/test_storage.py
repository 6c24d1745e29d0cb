"""The file store does the same on a folder and on S3 (a real HTTP server that speaks S3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from services.errors import InvalidInput, NotFound, StorageFailed
from services.storage import Storage
from tests.conftest import free_port


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """A server with the bucket `files`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket="files")
    yield endpoint
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """An empty store of each kind."""
    cache = tmp_path / "cache"
    if request.param == "folder":
        return Storage(str(tmp_path / "store"), cache)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    endpoint = request.getfixturevalue("s3_endpoint")
    return Storage(f"s3://files/{tmp_path.name}", cache, endpoint_url=endpoint, skip_instance_cache=True)


def test_what_was_written_is_read_back_and_replaced_whole(store: Storage) -> None:
    store.write("documents/1/a", b"first")
    store.write("documents/1/a", b"second, longer")
    assert store.read("documents/1/a") == b"second, longer"
    store.write("documents/1/a", b"")
    assert store.read("documents/1/a") == b""


def test_a_missing_file_is_not_found_and_its_removal_does_nothing(store: Storage) -> None:
    with pytest.raises(NotFound):
        store.read("documents/none")
    store.delete("documents/none")


def test_a_removed_file_is_gone_and_a_removed_folder_with_all_in_it(store: Storage) -> None:
    store.write("a/one", b"1")
    store.write("a/b/two", b"2")
    store.delete("a/one")
    with pytest.raises(NotFound):
        store.read("a/one")
    store.delete("a")
    with pytest.raises(NotFound):
        store.read("a/b/two")


def test_the_folders_under_a_path_are_listed_by_their_own_paths(store: Storage) -> None:
    assert store.folders("indexes/7") == []
    store.write("indexes/7/1-aa/meta.json", b"{}")
    store.write("indexes/7/2-bb/meta.json", b"{}")
    store.write("indexes/7/a-file", b"")
    assert sorted(store.folders("indexes/7")) == ["indexes/7/1-aa", "indexes/7/2-bb"]


def test_a_published_folder_comes_back_as_a_local_folder(store: Storage, tmp_path: Path) -> None:
    made = tmp_path / "made"
    (made / "inner").mkdir(parents=True)
    (made / "meta.json").write_text("{}")
    (made / "inner" / "vectors").write_bytes(bytes(1000))
    store.put_folder(made, "indexes/7/1-aa")
    for _again in range(2):
        local = store.local_folder("indexes/7/1-aa")
        found = sorted(p.relative_to(local).as_posix() for p in local.rglob("*") if p.is_file())
        assert found == ["inner/vectors", "meta.json"]
        assert (local / "inner" / "vectors").read_bytes() == bytes(1000)
    assert store.folders("indexes/7") == ["indexes/7/1-aa"]


def test_a_folder_that_is_not_there_is_not_found(store: Storage) -> None:
    with pytest.raises(NotFound):
        store.local_folder("indexes/7/none")


@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "/etc/passwd", "", "a/.."])
def test_a_path_out_of_the_store_is_refused(store: Storage, path: str) -> None:
    for refused in (
        lambda: store.write(path, b"x"),
        lambda: store.read(path),
        lambda: store.delete(path),
        lambda: store.folders(path),
        lambda: store.local_folder(path),
    ):
        with pytest.raises(InvalidInput):
            refused()


def test_the_probe_leaves_nothing_behind(store: Storage) -> None:
    store.write("documents/a", b"kept")
    store.probe()
    assert store.read("documents/a") == b"kept"
    assert store.folders("documents") == []


def test_a_refused_local_write_keeps_the_old_bytes_and_leaves_no_part_of_the_new(tmp_path: Path) -> None:
    store = Storage(str(tmp_path / "store"), tmp_path / "cache")
    store.write("a/kept", b"old")
    with pytest.raises(StorageFailed):
        store.write("a/kept/below-a-file", b"new")
    assert store.read("a/kept") == b"old"
    left = [p.name for p in (tmp_path / "store").rglob("*") if p.is_file()]
    assert left == ["kept"]


def test_a_store_that_does_not_answer_fails_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    endpoint = f"http://127.0.0.1:{free_port()}"
    store = Storage("s3://files", tmp_path / "cache", endpoint_url=endpoint, skip_instance_cache=True)
    with pytest.raises(StorageFailed, match="file store refused a write"):
        store.probe()
