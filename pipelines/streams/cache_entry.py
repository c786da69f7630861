"""An entry of the cache of streams: what one extraction gave, in files of one name.

`NAME.sound` has the waveform, `NAME.streams` the blocks and `NAME.facts` what is known of the file,
written in this order: where there are facts, there is everything. Entries that trainings of earlier
versions made have no facts; they are read by training alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import torch
from safetensors.torch import load_file
from torch import Tensor

from extractors.media import Clip, MediaInfo
from extractors.stream_file import StreamWriter, read_streams
from extractors.streams import Streams
from extractors.tensor_file import TensorWriter
from pipelines.storage.files import write_by
from pipelines.storage.local_copy import ScratchError


@dataclass(frozen=True)
class EntryFacts:
    """What is known of the file whose streams an entry has."""

    info: MediaInfo
    steps: int  # of the whole file
    reached: int  # step up to which it could be read
    warnings: list[str]


class CacheEntry:
    """The files of one extraction, which are read, or written while the blocks pass by."""

    def __init__(self, folder: Path, name: str, path: str) -> None:
        """Name an entry.

        path: of the media file, as it is called now; the entry has the name that it had first.
        """
        self.streams, self._folder, self._path = folder / f"{name}.streams", folder, path
        self._sound, self._facts = folder / f"{name}.sound", folder / f"{name}.facts"
        self._blocks: StreamWriter | None = None
        self._waveform: TensorWriter | None = None
        self._whole = False  # whether all blocks passed by

    @property
    def complete(self) -> bool:
        """Whether everything is there that judging needs."""
        return self._facts.exists()

    def facts(self) -> EntryFacts:
        """Return what is known of the file."""
        facts = json.loads(self._facts.read_text(encoding="utf-8"))
        info = MediaInfo(**facts.pop("info") | {"path": self._path})
        facts["warnings"] = [w.replace(facts["path"], self._path) for w in facts["warnings"]]
        del facts["path"]
        return EntryFacts(info, **facts)

    def blocks(self) -> Iterator[Streams]:
        """Yield the blocks of streams."""
        return read_streams(self.streams)

    def waveform(self) -> Tensor | None:
        """Return the sound (T * 640,) int16; None: the file has none."""
        return load_file(self._sound)["waveform"] if self._sound.exists() else None

    def heard(self, chunks: Iterable[Clip]) -> Iterator[Clip]:
        """Yield the chunks as they are extracted, and keep their sound."""
        for clip in chunks:
            if clip.waveform is not None:
                levels = (torch.from_numpy(clip.waveform) * 32767).round().clip(-32768, 32767)
                with self._room():
                    self._waveform = self._waveform or TensorWriter(self._folder)
                    self._waveform.add("waveform", levels.short())
            yield clip

    def kept(self, blocks: Iterable[Streams]) -> Iterator[Streams]:
        """Yield the blocks as they are extracted, and keep them."""
        for block in blocks:
            with self._room():
                self._blocks = self._blocks or StreamWriter(self._folder)
                self._blocks.add(block)
            yield block
        self._whole = True

    def end(self, info: MediaInfo, steps: int, reached: int, warnings: list[str]) -> None:
        """Write the entry, if all blocks passed by; else forget them."""
        facts = {
            "path": info.path, "info": asdict(info), "steps": steps, "reached": reached,
            "warnings": warnings,
        }  # fmt: skip
        try:
            if self._whole:
                with self._room():
                    self._blocks = self._blocks or StreamWriter(self._folder)
                    # two workers may have the same content at a time
                    write = partial(write_by, suffix=f".{uuid4().hex}")
                    if self._waveform is not None:
                        write(self._sound, partial(self._waveform.write, metadata={}))
                    write(self.streams, self._blocks.write)
                    text = json.dumps(facts)
                    write(self._facts, lambda file: file.write_text(text, encoding="utf-8"))
        finally:
            for writer in (self._blocks, self._waveform):
                if writer is not None:
                    writer.close()
            self._blocks = self._waveform = None

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            cause = f"streams cannot be kept ({error.strerror})"
            raise ScratchError(f"{self._folder}: {cause}") from error
