"""Pictures of the datamart arrays, as PNG: what a person wants to see of them at a glance."""

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lake_assets.arrays.labelled import LabelledArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["auc_over_time", "binning", "performance_bubbles"]

#: Inches; at 80 dots each a picture is some tens of kB, which an event of Dagster's can hold.
_SIZE = (8.0, 4.5)
_DPI = 80
#: Models that are drawn as lines of their own.
_LINES = 12
#: Square points of the largest bubble.
_BUBBLE = 900.0


def performance_bubbles(auc: LabelledArray) -> bytes:
    """AUC against success rate at the newest snapshot, a bubble for each model.

    The area of a bubble is the number of responses; colours are channels. Source: the bubble chart
    of Pega's Prediction Studio, whose axes these are.

    Args:
        auc: As ``auc_history`` makes it.
    """
    figure, axes = _figure()
    values, responses = np.asarray(auc.values), np.asarray(auc.labels("responses"))
    positives, channels = np.asarray(auc.labels("positives")), auc.labels("channel")
    newest = np.array([_last(row) for row in values], dtype=np.int64)
    models = np.flatnonzero(newest >= 0)
    at = (models, newest[models])
    n_responses = np.nan_to_num(responses[at])
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.where(n_responses > 0, 100 * positives[at] / n_responses, np.nan)
    areas = _BUBBLE * n_responses / max(n_responses.max(initial=0), 1) + 8
    for channel in np.unique(channels[models]):
        mine = channels[models] == channel
        label = str(channel) or "no channel"
        axes.scatter(values[at][mine], rates[mine], s=areas[mine], alpha=0.55, label=label)
    axes.set(xlabel="AUC", ylabel="success rate (%)")
    axes.margins(0.1)  # whole bubbles
    axes.set_title(f"Performance of {len(models)} models; the area is the number of responses")
    return _png(figure, axes)


def auc_over_time(auc: LabelledArray) -> bytes:
    """AUC at each snapshot: the models with the most responses, and the mean of all by responses.

    Args:
        auc: As ``auc_history`` makes it.
    """
    figure, axes = _figure()
    values, responses = np.asarray(auc.values), np.nan_to_num(np.asarray(auc.labels("responses")))
    times, names, channels = auc.labels("snapshot"), auc.labels("name"), auc.labels("channel")
    busiest = np.argsort(-responses.max(axis=1, initial=0), kind="stable")[:_LINES]
    for model in busiest:
        label = f"{_short(_name(names[model]))} · {channels[model]}"
        axes.plot(times, values[model], marker=".", linewidth=1, label=label)
    weights = np.where(np.isnan(values), 0, responses)
    total = weights.sum(axis=0)
    mean = np.divide(
        (np.nan_to_num(values) * weights).sum(axis=0), total, out=np.full(len(times), np.nan),
        where=total > 0,
    )  # fmt: skip
    axes.plot(times, mean, color="black", linewidth=2.5, label="all, by responses")
    axes.set(ylabel="AUC", title=f"AUC of {len(values)} models over {len(times)} snapshots")
    figure.autofmt_xdate()
    return _png(figure, axes)


def binning(bins: LabelledArray) -> bytes:
    """The bins of the predictor that tells most, of the busiest model at the newest snapshot.

    Bars are responses, the line is the share of positives in a bin.

    Args:
        bins: As ``predictor_bins`` makes it.
    """
    figure, axes = _figure()
    title = "no bins yet"
    if bins.values.size:
        cube = np.asarray(bins.values[-1])
        model, predictor = _most_telling(cube)
        counts = cube[model, predictor]
        there = ~np.isnan(counts).all(axis=-1)
        responses = np.nan_to_num(counts[there]).sum(axis=-1)
        labels = _bin_labels(bins, model, predictor)[there]
        x = np.arange(len(responses))
        axes.bar(x, responses, color="#b8c7e0", label="responses")
        axes.set_xticks(x, labels, rotation=30, ha="right", fontsize=8)
        axes.set_ylabel("responses")
        rates = axes.twinx()
        share = 100 * np.nan_to_num(counts[there][:, 0]) / np.maximum(responses, 1)
        rates.plot(x, share, color="#c0392b", marker="o", label="positives (%)")
        rates.set_ylabel("positives (%)", color="#c0392b")
        title = f"{bins.labels('predictor')[predictor]} · model {bins.labels('model')[model][:8]}"
    axes.set_title(title)
    return _png(figure, axes)


def _most_telling(cube: np.ndarray) -> tuple[int, int]:
    """Model and predictor: most responses, then the widest spread of success over its bins."""
    filled = np.nan_to_num(cube)
    model = int(filled.sum(axis=(1, 2, 3)).argmax())
    responses = filled[model].sum(axis=-1)
    total = np.maximum(responses.sum(axis=-1), 1)
    rates = filled[model, ..., 0] / np.maximum(responses, 1)
    mean = filled[model, ..., 0].sum(axis=-1) / total
    spread = (responses * (rates - mean[:, None]) ** 2).sum(axis=-1) / total
    return model, int(spread.argmax())


def _bin_labels(bins: LabelledArray, model: int, predictor: int) -> np.ndarray:
    codes = np.asarray(bins.coordinates["bin_label"].values[-1, model, predictor])
    labels = bins.labels("label")
    return np.array(
        [
            _short(labels[code]) if code >= 0 else str(number)
            for number, code in enumerate(codes, start=1)
        ],
        dtype=np.str_,
    )


def _last(row: np.ndarray) -> int:
    there = np.flatnonzero(~np.isnan(row))
    return int(there[-1]) if len(there) else -1


def _name(text: Any) -> str:  # noqa: ANN401 (numpy's str)
    """A model's name for people: what Pega writes as JSON, where a model has several keys.

    Example:
        >>> _name('{"pyName":"FirstHome","pyTreatment":"Banner"}'), _name("GoldCard"), _name("{a}")
        ('FirstHome, Banner', 'GoldCard', '{a}')
    """
    try:
        keys = json.loads(text)
    except ValueError:
        return text
    return ", ".join(map(str, keys.values())) if isinstance(keys, dict) and keys else text


def _short(text: Any) -> str:  # noqa: ANN401 (numpy's str)
    return text if len(text) <= 24 else f"{text[:23]}…"  # noqa: PLR2004 (fits a legend)


def _figure() -> "tuple[Figure, Axes]":
    # Not pyplot: it keeps figures and looks for a display.
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    # The strong ones of its twenty colours first: more models than the ten of the default.
    colours: Any = np.array(colormaps["tab20"](range(20)))
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    axes.set_prop_cycle(color=[*colours[::2], *colours[1::2]])
    return figure, axes


def _png(figure: "Figure", axes: "Axes") -> bytes:
    if axes.get_legend_handles_labels()[0]:
        legend = figure.legend(loc="outside right upper", fontsize=8, markerscale=0.6)
        handles: list[Any] = list(legend.legend_handles)
        for bubble in (handle for handle in handles if hasattr(handle, "set_sizes")):
            bubble.set_sizes([30.0])
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
