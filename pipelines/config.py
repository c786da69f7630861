"""Configuration: frozen dataclasses built from dicts, YAML files and `--set key=value`.

A file names only what differs from the defaults. An unknown key or a value of the wrong type is
a ConfigError that names the place.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from extractors.errors import AvdetectError

T = TypeVar("T")


class ConfigError(AvdetectError, ValueError):
    """The configuration cannot be used. The message names the file or option, and the key."""


def from_dict(cls: type[T], data: object, where: str) -> T:
    """Return a `cls` built from a mapping; keys that it lacks keep their defaults.

    Args:
        cls: a dataclass, whose fields may be dataclasses.
        data: the mapping; None (an empty YAML section) stands for an empty one.
        where: the beginning of error messages: the file, then the keys that lead here.

    Raises:
        ConfigError: unknown key, missing key, wrong type, or a value that the class refuses.
    """
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise TypeError(f"expected a dataclass, got {cls!r}")
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: expected keys and values, got {data!r}")
    by_name = {field.name: field for field in fields(cls) if field.init}
    unknown = [key for key in data if key not in by_name]
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown}; known: {list(by_name)}")
    required = [
        name
        for name, field in by_name.items()
        if field.default is MISSING and field.default_factory is MISSING and name not in data
    ]
    if required:
        raise ConfigError(f"{where}: missing key {required}")
    hints = get_type_hints(cls)
    values = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in data.items()}
    try:
        return cls(**values)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:  # from the class's own check of its values
        raise ConfigError(f"{where}: {error}") from error


def to_dict(config: object) -> dict[str, Any]:
    """Return the dataclass as plain YAML values: dicts, lists, numbers, text, bools and None."""
    if isinstance(config, type) or not is_dataclass(config):
        raise TypeError(f"expected a dataclass instance, got {config!r}")
    return {f.name: _plain(getattr(config, f.name)) for f in fields(config) if f.init}


def find_config(path: str | Path) -> Path:
    """Return the path if it exists, else the project's own file or folder of that name.

    `configs/zoo` is the user's if the working folder has one, else the package's. A path that is
    neither is returned unchanged, for the error to name.
    """
    wanted = Path(path)
    if wanted.exists() or wanted.is_absolute() or wanted.parts[:1] != ("configs",):
        return wanted
    package = Path(str(resources.files("avdetect")))
    # A wheel carries the folder inside the package; in a checkout it lies beside it.
    shipped = (folder / wanted for folder in (package, package.parent))
    return next((place for place in shipped if place.exists()), wanted)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, which `find_config` locates.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or is not a mapping.
    """
    import yaml

    try:
        data = yaml.safe_load(find_config(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(data).__name__}")
    return data


def apply_overrides(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return `data` with every override `a.b=value` applied; values are read as YAML.

    >>> apply_overrides({"windows": {"length": 128}}, ["windows.stride=96"])
    {'windows': {'length': 128, 'stride': 96}}

    Raises:
        ConfigError: an override is not `key=value`, or its key leads through a plain value.
    """
    import yaml

    result = dict(data)
    for override in overrides:
        key, equals, text = override.partition("=")
        names = key.strip().split(".")
        if not equals or not all(names):
            raise ConfigError(f"--set {override}: expected key=value, such as windows.length=128")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override}: the value cannot be read") from error
        section = result
        for name in names[:-1]:
            inner = section.get(name)
            if inner is not None and not isinstance(inner, Mapping):
                raise ConfigError(f"--set {override}: {name} is a value, it has no keys of its own")
            section[name] = dict(inner or {})
            section = section[name]
        section[names[-1]] = value
    return result


def with_overrides(config: T, overrides: Sequence[str]) -> T:
    """Return the dataclass with every override `a.b=value` applied; all are checked together.

    Raises:
        ConfigError: see `from_dict` and `apply_overrides`.
    """
    if not overrides:
        return config
    return from_dict(type(config), apply_overrides(to_dict(config), overrides), "--set")


def load_config(cls: type[T], path: Path | None, overrides: Sequence[str] = ()) -> T:
    """Return a `cls` from a YAML file (None: the defaults) with the overrides applied.

    Raises:
        ConfigError: see `from_dict`, `read_yaml` and `apply_overrides`.
    """
    config = from_dict(cls, {} if path is None else read_yaml(path), str(path or "defaults"))
    return with_overrides(config, overrides)


def _convert(hint: Any, value: object, where: str) -> Any:
    """Return `value` as the type of the hint; only lossless conversions are made."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(get_args(hint), value, where)
    if origin is Literal:
        if value in get_args(hint) and not isinstance(value, bool):
            return value
        raise ConfigError(f"{where}: expected one of {list(get_args(hint))}, got {value!r}")
    if origin is tuple:
        return _convert_tuple(get_args(hint), value, where)
    if origin is dict or origin is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: expected keys and values, got {value!r}")
        _, inner = get_args(hint)
        return {str(key): _convert(inner, item, f"{where}: {key}") for key, item in value.items()}
    if isinstance(hint, type) and is_dataclass(hint):
        return from_dict(hint, value, where)
    return _convert_scalar(hint, value, where)


def _convert_union(options: tuple[Any, ...], value: object, where: str) -> Any:
    """Return `value` as the first of the types in the union that accepts it."""
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    for option in options[:-1]:
        try:
            return _convert(option, value, where)
        except ConfigError:
            continue
    return _convert(options[-1], value, where)


def _convert_tuple(items: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    """Return a list or tuple as `tuple[X, ...]` or as a tuple of fixed length."""
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: expected a list, got {value!r}")
    if len(items) == 2 and items[1] is Ellipsis:
        items = (items[0],) * len(value)
    if len(items) != len(value):
        raise ConfigError(f"{where}: expected {len(items)} values, got {len(value)}: {value!r}")
    return tuple(
        _convert(item, element, f"{where}[{index}]")
        for index, (item, element) in enumerate(zip(items, value, strict=True))
    )


def _convert_scalar(hint: Any, value: object, where: str) -> Any:
    """Return a number, text, bool or path; a bool is no number, and 1.0 is no int."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and number:
        return float(value)  # type: ignore[arg-type]
    if hint is float and isinstance(value, str) and _is_float(value):
        return float(value)  # YAML 1.1 reads 1e-3, without a point, as text
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint in (int, bool, str) and type(value) is hint:
        return value
    name = getattr(hint, "__name__", str(hint))
    raise ConfigError(f"{where}: expected {name}, got {value!r}")


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    """Return `value` as plain YAML values."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
