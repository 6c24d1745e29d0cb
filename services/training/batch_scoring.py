"""Score millions of rows by a task's model: in chunks, with a watermark, and no row lost or doubled.

Rows come in pages, in an order that stays; a chunk's answers become one part file, and its name says which
rows they are of. The watermark, written after the part, says how far the work is done. A process killed
anywhere goes on from the watermark: a part it had finished after that is found by its name and kept, one it
had not is written anew. `join` puts the parts together when all is done.
Knows neither what the rows are nor whose model answers.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from services.errors import Conflict, InvalidInput, NotFound, StorageFailed
from services.inference.values import ClassScores, Pair
from services.training.order import Cancelled, Silent, Watch

MARK = "watermark.json"
_LOCK = "scoring.lock"
CHUNK = 256
_PART = "part-{start:012d}-{end:012d}.jsonl"
_MAX_TEXT_CHARS = 20_000

Row = Mapping[str, Any]
Classify = Callable[[Sequence[Pair]], ClassScores]


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far the work is done: `rows` are scored, `at` is where the source goes on (a row, a byte, a key).

    `about` names what is scored by what; a watermark of other work is not gone on from.
    """

    rows: int = 0
    at: str = ""
    about: str = ""
    finished: bool = False
    unusable: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of the source, and where it goes on after them."""

    rows: tuple[Row, ...]
    at: str


class Source(Protocol):
    """Pages of at most `chunk` rows from a place on: the same from the same place, always."""

    def __call__(self, at: str, chunk: int) -> Iterator[Page]:
        """From the beginning when `at` is empty."""
        ...


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of the work. `rows` counts all, those before this process began too; `unusable` of them
    had no text and carry a `problem` in place of a label."""

    rows: int
    unusable: int
    seconds: float
    rows_per_s: float
    model_versions: tuple[str, ...]


