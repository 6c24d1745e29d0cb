"""The titles of `services.errors`, marked for translation here because the services know no Django.

`config/api.py` translates a title when it answers; a test compares this list with the tree.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop

TITLES = [
    gettext_noop("A value is not usable"),
    gettext_noop("A setting is wrong"),
    gettext_noop("In conflict with the present state"),
    gettext_noop("Not allowed"),
    gettext_noop("Not available at the moment"),
    gettext_noop("Not found"),
    gettext_noop("Sign in or send a key"),
    gettext_noop("Something went wrong"),
    gettext_noop("That address may not be fetched"),
    gettext_noop("That type of content is not supported"),
    gettext_noop("The file store failed"),
    gettext_noop("The model failed"),
    gettext_noop("The model is not available"),
    gettext_noop("The other server did not answer as needed"),
    gettext_noop("The request could not be read"),
    gettext_noop("The run was stopped"),
    gettext_noop("The search index belongs to another model version"),
    gettext_noop("Too busy"),
    gettext_noop("Too large"),
    gettext_noop("Too many requests"),
    gettext_noop("Took too long"),
]
