"""Knowledge versions from the command line: look, publish, go back, ask the cases."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from chatbot import publishing, tasks
from chatbot.access import knowledge_base_named
from chatbot.models import KnowledgeBase, KnowledgeVersion
from services.console.models import AuditEntry
from services.errors import NotFound, SuiteError
from services.inference.engine import get_engine


class Command(BaseCommand):
    """`manage.py knowledge_versions list|show|publish|rollback|evaluate`."""

    help = (
        "Knowledge versions: list them, see how one does on its cases, make one live, go back, ask the cases "
        "again. `knowledge_versions WHAT --help` says more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        whats = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
        for name, told in (
            ("list", "Every version of a knowledge base, the newest first; * marks the live one."),
            ("show", "A version's figures, the gate's reasons and its failing cases."),
            ("publish", "Make a version live. Fails when another change came first."),
            ("rollback", "Make the version before the live one live again, or the one that is named."),
            (
                "evaluate",
                "Build what is due and ask the live and the newest version their cases, here and now.",
            ),
        ):
            found = whats.add_parser(name, help=told, description=told)
            found.add_argument(
                "--base", default="", help="the knowledge base's name; the only one by default"
            )
            found.add_argument("--json", action="store_true", help="print the result as JSON")
            if name in {"show", "publish"}:
                found.add_argument("number", type=int, help="the version's number")
            if name == "rollback":
                found.add_argument("number", type=int, nargs="?", help="the version's number")
            if name in {"publish", "rollback"}:
                found.add_argument("--by", default="", help="who does it; your login by default")
                found.add_argument("--reason", default="", help="why; needed for a blocked version")
                found.add_argument(
                    "--hold", action="store_true", help="publish nothing by itself from now on"
                )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found: Any = _DO[options["what"]](knowledge_base_named(options["base"]), options)
        except SuiteError as error:
            raise CommandError(error.detail) from error
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, default=str))
            return
        for row in found if isinstance(found, list) else [found]:
            self.stdout.write("  ".join(f"{name}: {_told(value)}" for name, value in row.items()))


def _list(base: KnowledgeBase, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    versions = base.versions.defer("passage_ids", "failing").order_by("-number")
    return [_row(version, base) for version in versions]


def _show(base: KnowledgeBase, options: Mapping[str, Any]) -> dict[str, Any]:
    version = _version(base, options["number"])
    reasons = [publishing.reason_words(reason) for reason in version.evaluation.get("reasons", [])]
    told = {"reasons": reasons, "evaluation": version.evaluation, "failing": version.failing}
    return _row(version, base) | told


def _publish(base: KnowledgeBase, options: Mapping[str, Any]) -> dict[str, Any]:
    version = _version(base, options["number"])
    return _entry(
        publishing.publish(
            version,
            expected=base.live_version_id,
            who=_by(options),
            now=timezone.now(),
            reason=options["reason"],
            hold=options["hold"],
            encoder=get_engine().encoder().version,
        )
    )


def _roll_back(base: KnowledgeBase, options: Mapping[str, Any]) -> dict[str, Any]:
    if options["number"] is not None:
        return _publish(base, options)
    told = {"reason": options["reason"], "hold": options["hold"], "encoder": get_engine().encoder().version}
    return _entry(publishing.roll_back(base, who=_by(options), now=timezone.now(), **told))


def _evaluate(base: KnowledgeBase, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    publishing.ask_again(base)
    for _attempt in range(3):  # the live one, the newest, and one that is due
        tasks.index_knowledge_base(base.pk)
    base.refresh_from_db()
    return _list(base, options)


def _row(version: KnowledgeVersion, base: KnowledgeBase) -> dict[str, Any]:
    figures = version.evaluation.get("this") or {}
    return {
        "version": version.number,
        "live": version.pk == base.live_version_id,
        "state": version.state,
        "passages": version.passages_n,
        "cases": version.evaluation.get("cases"),
        "recall_at_1": figures.get("recall_at_1"),
        "recall_at_5": figures.get("recall_at_5"),
        "mrr": figures.get("mrr"),
        "passed": version.evaluation.get("passed"),
        "published_at": version.published_at,
        "published_by": version.published_by,
    }


def _entry(entry: AuditEntry) -> dict[str, Any]:
    return {"act": entry.act, "before": entry.before, "after": entry.after, "by": entry.who}


def _version(base: KnowledgeBase, number: int) -> KnowledgeVersion:
    found = base.versions.filter(number=number).first()
    if found is None:
        raise NotFound(_("There is no version %(n)d, or it was cleared away.") % {"n": number})
    return found


def _by(options: Mapping[str, Any]) -> str:
    try:
        return str(options["by"] or getpass.getuser())
    except (OSError, KeyError):
        return ""


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "*" if value else "–"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "–" if value in (None, "") else str(value)


_DO = {"list": _list, "show": _show, "publish": _publish, "rollback": _roll_back, "evaluate": _evaluate}
