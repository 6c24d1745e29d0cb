"""What the pages on training need of a template: values by their key, numbers as forms and people write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils.formats import localize
from django.utils.translation import gettext

register = template.Library()


@register.filter
def get(values: Mapping[str, Any], key: str) -> Any:
    """The value under a key, or nothing."""
    return values.get(key, "")


@register.filter
def plain(value: Any) -> str:
    """A number as a form field takes it, whatever the reader's language."""
    if isinstance(value, float):
        return f"{value:.15g}"
    return "" if value is None else str(value)


@register.filter
def figure(value: Any, digits: int = 3) -> str:
    """A metric as people read it: three decimals, a dash where there is none."""
    if value is None or value == "":
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(localize(value))
    return str(localize(f"{value:.{digits}f}")) if isinstance(value, float) else str(value)


@register.filter
def signed(value: float | None) -> str:
    """A change with its sign: +0.012, −0.004; a dash where there is none."""
    return "–" if value is None else f"{'+' if value >= 0 else '−'}{abs(value):.3f}"


@register.simple_tag
def translate_value(text: str) -> str:
    """A text of a library below, in the reader's language where a translation is known."""
    return gettext(text) if text else ""
