"""Model versions from the command line: look, compare, promote, roll back, keep safe, give on."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from services.console.storage import storage
from services.errors import InvalidInput, SuiteError
from services.registry.store import ANYTHING, ModelStore


class Command(BaseCommand):
    """`manage.py models list|show|compare|promote|rollback|history|retire|backup|restore|export`."""

    help = (
        "Model versions: list and compare them, make one live or go back, back up and restore the registry, "
        "export one as a package that runs without Trefoil. `models WHAT --help` says more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        whats = parser.add_subparsers(dest="what", required=True, metavar="WHAT")

        def what(name: str, told: str, *arguments: str) -> Any:
            found = whats.add_parser(name, help=told, description=told)
            for argument in arguments:
                found.add_argument(argument)
            found.add_argument("--json", action="store_true", help="print the result as JSON")
            return found

        found = what("list", "Every version of a task (of all tasks without one); * marks the live one.")
        found.add_argument("task", nargs="?", default="")
        what("show", "Where a version comes from and how good it is.", "task", "version")
        what("compare", "What differs between two versions.", "task", "first", "second")
        what("history", "Who made which version live, when and why.", "task")
        for name, told, arguments in (
            ("promote", "Make a version live. Fails when another change came first.", ("task", "version")),
            ("rollback", "Make the version before the live one live again.", ("task",)),
            (
                "retire",
                "Remove a version's files; never the live one nor the one before.",
                ("task", "version"),
            ),
        ):
            found = what(name, told, *arguments)
            found.add_argument("--by", default="", help="who does it; your login by default")
            found.add_argument("--reason", default="", help="why; kept in the history")
            if name != "retire":
                found.add_argument("--expected", default=ANYTHING, help="only if this version is live")
            if name == "promote":
                found.add_argument(
                    "--override", action="store_true", help="although the gate refused it; needs --reason"
                )
        what("backup", "Back up every version: to a .tar file or a folder, at a path or URL.", "target")
        found = what("restore", "Bring back what a backup has and the registry has not.", "source")
        found.add_argument("--dry-run", action="store_true", help="only say what would be done")
        found = what(
            "export", "Write a version as an ONNX and OpenVINO package.", "task", "version", "folder"
        )
        found.add_argument(
            "--texts", type=Path, required=True, help="JSONL or CSV with text [and label] to measure on"
        )
        found.add_argument("--kinds", default="onnx,openvino")
        found.add_argument("--variants", default="plain,pruned,int8")

    def handle(self, *args: Any, **options: Any) -> None:
        store = ModelStore(storage())
        try:
            found = _DO[options["what"]](store, options)
        except (SuiteError, OSError) as error:
            raise CommandError(error.detail if isinstance(error, SuiteError) else str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, default=str))
        else:
            for line in _lines(found):
                self.stdout.write(line)
        if isinstance(found, dict) and found.get("damaged"):
            damaged = ", ".join(found["damaged"])
            raise CommandError(_("Damaged and left out: %(versions)s.") % {"versions": damaged})


def _list(store: ModelStore, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for task in [options["task"]] if options["task"] else store.tasks():
        live = store.live(task)
        for version in store.versions(task):
            told = store.lineage(task, version)
            rows.append(
                {
                    "task": task,
                    "version": version,
                    "live": live is not None and live.version == version,
                    "trained": told.trained_at,
                    "recipe": told.recipe,
                    "bytes": store.size(task, version),
                    "metrics": dict(told.metrics),
                }
            )
    return rows


def _show(store: ModelStore, options: Mapping[str, Any]) -> dict[str, Any]:
    return store.lineage(options["task"], options["version"]).as_json() | {
        "bytes": store.size(options["task"], options["version"])
    }


def _compare(store: ModelStore, options: Mapping[str, Any]) -> dict[str, Any]:
    return asdict(store.compare(options["task"], options["first"], options["second"]))


def _history(store: ModelStore, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [change.as_json() for change in store.history(options["task"])]


def _promote(store: ModelStore, options: Mapping[str, Any]) -> dict[str, Any]:
    live = store.promote(
        options["task"],
        options["version"],
        timezone.now(),
        expected=options["expected"],
        by=_by(options),
        reason=options["reason"],
        overridden=options["override"],
    )
    return asdict(live)


def _roll_back(store: ModelStore, options: Mapping[str, Any]) -> dict[str, Any]:
    live = store.roll_back(
        options["task"],
        timezone.now(),
        expected=options["expected"],
        by=_by(options),
        reason=options["reason"],
    )
    return asdict(live)


def _retire(store: ModelStore, options: Mapping[str, Any]) -> dict[str, Any]:
    freed = store.retire(
        options["task"], options["version"], timezone.now(), by=_by(options), reason=options["reason"]
    )
    return {"retired": options["version"], "bytes": freed}


def _back_up(store: ModelStore, options: Mapping[str, Any]) -> dict[str, Any]:
    from services.registry.backup import back_up

    return asdict(back_up(store, options["target"]))


def _restore(store: ModelStore, options: Mapping[str, Any]) -> dict[str, Any]:
    from services.registry.backup import restore

    return asdict(restore(store, options["source"], dry_run=options["dry_run"]))


def _export(store: ModelStore, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    from services.inference.model_files import find_folder
    from services.registry.export import KINDS, VARIANTS, export

    kinds = _chosen(options["kinds"], KINDS, "kinds")
    variants = _chosen(options["variants"], VARIANTS, "variants")
    with redirect_stdout(sys.stderr):  # the compressors print tables; the result is to stay JSON
        done = export(
            store,
            options["task"],
            options["version"],
            Path(options["folder"]),
            _samples(options["texts"]),
            kinds=kinds,
            variants=variants,
            find_base=lambda name: find_folder(name, "the adapter's base"),
        )
    return [asdict(one) for one in done]


def _chosen(given: str, known: Sequence[Any], field: str) -> list[Any]:
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names or set(names) - set(known):
        known_names = ", ".join(known)
        raise InvalidInput(_("--%(field)s takes %(known)s.") % {"field": field, "known": known_names})
    return [name for name in known if name in names]


def _samples(path: Path) -> Any:
    from services.registry.export import Samples
    from services.training.batch_scoring import file_rows

    rows = [row for page in file_rows(path)("", 256) for row in page.rows if row.get("text")]
    labels = tuple(str(row.get("label") or "") for row in rows)
    return Samples(tuple(str(row["text"]) for row in rows), labels if all(labels) else ())


def _by(options: Mapping[str, Any]) -> str:
    try:
        return str(options["by"] or getpass.getuser())
    except (OSError, KeyError):
        return ""


def _lines(found: Any) -> list[str]:
    """For people: a table for a list of rows, `name: value` for one."""
    if isinstance(found, dict):
        return [f"{name}: {_told(value)}" for name, value in found.items()]
    if not found:
        return [_("None.")]
    rows = [[_told(value) for value in row.values()] for row in found]
    table = [list(found[0]), *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "*" if value else ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_told(one)}" for name, one in value.items()) or "–"
    if isinstance(value, list | tuple):
        return "; ".join(map(_told, value)) or "–"
    return "–" if value in (None, "") else str(value)


_DO = {
    "list": _list,
    "show": _show,
    "compare": _compare,
    "history": _history,
    "promote": _promote,
    "rollback": _roll_back,
    "retire": _retire,
    "backup": _back_up,
    "restore": _restore,
    "export": _export,
}
