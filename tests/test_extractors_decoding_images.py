"""Moving pictures that are called images: MJPEG is judged, the others are called what they are."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from drawn_media import DrawnPicture, numbered, numbers, write_tracks

from extractors.media import MediaError, open_media


def jpeg(number: int) -> bytes:
    return bytes(cv2.imencode(".jpg", numbered(number))[1].tobytes())


def with_segment(image: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG image with one more segment at its front."""
    size = (len(content) + 2).to_bytes(2, "big")
    return image[:2] + bytes((0xFF, marker)) + size + content + image[2:]


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        open_media(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["camera.mjpeg", "camera.jpg", "camera"])
def test_jpeg_images_one_after_the_other_are_a_video(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"".join(jpeg(number) for number in range(30)))
    with open_media(path) as media:
        frames = np.concatenate([c.frames for c in media if c.frames is not None])
        assert media.warnings == ["the file says no frame rate: 25 frames a second are assumed"]
    assert numbers(frames) == list(range(30))


def test_one_photograph_is_an_image_also_with_a_preview_or_a_gain_map(tmp_path: Path) -> None:
    plain = "is an image, not a video"
    assert plain in refusal(tmp_path / "a.jpg", jpeg(1))
    assert plain in refusal(tmp_path / "b.jpg", with_segment(jpeg(1), 0xE1, b"Exif\0\0" + jpeg(2)))
    mapped = with_segment(jpeg(1), 0xE2, b"MPF\0" + bytes(8)) + jpeg(2)
    assert plain in refusal(tmp_path / "c.jpg", mapped)


def test_a_motion_photo_is_said_to_carry_a_video(tmp_path: Path) -> None:
    video = write_tracks(tmp_path / "a.mp4", DrawnPicture(range(5))).read_bytes()
    message = refusal(tmp_path / "photo.jpg", jpeg(1) + video)
    assert "is a motion photo" in message
    assert "exiftool -b -EmbeddedVideoFile" in message
    heic = (24).to_bytes(4, "big") + b"ftypheic" + bytes(12) + b"\0\0\0\x20mpvd" + video
    assert "is a motion photo" in refusal(tmp_path / "photo.heic", heic)


def test_animated_images_are_called_so_and_still_ones_are_not(tmp_path: Path) -> None:
    apng = tmp_path / "clip.apng"
    with av.open(str(apng), "w", format="apng") as container:
        stream = container.add_stream("apng", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 64, "rgb24"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(numbered(number), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    message = refusal(tmp_path / "clip.png", apng.read_bytes())
    assert "is an animated PNG image" in message
    assert "ffmpeg -i clip.png clip.mp4" in message
    still = cv2.imencode(".png", numbered(1))[1].tobytes()
    assert "is an image, not a video" in refusal(tmp_path / "still.png", still)
    for flags, words in ((2, "is an animated WebP image"), (0, "is an image, not a video")):
        head = b"RIFF" + (100).to_bytes(4, "little") + b"WEBPVP8X" + (10).to_bytes(4, "little")
        assert words in refusal(tmp_path / "clip.webp", head + bytes((flags,)) + bytes(40))
