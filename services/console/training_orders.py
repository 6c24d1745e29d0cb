"""From what a person asks for to an Order: each value is checked against the recipe, errors name the field.

Recipes describe themselves in `services.training.recipes.RECIPES`: their parameters with kind, limits,
default and help. A parameter's form field is called `parameter-` and its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext as _

from services.console.models import Dataset, DatasetRow
from services.errors import InvalidInput
from services.training.order import Order

SPLITS = ("stratified", "time", "group")
FEWEST_ROWS = 10
MOST_TRIALS = 200


def recipes() -> Mapping[str, Any]:
    """Every recipe by its name; importing them loads no framework."""
    from services.training.recipes import RECIPES

    return dict(RECIPES)


def plan(given: Mapping[str, Any], datasets: Sequence[Dataset]) -> Order:
    """The order that a form's values ask for. Raises InvalidInput with the `field` that is wrong.

    `given` has task, recipe, base, split, seed, trials, test_share, validation_share, least_gain,
    class_margin (texts or numbers), shuffle_labels (bool), and `parameter-NAME` for what is no default.
    """
    known = recipes()
    recipe = known.get(str(given.get("recipe", "")))
    if recipe is None:
        raise InvalidInput(_("Choose a recipe."), field="recipe")
    task = str(given.get("task", "")).strip()
    _require_sets(datasets, recipe, task)
    split = str(given.get("split") or "stratified")
    if split not in SPLITS:
        raise InvalidInput(_("Choose a split."), field="split")
    parameters = {
        p.name: value
        for p in recipe.parameters
        if (value := _parameter(p, given.get(f"parameter-{p.name}"))) is not None and value != p.default
    }
    languages = sorted({tag for dataset in datasets for tag in dataset.languages}) or ["en"]
    order = Order(
        task=task,
        recipe=recipe.name,
        parameters=parameters,
        base=str(given.get("base") or "").strip(),
        split=split,  # type: ignore[arg-type]
        test_share=_number(given, "test_share", 0.15, 0.01, 0.5),
        validation_share=_number(given, "validation_share", 0.1, 0.01, 0.5),
        seed=round(_number(given, "seed", 0, 0, 2**31 - 1)),
        least_gain=_number(given, "least_gain", 0.0, 0.0, 1.0),
        class_margin=_number(given, "class_margin", 0.03, 0.0, 1.0),
        trials=round(_number(given, "trials", 0, 0, MOST_TRIALS)),
        shuffle_labels=bool(given.get("shuffle_labels")),
        languages=tuple(languages),
    )
    if order.test_share + order.validation_share > 0.8:
        raise InvalidInput(_("Leave at least a fifth of the rows to learn from."), field="test_share")
    return order


def as_json(order: Order) -> dict[str, Any]:
    """An order as a row keeps it."""
    return {**asdict(order), "parameters": dict(order.parameters), "languages": list(order.languages)}


def from_json(kept: Mapping[str, Any]) -> Order:
    """The order a row keeps; fields that are not known any more are left out."""
    known = {name: value for name, value in kept.items() if name in Order.__dataclass_fields__}
    return Order(**{**known, "languages": tuple(known.get("languages", ("en",)))})


def as_form(kept: Mapping[str, Any]) -> dict[str, Any]:
    """A row's order as the values of the form, to be asked for again."""
    flat = {name: value for name, value in kept.items() if name != "parameters"}
    return flat | {f"parameter-{name}": value for name, value in kept.get("parameters", {}).items()}


def _require_sets(datasets: Sequence[Dataset], recipe: Any, task: str) -> None:
    if not task:
        raise InvalidInput(_("Say which task the model is for."), field="task")
    if not datasets:
        raise InvalidInput(_("Choose at least one data set."), field="datasets")
    if wrong := next((dataset for dataset in datasets if dataset.shape not in recipe.shapes), None):
        shape = ", ".join(str(Dataset.Shape(shape).label) for shape in recipe.shapes)
        raise InvalidInput(
            _("The recipe learns from %(shape)s; %(name)s holds %(other)s.")
            % {"shape": shape, "name": wrong.name, "other": wrong.get_shape_display()},
            field="datasets",
        )
    rows = DatasetRow.objects.filter(dataset__in=datasets, state=DatasetRow.State.LABELLED).count()
    if rows < FEWEST_ROWS:
        raise InvalidInput(
            _("These data sets have %(n)d labelled rows; at least %(least)d are needed.")
            % {"n": rows, "least": FEWEST_ROWS},
            field="datasets",
        )


def _parameter(parameter: Any, told: Any) -> Any:
    """A value of the parameter's kind; None keeps the default."""
    field = f"parameter-{parameter.name}"
    if parameter.kind == "bool":
        return parameter.default if told is None else str(told).lower() in {"1", "true", "on", "yes"}
    if told is None or not str(told).strip():
        return None
    if parameter.kind == "choice":
        chosen = next((c for c in parameter.choices if str(c) == str(told)), None)
        if chosen is None:
            choices = ", ".join(map(str, parameter.choices))
            raise InvalidInput(_("Choose one of %(choices)s.") % {"choices": choices}, field=field)
        return chosen
    if parameter.kind == "str":
        return str(told).strip()
    value = _as_number(told, field, whole=parameter.kind == "int")
    _require_between(value, parameter.least, parameter.most, field)
    return value


def _number(given: Mapping[str, Any], field: str, default: float, least: float, most: float) -> float:
    told = given.get(field)
    if told is None or str(told).strip() == "":
        return default
    value = _as_number(told, field, whole=field in {"seed", "trials"})
    _require_between(value, least, most, field)
    return value


def _as_number(told: Any, field: str, *, whole: bool) -> float:
    try:
        return int(str(told)) if whole else float(str(told).replace(",", "."))
    except ValueError:
        wanted = _("Write a whole number.") if whole else _("Write a number.")
        raise InvalidInput(wanted, field=field) from None


def _require_between(value: float, least: float | None, most: float | None, field: str) -> None:
    if (
        value != value
        or (least is not None and value < least)
        or (most is not None and value > most)
        or value in {float("inf"), float("-inf")}
    ):
        raise InvalidInput(
            _("Between %(least)s and %(most)s.")
            % {
                "least": "–" if least is None else f"{least:g}",
                "most": "–" if most is None else f"{most:g}",
            },
            field=field,
        )
