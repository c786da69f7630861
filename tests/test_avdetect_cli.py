"""The command: what it prints where, and its exit codes. The detector is a stand-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from avdetect import cli
from avdetect.terminal.output import progress
from extractors.errors import InputError
from extractors.media import MediaError
from pipelines.config import ConfigError

ROOT = Path(__file__).resolve().parents[1]

RESULT: dict[str, Any] = {
    "schema": 1,
    "status": "ok",
    "error": None,
    "sha256": "00",
    "verdict": "fake",
    "score": 0.93,
    "visual_score": 0.12,
    "audio_score": 0.95,
    "sync_score": None,
    "not_judged": {"visual": None, "audio": None, "sync": "no face was found"},
    "segments": [
        {"start": 4.36, "end": 5.08, "score": 0.61, "modality": "audio"},
        {"start": 64.5, "end": 65.0, "score": 0.93, "modality": "visual"},
    ],
    "timeline": {"rate": 25.0, "visual": [0.1], "audio": [0.9], "sync": [None]},
    "streams": {"appearance": True, "mouth": False, "mel": True},
    "faces": [],
    "media": {
        "duration": 69.6,
        "width": 640,
        "height": 360,
        "fps": 29.97,
        "video_codec": "h264",
        "audio_codec": "aac",
        "sample_rate": 44100,
        "video_bit_rate": 300_000,
    },
    "warnings": ["no face was found in the picture"],
    "model": {"name": "starter", "version": "1", "sha256": "00"},
    "elapsed": {"decode": 0.8, "extract": 1.9, "judge": 0.6, "total": 3.4},
}


@dataclass
class FakeVerdict:
    path: str

    def to_dict(self) -> dict[str, Any]:
        return {**RESULT, "path": self.path}


class FakeSession:
    """Judges any path that does not say `broken`."""

    def detect(self, path: str, on_step: Any) -> FakeVerdict:
        on_step(1, 2)
        if "broken" in path:
            raise MediaError(f"{path}: the file ends in the middle of a frame")
        if "interrupt" in path:
            raise KeyboardInterrupt
        on_step(2, 2)
        return FakeVerdict(path)


def fake_load(
    weights: Path | None, device: str, overrides: list[str], cache: Path | None
) -> FakeSession:
    if weights is not None and not weights.exists():
        raise FileNotFoundError(f"{weights}: no such file")
    if overrides:
        raise ConfigError(f"--set {overrides[0]}: unknown key")
    return FakeSession()


def fake_error(path: str, error: Exception) -> dict[str, Any]:
    problem = {"type": type(error).__name__, "message": str(error)}
    return {"schema": 1, "path": path, "status": "error", "error": problem}


@pytest.fixture(autouse=True)
def fake_detector(monkeypatch):
    module = types.ModuleType("pipelines.detection.session")
    module.load, module.error_dict = fake_load, fake_error  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pipelines.detection.session", module)


def test_a_verdict_is_printed_in_words(capsys):
    assert cli.main(["detect", "a.mp4"]) == 0
    out, err = capsys.readouterr()
    assert "a.mp4: fake, score 0.93" in out
    assert "0.95" in out
    assert "not judged: no face was found" in out
    assert out.index("1:04.50") < out.index("0:04.36")  # the likeliest segment first
    assert "missing: the mouth" in out
    assert "! no face was found in the picture" in out
    assert "\x1b" not in out  # no colours where nobody watches
    assert err == ""


def test_json_prints_one_object_a_line_and_nothing_else(capsys):
    assert cli.main(["detect", "a.mp4", "broken.mp4", "b.mp4", "--json", "-"]) == 1
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["path"] for row in rows] == ["a.mp4", "broken.mp4", "b.mp4"]
    assert [row["status"] for row in rows] == ["ok", "error", "ok"]
    assert err == "avdetect: broken.mp4: the file ends in the middle of a frame\n"


def test_json_goes_to_a_file_beside_the_tables(tmp_path, capsys):
    assert cli.main(["detect", "a.mp4", "--json", str(tmp_path / "r.jsonl")]) == 0
    assert json.loads((tmp_path / "r.jsonl").read_text())["path"] == "a.mp4"
    assert "a.mp4: fake" in capsys.readouterr().out


def test_json_may_replace_json_but_not_a_video(tmp_path, capsys):
    old, video = tmp_path / "r.jsonl", tmp_path / "b.mp4"
    old.write_text('{"old": 1}\n')
    video.write_bytes(b"\x00\x00\x00\x20ftyp")
    assert cli.main(["detect", "a.mp4", "--json", str(old)]) == 0
    assert json.loads(old.read_text())["path"] == "a.mp4"
    assert cli.main(["detect", "a.mp4", "--json", str(video)]) == 2
    assert video.read_bytes() == b"\x00\x00\x00\x20ftyp"
    assert "left alone" in capsys.readouterr().err


def test_json_to_a_place_that_is_not_there_is_wrong_usage(tmp_path, capsys):
    assert cli.main(["detect", "a.mp4", "--json", str(tmp_path / "no" / "r.jsonl")]) == 2
    assert "No such file or directory" in capsys.readouterr().err


def test_a_folder_is_refused_in_one_sentence(tmp_path, capsys):
    assert cli.main(["detect", str(tmp_path), "a.mp4"]) == 1
    out, err = capsys.readouterr()
    assert err == f"avdetect: {tmp_path}: is a folder, not a video; name the files in it\n"
    assert "a.mp4: fake" in out


def test_a_name_that_no_file_can_have_is_left_to_the_reader(capsys):
    assert cli.main(["detect", "broken" * 999, "broken\0.mp4"]) == 1
    assert capsys.readouterr().err.count("the file ends") == 2


def test_names_cannot_steer_the_terminal_nor_the_markup(capsys):
    assert cli.main(["detect", "[red]a[/red]\x1b[2J\r\n.mp4", "broken\x1b]0;x\x07\udcff.mp4"]) == 1
    out, err = capsys.readouterr()
    assert r"[red]a[/red]\x1b[2J\r\n.mp4: fake" in out
    assert r"broken\x1b]0;x\x07\udcff.mp4: the file ends" in err
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    "arguments",
    [
        ["detect"],
        ["judge", "a.mp4"],
        ["detect", "a.mp4", "--device", "tpu"],
        ["detect", "a.mp4", "--weights"],
        ["benchmark", "--runs", "0"],
        ["forge", "."],
        [],
    ],
)
def test_wrong_arguments_exit_with_2(arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "none.safetensors"], "avdetect: none.safetensors: no such file\n"),
        (["--set", "a.b=1"], "avdetect: --set a.b=1: unknown key\n"),
    ],
)
def test_wrong_weights_and_settings_are_one_sentence_and_exit_with_2(arguments, message, capsys):
    assert cli.main(["detect", "a.mp4", *arguments]) == 2
    assert capsys.readouterr() == ("", message)


def test_control_c_ends_quietly(capsys):
    assert cli.main(["detect", "interrupt.mp4"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_programming_error_is_not_hidden(monkeypatch):
    monkeypatch.setattr(FakeSession, "detect", lambda self, path, on_step: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["detect", "a.mp4"])


def test_forge_and_train_call_their_function(tmp_path, monkeypatch, capsys):
    calls: list[Any] = []

    def stand_in(module: str, name: str, result: Any = None) -> None:
        def record(*args: Any, **kwargs: Any) -> Any:
            calls.append(args)
            return result

        fake = types.ModuleType(module)
        setattr(fake, name, record)
        monkeypatch.setitem(sys.modules, module, fake)

    made = [{"method": "none"}, {"method": "face_swap"}, {"method": "face_swap+voice_changed"}]
    stand_in("pipelines.forge.directory", "forge_directory", made)
    stand_in("pipelines.train.run", "train")
    assert cli.main(["forge", str(tmp_path), "--out", "o", "--per-video", "3", "--seed", "7"]) == 0
    said = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert said[1:] == [["2", "face swap"], ["1", "synthetic or converted voice"]]
    assert cli.main(["train", "c.yaml", "--set", "a=1", "--set", "b=2", "--workers", "4"]) == 0
    assert calls == [(tmp_path, Path("o"), 3, 7), (Path("c.yaml"), ["a=1", "b=2"], 4, None)]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("a.csv: has no column"), "a.csv: has no column"),
        (FileNotFoundError(2, "No such file or directory", "b.csv"), "b.csv: No such file or"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_what_a_user_caused_is_one_sentence_whichever_verb_it_was(error, said, monkeypatch, capsys):
    def fail(_: Any) -> int:
        raise error

    for verb, arguments in (("doctor", []), ("scan", ["x"]), ("zoo", ["list"])):
        monkeypatch.setattr(cli.VERBS[verb], "run", fail)
        assert cli.main([verb, *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"avdetect: {said}")
        assert err.count("\n") == 1


def test_forge_without_its_folder_is_wrong_usage(tmp_path, capsys):
    assert cli.main(["forge", str(tmp_path / "none"), "--out", "o"]) == 2
    assert "none: no such folder" in capsys.readouterr().err


STAND_IN = """
import os, signal, sys, time, types
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests begun in the background ignore it
module = types.ModuleType("pipelines.detection.session")
class DetectorSession:
    def detect(self, path, on_step):
        os.write(2, b"noise of a library\\n")
        print("word of Python", file=sys.stderr)
        if path == "wait.mp4":
            print("ready", flush=True)
            time.sleep(60)
        return types.SimpleNamespace(to_dict=lambda: {"status": "ok", "path": path, "x": "y" * 999})