def score(
    source: Source,
    classify: Classify,
    folder: Path,
    *,
    about: str = "",
    chunk: int = CHUNK,
    rate_per_s: float | None = None,
    watch: Watch | None = None,
    total: int = 0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Scored:
    """Score what the folder's watermark says is still to do; parts and watermark lie in the folder.

    `rate_per_s` is the most rows a second; `total` rows, when known, is for the progress only. A row is a
    mapping with `text` and perhaps `entity`; its answer has the row's `id`, or its number, and the
    model's version.
    Raises Cancelled (what is done stays), Conflict (the folder holds other work), what `classify` raises,
    StorageFailed; doing the same again goes on from there.
    """
    if chunk < 1 or (rate_per_s is not None and rate_per_s <= 0):
        raise InvalidInput("A chunk has at least one row, and a rate is above zero.", field="chunk")
    watch = watch or Silent()
    with _alone(folder):
        mark = _begin(folder, about)
        began, first, versions = clock(), mark.rows, set[str]()
        watch.stage("score")
        watch.progress(mark.rows, max(total, mark.rows))
        pages = () if mark.finished else source(mark.at, chunk)
        for page in pages:
            if watch.stopped():
                raise Cancelled(f"Stopped after {mark.rows} rows; starting it again goes on from there.")
            if mark.rows == first:
                _drop_other_parts(folder, first, first + len(page.rows))
            bad = _write_part(folder, mark.rows, page.rows, classify, versions)
            mark = replace(mark, rows=mark.rows + len(page.rows), at=page.at, unusable=mark.unusable + bad)
            _write_mark(folder, mark)
            watch.progress(mark.rows, max(total, mark.rows))
            if rate_per_s is not None:
                _wait((mark.rows - first) / rate_per_s - (clock() - began), watch, sleep)
        mark = replace(mark, finished=True)
        _write_mark(folder, mark)
    seconds, done = clock() - began, mark.rows - first
    return Scored(
        mark.rows, mark.unusable, seconds, done / seconds if seconds else 0.0, tuple(sorted(versions))
    )


def join(folder: Path, target: Path) -> int:
    """Put the parts of finished work into one file, whole or not at all; the rows it has.

    Raises Conflict when the work is not finished, StorageFailed.
    """
    mark = read_mark(folder)
    if not mark.finished:
        raise Conflict(f"Only {mark.rows} rows are scored; finish the work first.")
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as whole:
            for _, _, file in _parts(folder, mark.rows):
                with file.open("rb") as stream:
                    shutil.copyfileobj(stream, whole)
            whole.flush()
            os.fsync(whole.fileno())
        os.replace(part, target)
    except OSError as error:
        raise StorageFailed(f"The scores could not be put together ({error.strerror}).") from error
    finally:
        part.unlink(missing_ok=True)
    return mark.rows


def clear(folder: Path) -> None:
    """Remove what `score` left in a folder, once it is joined; anything else in it stays."""
    for file in (*folder.glob("part-*.jsonl"), folder / MARK, folder / _LOCK):
        file.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def read_mark(folder: Path) -> Watermark:
    """How far a folder's work is done. Raises Conflict for a mark that cannot be read."""
    try:
        return Watermark(**json.loads((folder / MARK).read_bytes()))
    except FileNotFoundError:
        return Watermark()
    except (OSError, ValueError, TypeError) as error:
        raise Conflict(f"The watermark of {folder.name} cannot be read; remove the folder.") from error


def file_rows(path: Path) -> Source:
    """The rows of a UTF-8 file: JSONL, or CSV with a header line. Raises InvalidInput, NotFound.

    JSONL goes on at a byte, so that going on costs nothing; CSV is read over from its beginning.
    """
    if not path.is_file():
        raise NotFound(f"There is no file {path.name}.")
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return lambda at, chunk: _jsonl(path, int(at or 0), chunk)
    if path.suffix.lower() == ".csv":
        return lambda at, chunk: _csv(path, int(at or 0), chunk)
    raise InvalidInput(f"{path.name} is neither .jsonl nor .csv.", field="in")


def count_rows(path: Path) -> int:
    """How many rows `file_rows` gives, for a progress bar; a CSV's quoted line ends count as rows."""
    with path.open("rb") as stream:
        blocks = iter(lambda: stream.read(1 << 20), b"")
        last, lines = b"\n", 0
        for block in blocks:
            lines += block.count(b"\n")
            last = block[-1:]
    lines += last != b"\n"
    return max(0, lines - (path.suffix.lower() == ".csv"))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the system lets go of the lock of one that was killed."""
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("wb")
    except OSError as error:
        raise StorageFailed(f"The folder for the scores cannot be written ({error.strerror}).") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict("Another process is scoring into that folder; wait for it or stop it.") from error
        yield


def _begin(folder: Path, about: str) -> Watermark:
    """The folder's watermark, made when there is none, so that parts always belong to a known work."""
    if not (folder / MARK).exists():
        _write_mark(folder, Watermark(about=about))
    mark = read_mark(folder)
    if mark.about != about:
        raise Conflict(
            f"The folder holds the scores of {mark.about or 'other work'}; give another one, or remove it."
        )
    return mark


def _drop_other_parts(folder: Path, start: int, end: int) -> None:
    """What was finished just before a kill with another chunk size: beyond the watermark, so not counted."""
    for other in folder.glob(f"part-{start:012d}-*.jsonl"):
        if other.name != _PART.format(start=start, end=end):
            other.unlink(missing_ok=True)


def _write_part(folder: Path, start: int, rows: Sequence[Row], classify: Classify, versions: set[str]) -> int:
    """One chunk's answers as a file, unless it is there already; the rows that could not be scored."""
    file = folder / _PART.format(start=start, end=start + len(rows))
    if file.is_file():
        return sum("problem" in json.loads(line) for line in file.read_bytes().splitlines())
    problems = [_problem(row) for row in rows]
    pairs: list[Pair] = [
        (str(row["text"]), str(row["entity"]) if row.get("entity") else None)
        for row, problem in zip(rows, problems, strict=True)
        if not problem
    ]
    scores = classify(pairs) if pairs else None
    if scores is not None:
        versions.add(scores.version)
    lines, at = [], 0
    for number, (row, problem) in enumerate(zip(rows, problems, strict=True), start):
        answer: dict[str, Any] = {"row": number}
        if row.get("id") not in (None, ""):
            answer["id"] = row["id"]
        if problem or scores is None:
            answer["problem"] = problem
        else:
            probs = scores.probs[at]
            at += 1
            answer["label"] = scores.labels[int(probs.argmax())]
            answer["probs"] = {
                label: round(float(p), 5) for label, p in zip(scores.labels, probs, strict=True)
            }
            answer["version"] = scores.version
        lines.append(json.dumps(answer, ensure_ascii=False))
    _replace(file, ("\n".join(lines) + "\n").encode())
    return sum(map(bool, problems))


def _problem(row: Row) -> str:
    if row.get("problem"):
        return str(row["problem"])
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        return "there is no text"
    if len(text) > _MAX_TEXT_CHARS:
        return f"the text is longer than {_MAX_TEXT_CHARS} characters"
    return ""


def _parts(folder: Path, rows: int) -> Iterator[tuple[int, int, Path]]:
    """The parts that make up the first `rows` rows, in order. Raises Conflict when one is missing."""
    by_start: dict[int, tuple[int, Path]] = {}
    for file in folder.glob("part-*.jsonl"):
        start, end = map(int, file.stem.split("-")[1:])
        by_start[start] = (end, file)
    at = 0
    while at < rows:
        if at not in by_start:
            raise Conflict(
                f"The part that begins with row {at} is missing; remove the folder and score anew."
            )
        end, file = by_start[at]
        yield at, end, file
        at = end


def _jsonl(path: Path, at: int, chunk: int) -> Iterator[Page]:
    with path.open("rb") as stream:
        stream.seek(at)
        while lines := list(islice(stream, chunk)):
            at += sum(map(len, lines))
            yield Page(tuple(map(_parsed, lines)), str(at))


def _parsed(line: bytes) -> Row:
    """A line that cannot be read is a row with a problem, so that the numbers stay those of the file."""
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except ValueError:
        return {"problem": "not a line of JSON in UTF-8"}
    return found if isinstance(found, dict) else {"problem": "not a JSON object"}


def _csv(path: Path, at: int, chunk: int) -> Iterator[Page]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        reader = csv.DictReader(stream)
        if "text" not in (reader.fieldnames or ()):
            raise InvalidInput(f"{path.name} lacks the column text.", field="in")
        rows = islice(reader, at, None)
        while page := tuple(islice(rows, chunk)):
            at += len(page)
            yield Page(page, str(at))


def _wait(seconds: float, watch: Watch, sleep: Callable[[float], None]) -> None:
    """In steps, so that a stop is heard within half a second."""
    while seconds > 0 and not watch.stopped():
        step = min(0.5, seconds)
        sleep(step)
        seconds -= step


def _write_mark(folder: Path, mark: Watermark) -> None:
    _replace(folder / MARK, f"{json.dumps(asdict(mark))}\n".encode())


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageFailed(
            f"The scores could not be written ({error.strerror}); what was written before stands. "
            "Free space, then start it again: it goes on from there."
        ) from error
