"""Pictures for emails, where no script runs: the hours around an alert as a PNG."""

from __future__ import annotations

import io
from typing import Any

from django.utils.translation import gettext as _

from sentiment_monitor.evidence import Evidence
from sentiment_monitor.models import Alert

NEGATIVE = "#c8452f"
REST = "#a3a8a5"
INK = "#24302a"


def alert_chart_png(evidence: Evidence, alert: Alert) -> bytes:
    """Stories an hour, negative ones in vermilion, and the hour the alert fired: 1200 × 480 pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 2.4), dpi=200, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    times: Any = [hour.at for hour in evidence.hours]  # matplotlib takes datetimes; its stubs do not
    negative = [hour.n_neg for hour in evidence.hours]
    rest = [hour.n_all - hour.n_neg for hour in evidence.hours]
    fonts = {"family": ["Noto Sans CJK SC", "Noto Sans CJK JP", "Inter", "DejaVu Sans"], "size": 7}
    axes.bar(times, negative, width=1 / 24, color=NEGATIVE, label=_("negative stories an hour"))
    axes.bar(times, rest, width=1 / 24, bottom=negative, color=REST, label=_("other stories an hour"))
    axes.axvline(alert.started_at, color=INK, linewidth=0.8, linestyle="--")  # type: ignore[arg-type]
    top = max([1, *(hour.n_all for hour in evidence.hours)])
    axes.text(alert.started_at, top * 1.06, _(" alert"), color=INK, va="bottom", **fonts)  # type: ignore[arg-type]
    axes.set_ylim(0, top * 1.2)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    locator = AutoDateLocator(maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.tick_params(colors=INK, labelsize=7, length=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, loc="upper left", prop=fonts)
    figure.tight_layout(pad=0.6)
    kept = io.BytesIO()
    figure.savefig(kept, format="png")
    return kept.getvalue()
