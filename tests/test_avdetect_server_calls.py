"""Calls over REST: challenges out, answers in, every refusal a sentence."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from avdetect.example import example_waveform
from avdetect.server.app import UploadLimits, make_app
from avdetect.server.calls import Calls
from avdetect.server.queue import Queue
from extractors.media import MediaError


def recording(seed: int, seconds: float = 2.0) -> bytes:
    sound = example_waveform(seconds) + 1e-3 * np.random.default_rng(seed).normal(
        size=round(seconds * 16_000)
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes((sound * 32767).astype("<i2").tobytes())
    return file.getvalue()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    def judge(*_: Any) -> Any:
        raise MediaError("no clips here")

    queue = Queue(tmp_path / "history", judge, 60.0)
    calls = Calls(tmp_path / "history" / "calls", lambda path: 0.9)
    app = make_app(queue, UploadLimits(megabytes=1), None, calls)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def asked(client: TestClient, path: str) -> Any:
    return client.post(f"{path}/challenges").json()["asked"][-1]


def test_a_call_goes_from_its_first_challenge_to_a_decision(
    client: TestClient, tmp_path: Path
) -> None:
    begun = client.post("/v1/calls")
    assert begun.status_code == 201
    path = f"/v1/calls/{begun.json()['id']}"
    for seed in range(3):
        challenge = asked(client, path)
        told = client.post(f"{path}/answers/{challenge['nonce']}", content=recording(seed)).json()
        assert told["asked"][-1]["answer"]["score"] == 0.9
    assert told["asked"][0]["challenge"] == "baseline"
    assert told["tagged"] is (told["evidence"] > 0)
    decided = client.post(f"{path}/decision?human=genuine").json()
    assert decided["disagreed"] is told["tagged"]
    assert client.get(path).json() == decided
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert list((tmp_path / "history" / "calls").iterdir()) == []


def test_replays_and_bad_recordings_are_refused_in_a_sentence(client: TestClient) -> None:
    path = f"/v1/calls/{client.post('/v1/calls').json()['id']}"
    nonce = asked(client, path)["nonce"]
    bad = client.post(f"{path}/answers/{nonce}", content=b"words")
    assert bad.status_code == 422
    assert bad.json()["detail"].startswith("the recording")
    assert "/tmp" not in bad.text
    assert client.post(f"{path}/answers/{nonce}", content=recording(0)).status_code == 200
    again = client.post(f"{path}/answers/{nonce}", content=recording(1))
    assert (again.status_code, again.json()["detail"].split(":")[0]) == (
        409, f"nonce {nonce} was used",
    )  # fmt: skip
    other = asked(client, path)["nonce"]
    replayed = client.post(f"{path}/answers/{other}", content=recording(0))
    assert (replayed.status_code, "earlier challenge" in replayed.text) == (409, True)
    assert client.post(f"{path}/answers/{other}", content=b"").status_code == 400
    assert client.post(f"{path}/answers/{other}", content=b"x" * 2**21).status_code == 413
    assert client.post(f"{path}/answers/{other}x", content=b"x").status_code == 422
    assert client.post(f"{path}/decision?human=perhaps").status_code == 422
    assert client.get("/v1/calls/..%2f..%2fetc").status_code in (404, 422)
    assert client.get(f"/v1/calls/{'0' * 32}").json() == {"detail": "there is no such call"}


def test_the_page_of_calls_runs_only_its_own_script_and_writes_text_alone(
    client: TestClient,
) -> None:
    page = client.get("/call")
    policy = page.headers["content-security-policy"]
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert page.text.count(f'nonce="{nonce}"') == page.text.count("nonce=") == 2
    for unsafe in ("innerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert unsafe not in page.text
    assert 'href="/call"' in client.get("/").text


def test_an_answer_is_described_as_bytes_with_its_refusals(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    answer = paths["/v1/calls/{call_id}/answers/{nonce}"]["post"]
    assert "application/octet-stream" in answer["requestBody"]["content"]
    assert {"200", "400", "401", "403", "404", "408", "409", "413", "415", "422", "507"} <= set(
        answer["responses"]
    )
