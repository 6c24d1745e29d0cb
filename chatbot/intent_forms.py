"""What the intent page's fields make of an intent: every wrong value is named at its field, with the remedy.

Fields: inbox, name, examples, template, template_zh, enabled; slot-N-name, -kind, -pattern, -ask, -ask_zh,
-choices, -required; action-method, -url, -reply_path; header-N-name, -value; body-N-name, -value.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from chatbot import actions, filling, slots
from chatbot.models import Inbox, Intent
from services.errors import InvalidInput, SuiteError
from services.inference.open_set import OUTSIDE

MOST_SLOTS = 12
MOST_PAIRS = 12
MOST_EXAMPLES = 5000
LONGEST_EXAMPLE = 500
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_SLOT_PARTS = ("name", "kind", "pattern", "ask", "ask_zh", "choices", "required")


def plan(
    given: Mapping[str, Any], inbox: Inbox, intent: Intent | None, place: actions.Place
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of an intent's row, and what is wrong with them by field; nothing wrong: an empty dict."""
    wrong: dict[str, str] = {}
    name = str(given.get("name") or "").strip().lower().replace("-", "_").replace(" ", "_")
    values: dict[str, Any] = {
        "name": name,
        "examples": lines_of(given.get("examples")),
        "template": str(given.get("template") or "").strip(),
        "template_zh": str(given.get("template_zh") or "").strip(),
        "slots": [] if name == OUTSIDE else _slots(given, wrong),
        "action": {} if name == OUTSIDE else _action(given),
        "enabled": bool(given.get("enabled")),
    }
    _check_name(name, inbox, intent, wrong)
    _check_examples(values["examples"], inbox, intent, wrong)
    if name == OUTSIDE:
        values["template"] = values["template_zh"] = ""
        return values, wrong
    _check_templates(values, wrong)
    if values["action"]:
        try:
            actions.require_usable(values["action"], [slot["name"] for slot in values["slots"]], place)
        except SuiteError as error:
            wrong[f"action-{error.field or 'url'}"] = error.detail
        if not (values["template"] or values["template_zh"] or values["action"].get("reply_path")):
            wrong["template"] = _("Write what is said of the reply, such as: It is {reply.status}.")
    return values, wrong


def as_form(intent: Intent | None) -> dict[str, Any]:
    """A row as the values of the form."""
    if intent is None:
        return {"enabled": "on", "slots": [], "headers": [], "body": []}
    action = intent.action or {}
    return {
        "name": intent.name,
        "examples": "\n".join(intent.examples),
        "template": intent.template,
        "template_zh": intent.template_zh,
        "enabled": "on" if intent.enabled else "",
        "slots": [{**slot, "choices": "\n".join(slot.get("choices") or ())} for slot in intent.slots],
        "action-method": action.get("method", ""),
        "action-url": action.get("url", ""),
        "action-reply_path": action.get("reply_path", ""),
        "headers": list((action.get("headers") or {}).items()),
        "body": list((action.get("body") or {}).items()),
    }


def as_sent(given: Mapping[str, Any]) -> dict[str, Any]:
    """A form as it was sent, to be shown again with what is wrong."""
    return {
        **{name: given.get(name, "") for name in ("name", "examples", "template", "template_zh", "enabled")},
        **{f"action-{part}": given.get(f"action-{part}", "") for part in ("method", "url", "reply_path")},
        "slots": [row for _n, row in _slot_rows(given)],
        "headers": _pairs(given, "header"),
        "body": _pairs(given, "body"),
    }


def lines_of(text: Any) -> list[str]:
    """The lines of a text without empty ones, each once."""
    return list(dict.fromkeys(line.strip() for line in str(text or "").splitlines() if line.strip()))


