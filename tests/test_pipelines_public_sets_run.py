"""Public data sets on miniatures of their layouts: manifest, features, updates, protocol, table."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from avdetect import cli
from avdetect.example import example_frames, example_waveform
from extractors.errors import InputError
from extractors.media import write_clip
from pipelines.config import ConfigError, load_config
from pipelines.data.catalogue import DATASETS
from pipelines.data.samples import read_manifest, read_splits
from pipelines.public_sets.prepare import prepare
from pipelines.public_sets.recipe import FOLDER, SetRecipe, read_recipe
from pipelines.public_sets.run import Reproduced, train_on

SECONDS = 2.4
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
PEOPLE = 20  # each has a genuine clip and a forged one
# A few channels, and two updates a stage.
NETWORKS = "{dim: 16, appearance: 4, lips: [4], flow: [4], depth: [4], mel: [4], voice: [4]}"
STAGE = "{updates: 2, batch: 2, length: 40, evaluate_every: 2}"
QUICK = ("asvspoof2021", "faceforensics")  # and lav-df by the command; `-m slow` runs all others
SLOW = ("portrait", "utterance", "localizer of sound", "localizer of picture")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two genuine clips and two fakes with a grid over the face, as video and as sound."""
    folder = tmp_path_factory.mktemp("drawn")
    base, voice = example_frames(SECONDS, size=(240, 320)), example_waveform(SECONDS)
    for number in range(2):
        for fake in (False, True):
            frames, sound = base.copy(), voice * (0.6 + 0.2 * number)
            if fake:
                frames[:, ::4] = frames[:, ::4] // 4 * (2 + number)
                sound = sound.clip(-0.3 * sound.max(), 0.3 * sound.max())
            name = f"{'fake' if fake else 'real'}{number}"
            write_clip(folder / f"{name}.mp4", frames, sound.astype(np.float32))
            write_clip(folder / f"{name}.flac", None, sound.astype(np.float32))
    return folder


