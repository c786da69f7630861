"""Training batches: clips drawn in balance, cut to chunks, augmented and padded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from extractors.shapes import check_arrays
from pipelines.forge.picture.training_crops import forge_crops
from pipelines.train.clips import TrainClip
from pipelines.train.team import Workers
from temporal.segment import MODALITIES


@dataclass(frozen=True, eq=False)
class Batch:
    """Chunks of several clips, padded to one length."""

    streams: dict[str, Tensor]  # (B, L, ...)
    targets: Tensor  # (B, L, 3)
    mask: Tensor  # (B, L) bool
    # (B,) int64, each row's place among the clips that batches are drawn from; empty: unknown
    clips: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    def __post_init__(self) -> None:
        check_arrays(self, targets="B L 3", mask="B L bool")
        for name, stream in self.streams.items():
            if stream.shape[:2] != self.mask.shape:
                raise ValueError(
                    f"stream {name} must be of {tuple(self.mask.shape)} clips and steps, "
                    f"got {tuple(stream.shape[:2])}"
                )

    def to(self, device: str) -> Batch:
        """Return the batch on a device."""
        streams = {name: stream.to(device) for name, stream in self.streams.items()}
        return Batch(streams, self.targets.to(device), self.mask.to(device), self.clips.to(device))

    def rows(self, chosen: Tensor) -> Batch:
        """Return the rows that are True in (B,) bool."""
        streams = {name: stream[chosen] for name, stream in self.streams.items()}
        return Batch(streams, self.targets[chosen], self.mask[chosen], self.clips[chosen])


TrainChunk = tuple[dict[str, Tensor], Tensor]  # streams (L, ...) by name, targets (L, 3)
Views = Callable[[int], Sequence[tuple[int, TrainClip]]]  # place of a clip -> its rows in a batch
ONE_SIDED = 0.5  # weight of a source of which all clips are fake, or all genuine


def balanced_weights(clips: Sequence[TrainClip], modality: str) -> Tensor:
    """Return sampling weights (N,) that keep a clip's source from predicting its label.

    A source that has both classes is drawn equally often for each. One that has a single class
    would teach its microphone, codec or studio instead of forgery, and is drawn less. Sources are
    weighted by the square root of their size, and so are the generators within one.
    """
    keys = [(c.sample.source, bool(getattr(c.sample, modality)), c.sample.method) for c in clips]
    sources = Counter(source for source, _, _ in keys)
    methods = Counter(keys)
    roots: defaultdict[tuple[str, bool], float] = defaultdict(float)
    for (source, fake, _), count in methods.items():
        roots[source, fake] += count**0.5
    weights = torch.empty(len(keys))
    for index, (source, fake, method) in enumerate(keys):
        within = methods[source, fake, method] ** -0.5 / roots[source, fake]
        share = 1.0 if (source, not fake) in roots else ONE_SIDED
        weights[index] = sources[source] ** 0.5 * share * within
    fakes = torch.tensor([fake for _, fake, _ in keys])
    for label in (True, False):
        chosen = fakes == label
        weights[chosen] /= weights[chosen].sum().clamp(min=1e-9)
    return weights


def draw_batches(
    clips: Sequence[TrainClip],
    weights: Tensor,
    names: Sequence[str],
    length: int,
    size: int,
    seed: int,
    first: int,
    last: int,
    forged: float = 0.0,
    team: Workers = Workers(),
    more: Callable[[np.random.Generator], list[TrainChunk]] = lambda rng: [],
    views: Views | None = None,
) -> Iterator[Batch]:
    """Yield the batches of the updates [first, last), each from its own seed, one prefetched.

    size: clips per worker of the team; together they hold what one worker would draw at once.
    forged: share of the genuine chunks whose face crops are forged on the fly.
    more: draws further chunks of this worker, appended to its batch.
    views: the rows that a drawn clip becomes: places and clips, all cut to the same stretch and
        augmented alike; None: the clip itself.
    """

    def make(update: int) -> Batch:
        rng = np.random.default_rng((seed, update))
        p = weights.numpy().astype(np.float64)
        picks = rng.choice(len(clips), size * team.size, p=p / p.sum())
        drawn = [clips[i] for i in picks]
        rows, chunks = [], []
        for place, pick in team.share(picks.tolist()):
            for row, clip in views(pick) if views else [(pick, clips[pick])]:
                rng = np.random.default_rng((seed, update, place))
                rows.append(row)
                chunks.append(random_chunk(clip, length, names, rng, drawn, forged, clips[pick]))
        chunks += more(np.random.default_rng((seed, update, team.rank, len(picks))))
        rows += [-1] * (len(chunks) - len(rows))
        return replace(collate(chunks), clips=torch.tensor(rows))

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(make, first)
        for update in range(first, last):
            batch = coming.result()
            if update + 1 < last:
                coming = pool.submit(make, update + 1)
            yield batch


def random_chunk(
    clip: TrainClip,
    length: int,
    names: Sequence[str],
    rng: np.random.Generator,
    donors: Sequence[TrainClip] = (),
    forged: float = 0.0,
    lead: TrainClip | None = None,
) -> TrainChunk:
    """Return streams and targets of a random stretch; half of those of partial forgeries hit it.

    A share of the genuine stretches is forged from the clip's own crops or a donor's. With a lead,
    a clip as long as this one, the stretch is that which would be drawn of it.
    """
    steps = clip.steps
    targets = (lead or clip).targets()
    begin = int(rng.integers(0, max(steps - length, 0) + 1))
    partial = (targets == 1).any(dim=1)
    if partial.any() and not partial.all() and rng.random() < 0.5:
        hit = int(rng.choice(partial.nonzero().flatten().numpy()))
        begin = int(np.clip(hit - rng.integers(0, length), 0, max(steps - length, 0)))
    end = min(begin + length, steps)
    targets = clip.targets()[begin:end]
    pictures = clip.pictures(begin, end, names)
    column = targets[:, MODALITIES.index("visual")]
    if "appearance" in pictures and (column == 0).all() and rng.random() < forged:
        other = other_crops(clip, donors, end - begin, rng)
        depth = clip.pictures(begin, end, ("depth",))["depth"]
        pictures["appearance"], hits = forge_crops(pictures["appearance"], depth, other, rng)
        column[hits] = 1.0
    return clip.chunk(begin, end, names, rng, pictures), targets


def other_crops(
    clip: TrainClip, donors: Sequence[TrainClip], length: int, rng: np.random.Generator
) -> Tensor:
    """Return crops (length, 3, H, W) of another moment of the clip, or of a donor's face."""
    faces = [d for d in donors if d.face is not None and d.steps >= length]
    giver = faces[int(rng.integers(len(faces)))] if faces and rng.random() < 0.5 else clip
    begin = int(rng.integers(0, giver.steps - length + 1))
    return giver.pictures(begin, begin + length, ("appearance",))["appearance"]


def collate(chunks: Sequence[TrainChunk]) -> Batch:
    """Return chunks as one batch; shorter ones repeat their last step, outside the mask."""
    longest = max(len(targets) for _, targets in chunks)
    names = set.intersection(*(set(streams) for streams, _ in chunks))
    return Batch(
        streams={
            name: torch.stack([_pad(streams[name], longest) for streams, _ in chunks])
            for name in names
        },
        targets=torch.stack([_pad(targets, longest) for _, targets in chunks]),
        mask=torch.stack([torch.arange(longest) < len(targets) for _, targets in chunks]),
    )


def targets_of(targets: Tensor, modality: str) -> Tensor:
    """Return a modality's step targets (B, L) of targets (B, L, 3); "any" takes their maximum."""
    if modality == "any":
        return targets.amax(dim=-1)
    return targets[..., MODALITIES.index(modality)]


def _pad(x: Tensor, length: int) -> Tensor:
    if len(x) == length:
        return x
    return torch.cat([x, x[-1:].expand(length - len(x), *x.shape[1:])])
