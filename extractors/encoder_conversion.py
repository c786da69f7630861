"""The weights of another library's vision transformer, as those of our own."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from extractors.encoder import EncoderConfig
from extractors.encoder_forms import FORMS, Form
from extractors.encoder_store import TensorStore
from extractors.errors import InputError


def recognised(store: TensorStore) -> tuple[Form, TensorStore]:
    """Return the form of another library that a file has, and its tensors behind their prefix.

    Raises:
        InputError: it has none that is known.
    """
    for form in FORMS:
        for name in sorted((n for n in store.places if n.endswith(form.mark)), key=len):
            tensors = store.behind(name.removesuffix(form.mark))
            if tensors.names(form.block.format(0)):
                return form, tensors
    held = ", ".join(sorted(store.places)[:2])
    raise InputError(
        f"{store.path}: not the weights of a picture encoder: it holds {held}, ..., which is "
        f"neither avdetect's own form nor {', nor '.join(form.title for form in FORMS)}"
    )


def converted(
    form: Form, store: TensorStore, layers: int | None
) -> tuple[EncoderConfig, dict[str, Tensor]]:
    """Return the configuration and the float32 weights of the tensors of a form.

    Raises:
        InputError: a tensor or settings are missing, there are too few blocks, or a block has
            tensors that no layer here takes.
    """
    stem = form.block.partition("{")[0]
    held = len({name.removeprefix(stem).partition(".")[0] for name in store.names(stem)})
    count = blocks_asked(store.path, held, layers)
    facts, state = form.facts(store), _outside(form, store)
    gate = form.block.format(0) + form.gated["fc1"][0] + ".weight" if form.gated else ""
    parts = {**form.parts, **((gate in store and form.gated) or {})}
    for n in range(count):
        block = store.behind(store.prefix + form.block.format(n))
        state |= {f"blocks.{n}.{name}": t for name, t in _block(form, block, parts).items()}
    width, _, patch, _ = state["embed.weight"].shape
    positions = state.get("positions")
    side = facts["image"] // patch if positions is None else _side(store.path, positions)
    if positions is not None and "class_token" in state and side**2 == len(positions):
        state["positions"] = functional.pad(positions, (0, 0, 1, 0))  # the class has no place
    hidden = store.shape_of(form.block.format(0) + parts["fc2"][0] + ".weight")[1]
    both = sum(store.shape_of(form.block.format(0) + n + ".weight")[0] for n in parts["fc1"])
    config = EncoderConfig(
        name=form.title, width=width, heads=facts["heads"], hidden=hidden, layers=count,
        patch=patch, image=patch * side, eps=facts["eps"], mean=tuple(facts["mean"]),
        activation="swiglu" if both == 2 * hidden else facts["activation"],
        deviation=tuple(facts["deviation"]), pre_norm="pre.weight" in state,
        class_token="class_token" in state, registers=len(state.get("registers", ())),
        patch_bias="embed.bias" in state, layer_scale="blocks.0.scale1" in state,
        rotary=facts["rotary"] if positions is None else 0.0,
    )  # fmt: skip
    return config, state


def _outside(form: Form, store: TensorStore) -> dict[str, Tensor]:
    """Return the weights outside of the blocks: embedding, tokens, positions, first norm."""
    state: dict[str, Tensor] = {}
    for ours, theirs in form.names.items():
        layer = ours in ("embed", "pre")
        if ours in form.optional and (theirs + ".weight" if layer else theirs) not in store:
            continue
        if layer:
            state |= {f"{ours}.{kind}": t for kind, t in _layer(store, (theirs,)).items()}
        else:
            tensor = store[theirs].float()
            rows = tensor.reshape(-1, tensor.shape[-1])
            state[ours] = rows[0] if ours == "class_token" else rows
    return state


def _block(
    form: Form, store: TensorStore, parts: Mapping[str, tuple[str, ...]]
) -> dict[str, Tensor]:
    """Return the weights of a block, before whose names the store puts its prefix."""
    used = {_named(name, kind) for names in parts.values() for name in names
            for kind in ("weight", "bias")} | set(form.scales or ())  # fmt: skip
    strange = sorted(set(store.names("")) - used)
    if strange:
        raise InputError(
            f"{store.path}: {form.title}, but no layer here takes {store.prefix}{strange[0]}"
        )
    state = {
        f"{ours}.{kind}": tensor
        for ours, names in parts.items()
        for kind, tensor in _layer(store, names).items()
    }
    if form.scales is not None and form.scales[0] in store:
        state |= {f"scale{i}": store[name].float() for i, name in enumerate(form.scales, 1)}
    return state


def _named(layer: str, kind: str) -> str:
    return layer + kind if layer.endswith("_") else f"{layer}.{kind}"


def _layer(store: TensorStore, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return weight and bias of layers, stacked.

    Patches may be embedded without a bias, and keys (not all of a stack) may have none: zeros.
    """
    weights = [store[_named(name, "weight")].float() for name in names]
    known = [_named(name, "bias") for name in names if _named(name, "bias") in store]
    if not known and weights[0].dim() == 4:
        return {"weight": weights[0]}
    biases = [
        store[bias].float() if bias in known else torch.zeros(len(weight))
        for name, weight in zip(names, weights, strict=True)
        for bias in [_named(name, "bias")]
    ]
    if not known:
        store[_named(names[0], "bias")]  # raises
    return {"weight": torch.cat(weights), "bias": torch.cat(biases)}


def _side(path: Path, positions: Tensor) -> int:
    """Return how many patches a side a table of positions (P, D) or (1 + P, D) is of."""
    rows = len(positions)
    for side in (isqrt(rows), isqrt(rows - 1)):
        if side**2 in (rows, rows - 1):
            return side
    raise InputError(f"{path}: its {rows} positions are those of no square of patches")


def blocks_asked(path: Path, held: int, layers: int | None) -> int:
    """Return how many of the blocks held are to be loaded."""
    if layers is not None and layers > held:
        raise InputError(f"{path}: has {held} blocks, and {layers} are needed")
    return held if layers is None else layers
