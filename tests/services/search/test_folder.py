"""An index on disk: the old one or the new one, never half."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from services.errors import IndexMismatch, StorageFailed
from services.search import folder as folders
from services.search.folder import Opened, open_folder, publish_folder


def save(folder: Path, text: str) -> None:
    publish_folder(
        folder,
        "words",
        {"a.txt": lambda path: path.write_text(text), "b.txt": lambda path: path.write_text(text * 2)},
        {"length": len(text)},
    )


def read(opened: Opened) -> tuple[str, str, int]:
    return opened.files["a.txt"].read_text(), opened.files["b.txt"].read_text(), opened.facts["length"]


def test_what_was_published_is_read_and_the_files_before_it_are_gone(tmp_path: Path) -> None:
    save(tmp_path, "old")
    save(tmp_path, "newer")
    assert open_folder(tmp_path, "words", read) == ("newer", "newernewer", 5)
    assert len([path for path in tmp_path.iterdir() if path.suffix == ".txt"]) == 2


def test_a_save_that_fails_halfway_leaves_the_old_index_and_nothing_else(tmp_path: Path) -> None:
    save(tmp_path, "old")
    before = sorted(path.name for path in tmp_path.iterdir())

    def no_room(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageFailed, match="No space left"):
        publish_folder(tmp_path, "words", {"a.txt": lambda p: p.write_text("x"), "b.txt": no_room}, {})
    assert open_folder(tmp_path, "words", read) == ("old", "oldold", 3)
    save(tmp_path, "old")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_save_killed_halfway_leaves_the_old_index_and_the_next_save_clears_up(tmp_path: Path) -> None:
    save(tmp_path, "old")
    script = """
        import os, signal, sys
        from pathlib import Path
        from services.search.folder import publish_folder

        def killed(path):
            path.write_text("half of it")
            os.kill(os.getpid(), signal.SIGKILL)

        files = {"a.txt": lambda path: path.write_text("new"), "b.txt": killed}
        publish_folder(Path(sys.argv[1]), "words", files, {})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=False)
    assert done.returncode == -9
    assert open_folder(tmp_path, "words", read) == ("old", "oldold", 3)
    save(tmp_path, "newer")
    assert open_folder(tmp_path, "words", read) == ("newer", "newernewer", 5)
    assert not list(tmp_path.glob("*.part"))
    assert len(list(tmp_path.glob("*.txt"))) == 2


def test_a_reader_overtaken_by_a_save_reads_the_new_index(tmp_path: Path) -> None:
    save(tmp_path, "old")
    seen = []

    def overtaken(opened: Opened) -> tuple[str, str, int]:
        if not seen:
            seen.append(opened.facts["length"])
            save(tmp_path, "newer")
        return read(opened)

    assert open_folder(tmp_path, "words", overtaken) == ("newer", "newernewer", 5)
    assert seen == [3]


def test_another_kind_or_format_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "old")
    with pytest.raises(IndexMismatch, match="Rebuild"):
        open_folder(tmp_path, "vectors", read)
    manifest = tmp_path / folders.MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 999}))
    with pytest.raises(IndexMismatch, match="Rebuild"):
        open_folder(tmp_path, "words", read)


def test_a_manifest_cannot_name_a_file_outside_its_folder(tmp_path: Path) -> None:
    save(tmp_path / "index", "old")
    secret = tmp_path / "secret.txt"
    secret.write_text("old")
    manifest = tmp_path / "index" / folders.MANIFEST
    changed = json.loads(manifest.read_text())
    changed["files"]["a.txt"]["file"] = "../secret.txt"
    manifest.write_text(json.dumps(changed))
    with pytest.raises(StorageFailed):
        open_folder(tmp_path / "index", "words", read)


def test_a_folder_that_cannot_be_made_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed) as failure:
        save(tmp_path / "file" / "index", "x")
    assert str(tmp_path) not in failure.value.detail
