"""Rows: items, users, events, and which index of item vectors is live.

Fields, constraints and small derived properties only. Rows that still need work: an item without
`vec` of the live encoder, an index behind the items' `revision`, co-visits behind the events.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Item(models.Model):
    """Something to recommend. `item_id` is the shop's own; `vec` is float32 (dim,) as bytes."""

    item_id = models.CharField(_("item"), max_length=200, unique=True)
    title = models.CharField(_("title"), max_length=500)
    description = models.TextField(_("description"), blank=True)
    brand = models.CharField(_("brand"), max_length=200, blank=True)
    categories = models.JSONField(_("categories"), default=list, blank=True)
    tags = models.JSONField(_("tags"), default=list, blank=True)
    price = models.FloatField(_("price"), null=True, blank=True)
    stock = models.IntegerField(_("stock"), null=True, blank=True)
    hidden = models.BooleanField(_("hidden"), default=False)
    published_at = models.DateTimeField(_("published at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    text_hash = models.CharField(max_length=64, editable=False)
    vec = models.BinaryField(null=True, editable=False)
    model_version = models.CharField(max_length=120, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("item")
        verbose_name_plural = _("items")
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    @property
    def text(self) -> str:
        """What is embedded of the item."""
        parts = [self.title, self.brand, " ".join(self.categories), " ".join(self.tags), self.description]
        return ". ".join(part for part in parts if part)


class Person(models.Model):
    """A user of the shop, by the shop's own id; no name, no address."""

    user_id = models.CharField(_("user"), max_length=200, unique=True)
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        ordering = ["user_id"]

    def __str__(self) -> str:
        return self.user_id


class Event(models.Model):
    """Something a user, or an anonymous session, did with an item. Append-only."""

    event_key = models.CharField(_("key"), max_length=200, unique=True)
    person = models.ForeignKey(
        Person, models.CASCADE, related_name="events", null=True, blank=True, verbose_name=_("user")
    )
    session = models.CharField(_("session"), max_length=200, blank=True, db_index=True)
    item = models.ForeignKey(Item, models.CASCADE, related_name="events", verbose_name=_("item"))
    type = models.CharField(_("type"), max_length=40, db_index=True)
    value = models.FloatField(_("value"), null=True, blank=True)
    text = models.TextField(_("text"), blank=True)
    time = models.DateTimeField(_("time"))
    received_at = models.DateTimeField(_("received at"), auto_now_add=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-time", "-id"]
        indexes = [
            models.Index(fields=["person", "-time"], name="event_tail"),
            models.Index(fields=["item", "time"], name="event_item"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.item_id}"


class Catalogue(models.Model):
    """The one row that says how far everything derived from items and events has come.

    `revision` grows with every change of an item's words or visibility; `covisits_events` is the
    highest event id the co-visit table has seen.
    """

    revision = models.PositiveBigIntegerField(default=0)
    covisits_path = models.CharField(max_length=200, blank=True)
    covisits_events = models.PositiveBigIntegerField(default=0)
    covisits_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("catalogue")
        verbose_name_plural = _("catalogues")

    def __str__(self) -> str:
        return f"r{self.revision}"
