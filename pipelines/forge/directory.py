"""Forging of a folder of real clips into a data set with exact labels.

Every source gives one genuine clip, re-encoded, and several forged ones with the same encoding, so
that the forgery is the only difference. `metadata.json` extends the format of LAV-DF.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from extractors.clock import SAMPLES_PER_STEP, STEP_RATE
from extractors.errors import InputError
from extractors.faces import FaceTrack
from extractors.media import Clip, MediaError
from pipelines.forge.clip import forge_clip
from pipelines.forge.dub import DUBS
from pipelines.forge.files import (
    ForgeConfig,
    ForgeTask,
    Row,
    claim_folder,
    digest,
    generator,
    read_row,
    write_forged,
    write_json,
)
from pipelines.forge.methods import PICTURE, SOUND, WEIGHTS, absent_methods, possible_methods
from pipelines.forge.scene import Donor, Forged, make_scene
from pipelines.forge.sources import find_sources, load_donor, load_source
from pipelines.progress import OnStep

__all__ = ["ForgeConfig", "Forged", "forge_clip", "forge_directory"]
logger = logging.getLogger(__name__)


ATTEMPTS = 4  # methods tried until one changes a clip


def ignore_progress(done: int, total: int) -> None:
    """Do nothing."""


def forge_directory(
    sources: Path | list[Path],
    out: Path,
    per_video: int = 3,
    seed: int = 0,
    *,
    config: ForgeConfig = ForgeConfig(),
    persons: Mapping[str, str] | None = None,
    split: str = "train",
    workers: int = 1,
    on_step: OnStep = ignore_progress,
) -> list[Row]:
    """Return the metadata of genuine and forged clips, written to `out` as they are made.

    A file's forgeries depend on the seed and its name alone, not on what else is in the folder,
    except for its donors (and the synthesisers on PATH). Clips that `out` already holds are kept:
    an interrupted run resumes.

    Args:
        sources: a folder of real clips, or a list of files; of one split only, since a face or a
            voice may go from any clip to any other.
        per_video: forged clips of each source, besides the genuine one.
        persons: who is seen or heard, by file name; by default every file is a person of its own.
        split: written to the metadata.
        workers: processes; with more than one, the caller's main module must be importable.
        on_step: called with the number of sources done and the total.

    Raises:
        InputError: no sources, `out` holds some of them or lies among them, or it holds clips of
            other settings.
    """
    files = find_sources(sources)
    _keep_apart(files, sources, out)
    people = {name: (persons or {}).get(name, Path(name).stem) for name in files}
    claim_folder(out, {"seed": seed, "config": asdict(config), "split": split})
    tasks = [
        ForgeTask(
            name=name,
            path=path,
            person=people[name],
            donors=_choose_donors(name, files, people, seed, config.donors),
            out=out,
            per_video=per_video,
            seed=seed,
            split=split,
            config=config,
        )
        for name, path in files.items()
    ]
    for method, cause in absent_methods().items():
        logger.warning("no %s: %s", method, cause)
    rows: dict[str, list[Row]] = {}
    for name, result in _run(tasks, workers):
        rows[name] = result
        on_step(len(rows), len(tasks))
    merged = [row for name in files for row in rows[name]]
    write_json(out / "metadata.json", merged)
    return merged


def _run(tasks: list[ForgeTask], workers: int) -> Iterator[tuple[str, list[Row]]]:
    """Yield each task's name and rows as it finishes."""
    if workers <= 1:
        with _one_thread():
            for task in tasks:
                yield task.name, forge_file(task)
        return
    context = get_context("spawn")  # a forked child would inherit locked threads
    with ProcessPoolExecutor(workers, context, initializer=_limit_threads) as pool:
        pending = {pool.submit(forge_file, task): task for task in tasks}
        for future in as_completed(pending):
            yield pending[future].name, future.result()


def forge_file(task: ForgeTask) -> list[Row]:
    """Return the metadata of one source's clips, making those that are missing.

    A source that cannot be read gives none.
    """
    numbers = range(task.per_video + 1)
    rows = {k: read_row(task, k) for k in numbers}
    if all(rows.values()):
        return [row for row in rows.values() if row]
    try:
        clip, track = load_source(task.path, task.config.sources)
    except MediaError as error:
        logger.warning("left out: %s", error)
        return []
    donors = list(_load_donors(task))
    for k in numbers:
        if not rows[k]:
            shorter = _cut_end(clip, generator(task, k, "length"))
            forged = _forge(shorter, track, donors, task, k)
            rows[k] = None if forged is None else write_forged(forged, task, k)
    return [row for row in rows.values() if row]


