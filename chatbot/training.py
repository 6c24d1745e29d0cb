"""An inbox's intents as labelled examples of a data set, and the classifier trained on them.

The data set follows the intents; rows that people add to it themselves stay. A run makes a version; it
serves when somebody promotes it, as any other (see services.console).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from chatbot.models import Inbox, Intent, Turn
from services.console import datasets, training_orders, training_runs
from services.console.models import Dataset, DatasetRow, TrainingRun
from services.errors import InvalidInput, SuiteError
from services.inference.open_set import OUTSIDE
from services.registry.store import ModelStore
from services.text.language import detect
from services.text.masking import mask
from services.training.dataset import Example, fingerprint

RECIPE = "intent_head"
LEAST_EACH = 4
"""Examples an intent needs: one to be judged by, and some to learn from."""
SOURCE = "intents"
"""What the rows are marked with that follow the intents."""
_JUDGED_ROWS = 24
_MOST_REFUSED = 12


@dataclass(frozen=True, slots=True)
class State:
    """How the classifier of an inbox stands. `left_out` holds (right, asked) of each intent's test rows.

    `changed` says that the examples are others than those the live version learned from. `trouble` is why
    the registry cannot be asked, for people.
    """

    dataset: Dataset | None
    run: TrainingRun | None
    live: str
    live_since: datetime | None
    live_run: TrainingRun | None
    changed: bool
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)
    trouble: str = ""

    @property
    def waits_for_promotion(self) -> bool:
        """Whether the last run made a version that does not serve."""
        return self.run is not None and bool(self.run.version) and self.run.version != self.live


def dataset_name(inbox: Inbox) -> str:
    """The name of an inbox's data set."""
    return f"Intents: {inbox.key}"


def sync(inbox: Inbox) -> Dataset:
    """Make the data set's rows those of the intents in use; returns it. Rows of other sources stay."""
    wanted = _wanted(inbox)
    with transaction.atomic():
        dataset, _made = Dataset.objects.get_or_create(
            name=dataset_name(inbox), defaults={"task": inbox.intents_task}
        )
        dataset = Dataset.objects.select_for_update().get(pk=dataset.pk)
        gone, stay = [], set()
        for row in dataset.rows.only("pk", "key", "label", "data"):
            ours = row.data.get("source") == SOURCE
            if ours and (row.key not in wanted or wanted[row.key].label != row.label):
                gone.append(row.pk)
            else:
                stay.add(row.key)
        for start in range(0, len(gone), 500):
            DatasetRow.objects.filter(pk__in=gone[start : start + 500]).delete()
        last = dataset.rows.aggregate(last=Max("position"))["last"] or 0
        new = [example for key, example in wanted.items() if key not in stay]
        DatasetRow.objects.bulk_create(
            datasets.row_of(dataset, last + 1 + n, example, DatasetRow.State.LABELLED)
            for n, example in enumerate(new)
        )
        _describe(dataset, inbox)
    return dataset


def start(inbox: Inbox, who: str) -> TrainingRun:
    """Queue a run on the examples as they are now; the door nudges a worker.

    Raises InvalidInput, `field` "examples", when there is too little to learn from.
    """
    dataset = sync(inbox)
    counts = dict(datasets.balance(dataset).labels)
    few = [name for name, n in counts.items() if 0 < n < LEAST_EACH and name != OUTSIDE]
    if few:
        raise InvalidInput(
            _("The intent %(name)s has %(n)d examples; at least %(least)d are needed, better ten.")
            % {"name": few[0], "n": counts[few[0]], "least": LEAST_EACH},
            field="examples",
        )
    if sum(n > 0 for name, n in counts.items() if name != OUTSIDE) < 2:
        raise InvalidInput(
            _("Write examples for at least two intents: with one there is nothing to tell apart."),
            field="examples",
        )
    share = min(0.35, max(0.15, _JUDGED_ROWS / sum(counts.values())))
    order = training_orders.plan(
        {"task": inbox.intents_task, "recipe": RECIPE, "test_share": share}, [dataset]
    )
    return training_runs.ask(order, [dataset], who)


def state(inbox: Inbox, store: ModelStore) -> State:
    """How it stands: the last run, what serves, and whether the examples have changed since."""
    dataset = Dataset.objects.filter(name=dataset_name(inbox)).first()
    runs = TrainingRun.objects.filter(task=inbox.intents_task).defer("log")
    run = runs.order_by("-pk").first()
    try:
        live = store.live(inbox.intents_task)
        learned = store.lineage(inbox.intents_task, live.version).data if live and live.version else ()
    except SuiteError as error:
        return State(dataset, run, "", None, None, False, trouble=error.detail)
    version = live.version if live else ""
    live_run = runs.filter(version=version).order_by("-pk").first() if version else None
    now = fingerprint(datasets.as_set(dataset).examples) if dataset is not None and learned else ""
    changed = bool(learned) and now not in {source.fingerprint for source in learned}
    return State(
        dataset, run, version, live.since if live else None, live_run, changed, _left_out(live_run or run)
    )


def refused_questions(inbox: Inbox) -> list[str]:
    """What visitors asked lately and got no answer to, without personal data: examples in waiting."""
    turns = Turn.objects.filter(conversation__inbox=inbox, outcome="refusal").order_by("-pk")
    known = {text for intent in inbox.intents.all() for text in intent.examples}
    found: dict[str, None] = {}
    for turn in turns.select_related("conversation")[: 4 * _MOST_REFUSED]:
        event = turn.conversation.events.filter(seq=turn.question_seq).first()
        text = mask(str(event.payload.get("text", ""))).text.strip() if event else ""
        if text and text not in known:
            found[text] = None
    return list(found)[:_MOST_REFUSED]


def _wanted(inbox: Inbox) -> dict[str, Example]:
    """The examples of all intents in use, by their keys; personal data in them is masked as in questions."""
    found: dict[str, Example] = {}
    for intent in Intent.objects.filter(inbox=inbox, enabled=True).order_by("name"):
        for text in intent.examples:
            masked = mask(text).text
            example = Example(masked, label=intent.name, source=SOURCE, language=detect(masked))
            found.setdefault(datasets.key_of(example), example)
    return found


def _describe(dataset: Dataset, inbox: Inbox) -> None:
    rows = dataset.rows.filter(state=DatasetRow.State.LABELLED).order_by()
    labels = sorted(set(rows.values_list("label", flat=True)) - {""})
    spoken = {row.get("language") or "en" for row in rows.values_list("data", flat=True)}
    dataset.labels, dataset.languages, dataset.task = labels, sorted(spoken) or ["en"], inbox.intents_task
    dataset.save(update_fields=["labels", "languages", "task"])


def _left_out(run: TrainingRun | None) -> dict[str, tuple[int, int]]:
    rows: Sequence[dict[str, float]] = (run.outcome if run else {}).get("report", {}).get("per_class", [])
    return {
        str(row["label"]): (round(row["recall"] * row["support"]), int(row["support"]))
        for row in rows
        if row.get("support")
    }
