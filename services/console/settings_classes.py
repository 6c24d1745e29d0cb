"""Every settings class of the installed apps, found where each keeps its own: `<app>/conf.py`."""

from __future__ import annotations

import importlib
import importlib.util

from django.apps import apps

from services.conf import CoreSettings, SuiteSettings


def every_class() -> list[type[SuiteSettings]]:
    """CoreSettings first, then the services', then each app's, in the order of INSTALLED_APPS."""
    from services.inference.conf import InferenceSettings
    from services.training.conf import TrainingSettings

    found: list[type[SuiteSettings]] = [CoreSettings, InferenceSettings, TrainingSettings]
    for app in apps.get_app_configs():
        name = f"{app.name}.conf"
        if app.name.split(".")[0] == "django" or importlib.util.find_spec(name) is None:
            continue
        module = importlib.import_module(name)
        found += [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, SuiteSettings) and value.__module__ == name
        ]
    return found
