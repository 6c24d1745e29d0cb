"""Rows by the shop's own ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from recommender.models import Item, Person
from services.errors import NotFound


def item_for(item_id: str) -> Item:
    """The item with this id. Raises NotFound."""
    item = Item.objects.filter(item_id=item_id).first()
    if item is None:
        raise NotFound(_("There is no item with this id."), field="item")
    return item


def known_items(item_ids: Sequence[str]) -> set[str]:
    """Those of the ids that have an item."""
    return set(Item.objects.filter(item_id__in=item_ids).values_list("item_id", flat=True))


def person_for(user_id: str) -> Person:
    """The user with this id. Raises NotFound."""
    person = person_or_none(user_id)
    if person is None:
        raise NotFound(_("There is no user with this id."), field="user")
    return person


def person_or_none(user_id: str) -> Person | None:
    """The user with this id, if there is one."""
    return Person.objects.filter(user_id=user_id).first()


def put_person(user_id: str, attributes: dict[str, Any]) -> None:
    """Make a user, or replace the attributes."""
    Person.objects.update_or_create(user_id=user_id, defaults={"attributes": attributes})