module.load, module.error_dict = lambda *_: DetectorSession(), None
sys.modules["pipelines.detection.session"] = module
from avdetect.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own, with a stand-in for the detector."""
    return subprocess.Popen(
        [sys.executable, "-c", STAND_IN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def test_a_closed_pipe_ends_quietly():
    with start("detect", "--json", "-", *["a.mp4"] * 2000) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(30) == 1
    assert set(errors.splitlines()) == {"word of Python"}


def test_an_interrupt_ends_quietly():
    with start("detect", "--json", "-", "wait.mp4") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "word of Python\n"
        assert process.wait(30) == 130


def test_the_noise_of_libraries_can_be_let_through():
    with start("detect", "--json", "-", "a.mp4", AVDETECT_NATIVE_LOG="1") as process:
        assert "noise of a library" in process.communicate(timeout=30)[1]


def test_a_bar_is_drawn_on_a_terminal_for_long_clips_only(monkeypatch):
    from rich.console import Console

    class Terminal:
        """Standard error as a terminal that keeps what was written."""

        text = ""
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

        def flush(self) -> None:
            pass

    monkeypatch.setenv("TERM", "xterm")
    for total, drawn in ((10, False), (100_000, True)):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress("/x/[b]long\x1b.mp4") as on_step:
            assert Console(stderr=True).is_terminal
            on_step(total // 2, total)
        assert (r"[b]long\x1b.mp4" in terminal.text) is drawn
        assert drawn or not terminal.text


@pytest.mark.parametrize("verb", [[], *([name] for name in cli.VERBS)], ids=" ".join)
def test_help_is_quick_and_loads_no_network(verb):
    code = (
        f"import sys; from avdetect.cli import main\n"
        f"try: main([*{verb}, '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'numpy', 'rich', 'cv2'} & set(sys.modules), 'heavy'"
    )
    start_time = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert time.perf_counter() - start_time < 5  # 0.03 s alone; a loaded machine is slower
    assert " ".join(["usage: avdetect", *verb]) in done.stdout