class Miniature:
    """Puts the drawn clips where a data set has its own."""

    def __init__(self, root: Path, drawn: Path) -> None:
        self.root, self.drawn = root, drawn

    def put(self, name: str, fake: bool, number: int = 0) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = ".mp4" if path.suffix == ".mp4" else ".flac"
        shutil.copy(self.drawn / f"{'fake' if fake else 'real'}{number % 2}{suffix}", path)

    def frames(self, name: str, fake: bool, number: int = 0) -> None:
        folder = self.root / name
        folder.mkdir(parents=True)
        video = cv2.VideoCapture(str(self.drawn / f"{'fake' if fake else 'real'}{number % 2}.mp4"))
        for place in range(16):
            cv2.imwrite(str(folder / f"{place:03d}.png"), video.read()[1])

    def text(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def lav_df(m: Miniature) -> None:
    rows = []
    for split, first, people in (("train", 0, 3), ("dev", 3, 4), ("test", 7, 2)):
        for who in range(first, first + people):  # a number is one person's in all splits
            for fake in (False, True):
                name = f"{split}/{who}{int(fake)}.mp4"
                m.put(name, fake, who)
                rows.append(
                    {
                        "file": name, "n_fakes": int(fake), "duration": SECONDS,
                        "fake_periods": [[0.8, 1.6]] if fake else [], "split": split,
                        "original": f"{split}/{who}0.mp4" if fake else None,
                        "modify_video": fake, "modify_audio": fake, "video_frames": 60,
                        "audio_channels": 1, "audio_frames": 38400,
                    }
                )  # fmt: skip
    m.text("metadata.min.json", json.dumps(rows))


def av_deepfake1m(m: Miniature) -> None:
    for split in ("train", "val"):
        rows = []
        for who in range(PEOPLE if split == "train" else 2):
            for fake in (False, True):
                name = f"id{split}{who}/v/{'fake_video_fake_audio' if fake else 'real'}.mp4"
                m.put(f"{split}/{name}", fake, who)
                spans = [[0.8, 1.6]] if fake else []
                rows.append(
                    {
                        "file": name, "split": split, "fake_segments": spans, "video_frames": 60,
                        "modify_type": "both_modified" if fake else "real",
                        "visual_fake_segments": spans, "audio_fake_segments": spans,
                        "audio_model": "vits" if fake else None,
                    }
                )  # fmt: skip
        m.text(f"{split}_metadata.json", json.dumps(rows))


def fakeavceleb(m: Miniature) -> None:
    lines = ["source,target1,target2,method,category,type,race,gender,path,"]
    for who in range(PEOPLE):
        for kind, row in (
            ("RealVideo-RealAudio", "real,A"),
            ("FakeVideo-FakeAudio", "wav2lip,D"),
        ):
            folder = f"{kind}/African/men/id{who:05d}"
            m.put(f"{folder}/1.mp4", kind[0] == "F", who)
            lines.append(f"id{who:05d},-,-,{row},{kind},African,men,1.mp4,FakeAVCeleb/{folder}")
    m.text("meta_data.csv", "\n".join(lines) + "\n")


def faceforensics(m: Miniature) -> None:
    for split, first, pairs in (("train", 0, 2), ("val", 10, 4), ("test", 30, 1)):
        rows = []
        for place in range(pairs):
            a, b = (f"{first + 2 * place + i:03d}" for i in range(2))
            rows.append([a, b])
            for one, other in ((a, b), (b, a)):
                m.put(f"original_sequences/youtube/c23/videos/{one}.mp4", False, int(one))
                fake = f"manipulated_sequences/Deepfakes/c23/videos/{one}_{other}.mp4"
                m.put(fake, True, int(one))
        m.text(f"splits/{split}.json", json.dumps(rows))


def celeb_df(m: Miniature) -> None:
    listed = []
    for who in range(PEOPLE):
        real, fake = f"Celeb-real/id{who}_0000.mp4", f"Celeb-synthesis/id{who}_id{who}_0000.mp4"
        m.put(real, False, who)
        m.put(fake, True, who)
        listed += [f"1 {real}", f"0 {fake}"] if who >= PEOPLE - 2 else []
    m.text("List_of_testing_videos.txt", "\n".join(listed) + "\n")


def dfdc(m: Miniature) -> None:
    rows: dict[str, Any] = {}
    for who in range(PEOPLE):
        m.put(f"dfdc_train_part_0/r{who}.mp4", False, who)
        m.put(f"dfdc_train_part_0/f{who}.mp4", True, who)
        rows[f"r{who}.mp4"] = {"label": "REAL", "split": "train"}
        rows[f"f{who}.mp4"] = {"label": "FAKE", "split": "train", "original": f"r{who}.mp4"}
    m.text("dfdc_train_part_0/metadata.json", json.dumps(rows))
    m.put("test/x.mp4", False)
    m.put("test/y.mp4", True)
    m.text("test/labels.csv", "filename,label\nx.mp4,0\ny.mp4,1\n")


def df40(m: Miniature) -> None:
    for who in range(PEOPLE):
        for fake in (False, True):
            kind = "fake" if fake else "real"
            m.frames(f"DF40_train/heygen/{kind}/frames/talk{who}", fake, who)
    for fake in (False, True):
        m.frames(f"DF40/heygen/{'fake' if fake else 'real'}/frames/other", fake)


def forgerynet(m: Miniature) -> None:
    for folder, count in (("Training", PEOPLE), ("Validation", 2)):
        lines = []
        for who in range(count):
            m.put(f"{folder}/video/a/r{who}.mp4", False, who)
            m.put(f"{folder}/video/a/f{who}.mp4", True, who)
            lines += [f"0 a/r{who}.mp4 0 0 0", f"1 a/f{who}.mp4 20 20 1 1 2 9"]
        m.text(f"{folder}/video_list.txt", "\n".join(lines) + "\n")


def genvideo(m: Miniature) -> None:
    for who in range(PEOPLE):
        m.put(f"GenVideo-Val/Real/{who}.mp4", False, who)
        m.put(f"GenVideo-Val/Fake/Sora/{who}.mp4", True, who)


def asvspoof2019(m: Miniature) -> None:
    for split, suffix, letter in (("train", "trn", "T"), ("dev", "trl", "D"), ("eval", "trl", "E")):
        lines = []
        for who in range(4):
            for fake in (False, True):
                name = f"LA_{letter}_{who}{int(fake)}"
                m.put(f"LA/ASVspoof2019_LA_{split}/flac/{name}.flac", fake, who)
                end = "A01 spoof" if fake else "- bonafide"
                lines.append(f"{letter}{who} {name} - {end}")
        name = f"LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.{split}.{suffix}.txt"
        m.text(name, "\n".join(lines) + "\n")


def asvspoof2021(m: Miniature) -> None:
    lines = []
    for subset in ("progress", "eval", "hidden"):
        for fake in (False, True):
            name = f"LA_E_{subset}{int(fake)}"
            m.put(f"ASVspoof2021_LA_eval/flac/{name}.flac", fake)
            end = "A07 spoof" if fake else "- bonafide"
            lines.append(f"E{subset} {name} alaw ita_tx {end} notrim {subset}")
    m.text("keys/LA/CM/trial_metadata.txt", "\n".join(lines) + "\n")


def partialspoof(m: Miniature) -> None:
    for split in ("train", "dev", "eval"):
        lines, turns = [], []
        for who in range(4):
            for fake in (False, True):
                name = f"CON_{split[0].upper()}_{who}{int(fake)}"
                path = m.root / f"database/{split}/con_wav/{name}.wav"
                m.put(str(path.with_suffix(".flac").relative_to(m.root)), fake, who)
                path.with_suffix(".flac").rename(path)
                lines.append(f"{split}{who} {name} - {'CON spoof' if fake else '- bonafide'}")
                if fake:
                    turns.append(f"SPEAKER {name} 1 0.8 0.8 <NA> <NA> spoof <NA> <NA>")
        start = f"database/protocols/PartialSpoof.LA.cm.{split}"
        m.text(f"{start}.{'trn' if split == 'train' else 'trl'}.txt", "\n".join(lines) + "\n")
        m.text(f"database/{split}/con_data/rttm_2cls_0sil", "\n".join(turns) + "\n")


MINIATURES: dict[str, Callable[[Miniature], None]] = {
    "lav-df": lav_df, "av-deepfake1m": av_deepfake1m, "fakeavceleb": fakeavceleb,
    "faceforensics": faceforensics, "celeb-df": celeb_df, "dfdc": dfdc, "df40": df40,
    "forgerynet": forgerynet, "genvideo": genvideo, "asvspoof2019": asvspoof2019,
    "asvspoof2021": asvspoof2021, "partialspoof": partialspoof,
}  # fmt: skip


@pytest.fixture(scope="session")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache that all data sets share, since their clips have the same content."""
    return tmp_path_factory.mktemp("streams")


def tiny(recipe: SetRecipe, out: Path, streams: Path) -> list[str]:
    """The settings that make a recipe's training one of seconds."""
    opinions = [name for name in recipe.train.detector.opinions if name not in SLOW]
    stages = [name for name in recipe.train.stages if name not in SLOW]
    named = [s for s in stages if s in ("appearance", "flow", "depth", "mel", "sync", "fusion")]
    return [
        f"train.out={out}", f"train.data.cache={streams}", "train.data.workers=1",
        "train.threads=1", "train.precision=float32", f"train.detector.experts={NETWORKS}",
        f"train.detector.opinions={json.dumps(opinions)}", f"train.stages={json.dumps(stages)}",
        *(f"train.{stage}={STAGE}" for stage in named),
    ]  # fmt: skip


def miniature(name: str, folder: Path, drawn: Path) -> list[tuple[str, Path]]:
    recipe = load_config(SetRecipe, FOLDER / f"{name}.yaml")
    sets = [(other, folder / other) for other in (*recipe.needs, name)]
    for other, root in sets:
        MINIATURES[other](Miniature(root, drawn))
    return sets


def reproduced(name: str, folder: Path, drawn: Path, streams: Path) -> Reproduced:
    recipe = load_config(SetRecipe, FOLDER / f"{name}.yaml")
    sets = miniature(name, folder, drawn)
    return train_on(sets, overrides=tiny(recipe, folder / "run", streams))


def test_every_recipe_is_of_a_set_that_can_be_read_and_has_a_miniature() -> None:
    assert set(NAMES) == set(MINIATURES)
    assert set(NAMES) <= set(DATASETS)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
@pytest.mark.timeout(900)
def test_a_set_is_trained_on_and_measured_by_its_protocol(
    name: str, tmp_path: Path, drawn: Path, streams: Path
) -> None:
    done = reproduced(name, tmp_path, drawn, streams)
    recipe = load_config(SetRecipe, FOLDER / f"{name}.yaml")
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    learned = {row["stage"] for row in log if "loss" in row}
    assert learned >= {"fusion", "mel" if recipe.reads == "sounds" else "appearance"}
    score = done.metrics["detection"]["score"]
    assert score["scored"] == score["given"] >= 2
    assert done.metrics["localization"]["protocol"] == recipe.protocol
    assert [row[0] for row in done.rows][: len(recipe.reported)] == list(recipe.reported)
    ours = {row[0]: row[1] for row in done.rows}
    few = "AUC, mean of generators"  # which takes more fakes than a miniature has
    assert "–" not in [ours[metric] for metric in recipe.reported if metric != few]
    table = (done.report / "published.md").read_text()
    for other in recipe.published:
        assert other.system in table
        assert other.source in table


@pytest.mark.parametrize("name", NAMES)
def test_nobody_of_a_sets_own_splits_crosses_and_every_split_has_both_classes(
    name: str, tmp_path: Path, drawn: Path
) -> None:
    recipe = load_config(SetRecipe, FOLDER / f"{name}.yaml")
    made = prepare(miniature(name, tmp_path, drawn), recipe, tmp_path / "run", 0)
    samples = read_manifest(made.manifest, read_splits(made.splits))
    people: dict[str, set[str]] = {}
    for split in ("train", "val", "calibration"):
        own = [sample for sample in samples if sample.split == split]
        assert {sample.fake for sample in own} == {True, False}
        people[split] = {who for s in own for who in (s.person or str(s.path)).split(";")}
        assert len(own) == made.counts[split]
    assert not people["train"] & people["val"]
    assert not people["val"] & people["calibration"]
    with made.test.open() as file:
        tested = {row["path"] for row in csv.DictReader(file)}
    assert not tested & {str(sample.path) for sample in samples}


def test_the_command_prints_the_table_and_a_second_run_trains_nothing_again(
    tmp_path: Path, drawn: Path, streams: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = load_config(SetRecipe, FOLDER / "lav-df.yaml")
    ((name, root),) = miniature("lav-df", tmp_path, drawn)
    settings = [w for s in tiny(recipe, tmp_path / "run", streams) for w in ("--set", s)]
    command = ["train", "--data", f"{name}={root}", *settings]
    assert cli.main(command) == 0
    out, err = capsys.readouterr()
    assert "LAV-DF, in %" in out
    assert "UMMAFormer" in out
    assert "AP@0.5" in out
    assert "train: 6, val: 4, test: 4, calibration: 4, missing: 0 clips" in err
    log = tmp_path / "run" / "log.jsonl"
    before = len(log.read_text().splitlines())
    assert cli.main(command) == 0
    again = log.read_text().splitlines()[before:]
    assert not any("loss" in json.loads(line) for line in again)


def test_clips_are_drawn_in_balance_of_classes_and_methods(tmp_path: Path, drawn: Path) -> None:
    root = tmp_path / "genvideo"
    m = Miniature(root, drawn)
    for who in range(30):
        m.put(f"GenVideo-Val/Fake/{'Sora' if who < 25 else 'Gen2'}/{who}.mp4", True)
        m.put(f"GenVideo-Val/Real/{who}.mp4", False)
    recipe = SetRecipe("GenVideo", clips={"train": 12})
    made = prepare([("genvideo", root)], recipe, tmp_path / "run", 0)
    train = [
        s for s in read_manifest(made.manifest, read_splits(made.splits)) if s.split == "train"
    ]
    assert len(train) == 12
    methods = [sample.method for sample in train]
    assert methods.count("real") == 6
    assert methods.count("Gen2") == 3


def test_a_set_may_be_tested_alone(tmp_path: Path, drawn: Path) -> None:
    sets = [*miniature("faceforensics", tmp_path, drawn), *miniature("celeb-df", tmp_path, drawn)]
    recipe = SetRecipe("Celeb-DF v2", tested_only=True)
    made = prepare(sets, recipe, tmp_path / "run", 0)
    samples = read_manifest(made.manifest, read_splits(made.splits))
    assert all("faceforensics" in str(sample.path) for sample in samples)
    assert "celeb-df" in made.test.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kodf", "kodf: no recipe .it can be read, but has no recipe.; there are asvspoof2019,"),
        ("nothing", "nothing: no recipe; there are asvspoof2019,"),
        ("asvspoof2021", "asvspoof2021 trains on asvspoof2019: name that first"),
    ],
)
def test_a_set_that_cannot_be_trained_on_says_why(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(None, [(name, Path())], [])


def test_a_set_whose_files_are_not_there_says_so(tmp_path: Path) -> None:
    folder = "LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm."
    Miniature(tmp_path, tmp_path).text(f"{folder}train.trn.txt", "LA_1 LA_T_1 - - bonafide\n")
    with pytest.raises(InputError, match="none of the 1 files of asvspoof2019 is there"):
        prepare([("asvspoof2019", tmp_path)], SetRecipe("x"), tmp_path / "run", 0)
