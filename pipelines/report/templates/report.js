"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const video = document.getElementById("video");
const canvas = document.getElementById("boxes");
const position = document.getElementById("position");
const now = document.getElementById("now");
const lanes = document.getElementById("lanes");
const showBoxes = document.getElementById("show-boxes");
let stopAt = null; // seconds at which a segment that is being played ends

function clock(seconds) {
  const hundredths = Math.round(100 * seconds), minutes = Math.floor(hundredths / 6000);
  const tail = ((hundredths % 6000) / 100).toFixed(2).padStart(5, "0");
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

function show(time) {
  lanes.style.setProperty("--at", Math.min(time / data.duration, 1));
  position.value = time;
  position.setAttribute("aria-valuetext", clock(time));
  now.textContent = clock(time);
  drawBoxes(time);
}

function seek(time, end = null) {
  stopAt = end;
  video.currentTime = time;
  show(time);
  if (end !== null && video.readyState) video.play().catch(() => {});
}

// The square of a face at a time: [x, y, side, roll] in parts of the picture's width.
function squareAt(face, time) {
  const at = (time * 25 - face.first) / face.stride;
  if (time * 25 < face.first || time * 25 >= face.first + face.steps) return null;
  const a = face.squares[Math.min(Math.floor(at), face.squares.length - 1)];
  const b = face.squares[Math.min(Math.floor(at) + 1, face.squares.length - 1)];
  return a.map((v, i) => v + (b[i] - v) * (at - Math.floor(at)));
}

function drawBoxes(time) {
  const ratio = window.devicePixelRatio || 1, style = getComputedStyle(document.documentElement);
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  if (!showBoxes.checked) return;
  const pen = canvas.getContext("2d"), width = canvas.width;
  pen.lineWidth = 2 * ratio;
  pen.font = `${13 * ratio}px system-ui, sans-serif`;
  for (const face of data.boxes) {
    const square = squareAt(face, time);
    if (!square) continue;
    const [x, y, side, roll] = [square[0] * width, square[1] * width, square[2] * width, square[3]];
    const words = `face ${face.track}: ${face.score.toFixed(2)}`;
    pen.save();
    pen.translate(x, y);
    pen.rotate(roll);
    pen.strokeStyle = "#000";
    pen.strokeRect(-side / 2 - ratio, -side / 2 - ratio, side + 2 * ratio, side + 2 * ratio);
    pen.strokeStyle = "#fff";
    pen.strokeRect(-side / 2, -side / 2, side, side);
    pen.restore();
    const left = Math.max(x - side / 2, 0), top = Math.max(y - side / 2 - 18 * ratio, 0);
    pen.fillStyle = "#000";
    pen.fillRect(left, top, pen.measureText(words).width + 8 * ratio, 18 * ratio);
    pen.fillStyle = "#fff";
    pen.fillText(words, left + 4 * ratio, top + 13 * ratio);
  }
}

function follow() {
  if (stopAt !== null && video.currentTime >= stopAt) {
    stopAt = null;
    video.pause();
  }
  show(video.currentTime);
  if (!video.paused) requestAnimationFrame(follow);
}

for (const event of ["play", "timeupdate", "seeked", "loadeddata"]) video.addEventListener(event, follow);
window.addEventListener("resize", () => show(video.currentTime));
showBoxes.addEventListener("change", () => show(video.currentTime));
position.addEventListener("input", () => seek(Number(position.value)));
for (const button of document.querySelectorAll("button[data-start]"))
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    seek(Number(button.dataset.start), Number(button.dataset.end));
  });
for (const lane of document.querySelectorAll(".lane"))
  lane.addEventListener("click", (event) => {
    const box = lane.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * data.duration);
  });
document.getElementById("original").addEventListener("change", (event) => {
  const file = event.target.files[0];
  if (file) video.src = URL.createObjectURL(file);
});
// Paper has no player: its buttons go, and what is folded is opened.
for (const [event, paper] of [["beforeprint", true], ["afterprint", false]])
  window.addEventListener(event, () => {
    video.controls = !paper;
    for (const folded of document.querySelectorAll("details")) folded.open = paper;
  });
const json = new Blob([JSON.stringify({ ...data.result, evidence: data.evidence }, null, 1)], { type: "application/json" });
document.getElementById("download").href = URL.createObjectURL(json);
show(0);
