"""Picture encoders from files: of avdetect's own form, or of the forms of other libraries.

The own form is one safetensors file with its configuration in the metadata. A matrix is stored as
float, or as int8 with one scale per row (`name.weight` and `name.scale`) and dequantised when it is
loaded. The other forms are in `extractors.encoder_forms`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from extractors.encoder import EncoderConfig, VisionTransformer
from extractors.encoder_conversion import blocks_asked, converted, recognised
from extractors.encoder_store import FORMAT, TensorStore, open_store
from extractors.errors import InputError


class NoInit(TorchFunctionMode):
    """Within it, layers draw no first weights.

    Drawing them on the meta device would import PyTorch's compiler, which takes two seconds.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Return the tensor as it is in place of filling it by `torch.nn.init`."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def load_encoder(
    path: Path, layers: int | None = None, image: int | None = None
) -> VisionTransformer:
    """Return the frozen encoder of a file or folder.

    Args:
        path: a safetensors file, or a folder with one; settings lie beside it.
        layers: how many of its blocks, from the first; None: all.
        image: pixels a side of the pictures it shall see, for which positions are interpolated;
            None: its own.

    Raises:
        InputError: there is no such file, it holds no encoder that is known, it lacks something,
            or it has too few blocks.
    """
    store = open_store(path)
    try:
        if store.metadata.get("format") == FORMAT:
            (config, state), smooth = _own(store, layers), True
        else:
            form, tensors = recognised(store)
            (config, state), smooth = converted(form, tensors, layers), form.antialias
        config, state = sized(config, state, image, smooth)
        with torch.device("meta"), NoInit():  # it takes over the file's weights, makes none
            model = VisionTransformer(config)
        _check_shapes(path, model, state)
        model.load_state_dict({n: state[n].float() for n in model.state_dict()}, assign=True)
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        what = f"lacks {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{path}: not the weights of a picture encoder: {what}") from error
    return model.requires_grad_(False).eval()


def sized(
    config: EncoderConfig, state: Mapping[str, Tensor], image: int | None, smooth: bool
) -> tuple[EncoderConfig, dict[str, Tensor]]:
    """Return configuration and weights for pictures of another size.

    Positions are interpolated by cubic splines, as the libraries do it.

    Args:
        config: of the weights as they are.
        state: the weights; `positions` (C + P, D) or none.
        image: pixels a side; None: as they are.
        smooth: whether the table is smoothed before it is thinned out.

    Raises:
        InputError: patches do not fill a picture of this size.
    """
    result = dict(state)
    if image in (None, config.image):
        return config, result
    if image % config.patch:
        raise InputError(f"patches of {config.patch} pixels do not fill a side of {image}")
    old, new = config.image // config.patch, image // config.patch
    if "positions" in result:
        first = int(config.class_token)
        before, table = result["positions"][:first].float(), result["positions"][first:].float()
        grid = table.T.reshape(1, -1, old, old)
        grid = functional.interpolate(
            grid, (new, new), mode="bicubic", align_corners=False, antialias=smooth
        )
        result["positions"] = torch.cat([before, grid[0].flatten(1).T])
    return replace(config, image=image), result


def _check_shapes(path: Path, model: VisionTransformer, state: Mapping[str, Tensor]) -> None:
    """Raise InputError where a tensor has another shape than the others and the settings say."""
    for name, wanted in model.state_dict().items():
        if state[name].shape != wanted.shape:
            raise InputError(
                f"{path}: {name} has the shape {list(state[name].shape)}, where the others and "
                f"the settings ask for {list(wanted.shape)}"
            )


def _own(store: TensorStore, layers: int | None) -> tuple[EncoderConfig, dict[str, Tensor]]:
    """Return configuration and weights of a file of the own form."""
    fields = json.loads(store.metadata["config"])
    fields["layers"] = blocks_asked(store.path, fields["layers"], layers)
    fields |= {name: tuple(fields[name]) for name in ("mean", "deviation")}
    return EncoderConfig(**fields), multiplied_out({name: store[name] for name in store.places})


def multiplied_out(kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the float32 weights of a file's tensors; int8 ones have a scale per row."""
    state = {}
    for name, value in kept.items():
        if name.endswith(".scale"):
            continue
        full = value.float()
        if value.dtype == torch.int8:
            scale = kept[name.removesuffix("weight") + "scale"]
            full = full * scale.view(-1, *[1] * (value.ndim - 1))
        state[name] = full
    return state


def save_encoder(path: Path, config: EncoderConfig, state: Mapping[str, Tensor]) -> None:
    """Write weights, int8 with their scales or float, and the configuration to one file."""
    metadata = {"format": FORMAT, "config": json.dumps(asdict(config))}
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in state.items()}, partial, metadata)
    partial.replace(path)