def read_csv(content: bytes) -> dict[str, list[str]]:
    """Examples by intent from a CSV file with the columns text and intent (or label).

    Raises InvalidInput with the line that cannot be used; nothing is kept then.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(_("The file is not UTF-8: save it as CSV UTF-8."), field="file") from error
    try:
        table = csv.DictReader(io.StringIO(text), dialect=_dialect(text), strict=True)
        columns = {(name or "").strip().lower(): name for name in table.fieldnames or ()}
        labels = columns.get("intent") or columns.get("label")
        if "text" not in columns or not labels:
            raise InvalidInput(_("The first line has to name the columns text and intent."), field="file")
        found: dict[str, list[str]] = {}
        for row in table:
            said, name = (row.get(columns["text"]) or "").strip(), (row.get(labels) or "").strip().lower()
            if not said and not name:
                continue
            if not said or not _NAME.fullmatch(name) or len(said) > LONGEST_EXAMPLE:
                raise InvalidInput(
                    _("Line %(n)d needs a text and an intent's name (small letters, digits and _).")
                    % {"n": table.line_num},
                    field="file",
                )
            found.setdefault(name, []).append(said)
    except csv.Error as error:
        raise InvalidInput(
            _("The file cannot be read as CSV (%(reason)s).") % {"reason": error}, field="file"
        ) from error
    if not found:
        raise InvalidInput(_("The file has no examples."), field="file")
    return found


def take_in(inbox: Inbox, found: Mapping[str, Sequence[str]]) -> tuple[int, int]:
    """Add examples to their intents, making those that are missing; (examples added, intents made).

    Raises InvalidInput when a text would be an example of two intents; nothing is added then.
    """
    added = made = 0
    with transaction.atomic():
        for name, texts in found.items():
            intent, is_new = Intent.objects.get_or_create(inbox=inbox, name=name)
            more = [text for text in dict.fromkeys(texts) if text not in set(intent.examples)]
            wrong: dict[str, str] = {}
            _check_examples([*intent.examples, *more], inbox, intent, wrong)
            if wrong:
                raise InvalidInput(f"{name}: {wrong['examples']}", field="file")
            intent.examples = [*intent.examples, *more]
            intent.save()
            added, made = added + len(more), made + is_new
    return added, made


def as_csv(inbox: Inbox) -> Iterator[str]:
    """All examples of an inbox as CSV, as the import takes them."""
    for intent in [None, *inbox.intents.order_by("name")]:
        for row in [("text", "intent")] if intent is None else [(t, intent.name) for t in intent.examples]:
            line = io.StringIO()
            csv.writer(line).writerow(row)
            yield line.getvalue()


def _dialect(text: str) -> type[csv.Dialect]:
    first = text.partition("\n")[0]

    class Found(csv.excel):
        delimiter = max(",;\t", key=first.count)

    return Found


def _check_name(name: str, inbox: Inbox, intent: Intent | None, wrong: dict[str, str]) -> None:
    if not _NAME.fullmatch(name):
        wrong["name"] = _("Begin with a letter and use small letters, digits and _, such as order_status.")
    elif inbox.intents.filter(name=name).exclude(pk=intent.pk if intent else 0).exists():
        wrong["name"] = _("This inbox has an intent of that name. Open that one, or choose another name.")


def _check_examples(examples: list[str], inbox: Inbox, intent: Intent | None, wrong: dict[str, str]) -> None:
    if len(examples) > MOST_EXAMPLES:
        wrong["examples"] = _("At most %(n)d examples are taken.") % {"n": MOST_EXAMPLES}
    if too_long := next((n for n, line in enumerate(examples, 1) if len(line) > LONGEST_EXAMPLE), None):
        wrong["examples"] = _("Example %(n)d is longer than %(most)d characters: shorten it.") % {
            "n": too_long,
            "most": LONGEST_EXAMPLE,
        }
    mine = {line.casefold(): line for line in examples}
    for other in inbox.intents.exclude(pk=intent.pk if intent else 0):
        for line in other.examples:
            if line.casefold() in mine:
                wrong["examples"] = _(
                    "“%(text)s” is an example of %(name)s too: take it out of one of them."
                ) % {"text": line[:80], "name": other.name}
                return


def _check_templates(values: dict[str, Any], wrong: dict[str, str]) -> None:
    names = [slot["name"] for slot in values["slots"]]
    optional = {slot["name"] for slot in values["slots"] if not slot["required"]}
    for field in ("template", "template_zh"):
        lost = filling.unknown(values[field], names, has_reply=bool(values["action"]))
        if lost:
            wrong[field] = _(
                "Nothing fills %(what)s. Use the slots below (%(slots)s), or {reply.…} with an action."
            ) % {"what": lost[0], "slots": ", ".join(f"{{{name}}}" for name in names) or _("there are none")}
        elif soft := optional.intersection(filling.placeholders(values[field])):
            wrong[field] = _("{%(name)s} may be missing when this is said: make the slot required.") % {
                "name": min(soft)
            }


def _slot_rows(given: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for n in range(MOST_SLOTS):
        row = {part: str(given.get(f"slot-{n}-{part}") or "").strip() for part in _SLOT_PARTS}
        if any(row[part] for part in ("name", "pattern", "ask", "ask_zh", "choices")):
            rows.append((n, {**row, "required": bool(row["required"]), "n": n}))
    return rows


def _slots(given: Mapping[str, Any], wrong: dict[str, str]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for n, row in _slot_rows(given):
        name, field = row["name"].lower(), f"slot-{n}"
        kept = {"name": name, "kind": row["kind"], "required": row["required"]}
        kept |= {part: row[part] for part in ("pattern", "ask", "ask_zh") if row[part]}
        if choices := lines_of(row["choices"]):
            kept["choices"] = choices
        if not _NAME.fullmatch(name) or name == filling.REPLY:
            wrong[f"{field}-name"] = _("Use small letters, digits and _, such as order_number; not reply.")
        elif name in {slot["name"] for slot in made}:
            wrong[f"{field}-name"] = _("There are two slots of that name: rename one.")
        if row["kind"] not in slots.KINDS:
            wrong[f"{field}-kind"] = _("Choose a kind.")
        else:
            try:
                slots.require_usable(slots.of_rows([{**kept, "name": name or "x"}])[0], field)
            except SuiteError as error:
                wrong[error.field or f"{field}-name"] = error.detail
        made.append(kept)
    return made


def _action(given: Mapping[str, Any]) -> dict[str, Any]:
    method, url = str(given.get("action-method") or ""), str(given.get("action-url") or "").strip()
    if not method and not url:
        return {}
    made: dict[str, Any] = {"method": method or "GET", "url": url}
    if path := str(given.get("action-reply_path") or "").strip():
        made["reply_path"] = path
    for key, prefix in (("headers", "header"), ("body", "body")):
        if pairs := {name: value for name, value in _pairs(given, prefix) if name}:
            made[key] = pairs
    return made


def _pairs(given: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    rows = [
        tuple(str(given.get(f"{prefix}-{n}-{part}") or "").strip() for part in ("name", "value"))
        for n in range(MOST_PAIRS)
    ]
    return [(row[0], row[1]) for row in rows if any(row)]