def _load_donors(task: ForgeTask) -> Iterator[Donor]:
    """Yield those of a task's donors that can be read."""
    for path in task.donors:
        try:
            yield load_donor(path, task.config.sources)
        except MediaError as error:
            logger.warning("no donor: %s", error)


def _forge(
    clip: Clip, track: FaceTrack | None, donors: list[Donor], task: ForgeTask, k: int
) -> Forged | None:
    """Return the k-th clip of a source: 0 is genuine, others forged; None if no method works."""
    if k == 0:
        return forge_clip(clip, track, donors, "none", generator(task, k, "none"))
    methods = possible_methods(make_scene(clip, track, donors))
    for attempt in range(ATTEMPTS):
        rng = generator(task, k, f"attempt {attempt}")
        method = draw_method(methods, rng, task.config)
        if method is None:
            break
        try:
            forged = forge_clip(clip, track, donors, method, rng, task.config.segments)
        except RuntimeError as error:  # a speech synthesiser that fails on a voice
            logger.warning("%s: %s failed: %s", task.name, method, error)
            continue
        if forged.periods:
            return forged
    logger.info("%s: no forgery number %d: nothing that would show", task.name, k)
    return None


def draw_method(methods: list[str], rng: np.random.Generator, config: ForgeConfig) -> str | None:
    """Return a random method: first its kind is drawn by share, then the method by weight."""
    kinds: dict[str, tuple[float, list[str]]] = {
        "picture": (config.picture_share, [m for m in methods if m in PICTURE]),
        "sound": (config.sound_share, [m for m in methods if m in SOUND]),
        "both": (config.both_share, [m for m in methods if "+" in m]),
        "shifted": (config.shifted_share, [m for m in methods if m == "sound_shifted"]),
        "dubbed": (config.dubbed_share, [m for m in methods if m in DUBS]),
    }
    shares = np.array([share if names else 0.0 for share, names in kinds.values()])
    if shares.sum() <= 0:
        return None
    names = list(kinds.values())[int(rng.choice(len(shares), p=shares / shares.sum()))][1]
    weights = np.array([np.prod([WEIGHTS.get(p, 1.0) for p in n.split("+")]) for n in names])
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _cut_end(clip: Clip, rng: np.random.Generator) -> Clip:
    """Return the clip, sometimes cut by up to a second, so that its length reveals nothing."""
    if clip.steps < 2 * STEP_RATE or rng.random() < 0.5:
        return clip
    steps = clip.steps - int(rng.integers(1, min(STEP_RATE, clip.steps // 4) + 1))
    frames = None if clip.frames is None else clip.frames[:steps]
    sound = None if clip.waveform is None else clip.waveform[: steps * SAMPLES_PER_STEP]
    return Clip(clip.start, frames, sound)


def _keep_apart(files: Mapping[str, Path], sources: Path | list[Path], out: Path) -> None:
    """Raise InputError where forged clips could overwrite real ones, or be mistaken for them."""
    folder = out.resolve()
    inside = isinstance(sources, Path) and folder.is_relative_to(sources.resolve())
    if inside or any(path.resolve().parent == folder for path in files.values()):
        raise InputError(f"{out} is where the real clips are; choose another folder")


def _choose_donors(
    name: str, files: Mapping[str, Path], people: Mapping[str, str], seed: int, count: int
) -> tuple[Path, ...]:
    """Return other people's files, preferring those with the same suffix."""
    others = [n for n in files if people[n] != people[name]]
    # By digest, so that adding a file does not change the order of the others.
    others.sort(key=lambda n: (Path(n).suffix != Path(name).suffix, digest(seed, name, n)))
    return tuple(files[n] for n in others[:count])


def _limit_threads() -> None:
    """Keep a worker to one thread: more would compete with the other workers."""
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run the block in one thread, so that results do not depend on the machine."""
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    _limit_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
