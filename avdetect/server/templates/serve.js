"use strict";
// Whatever came with a clip gets into the page as text, never as HTML.
const make = (tag, text, values = {}) => Object.assign(document.createElement(tag), { textContent: text, ...values });
const cell = (text) => make("td", text, { role: "cell" }); // which a phone shows as a block
const uploads = document.getElementById("uploads");
const drop = document.getElementById("drop");
const input = document.getElementById("files");

function say(words) {
  const line = make("p", words, { className: "warning" });
  uploads.append(line);
  return line;
}

// XMLHttpRequest, since fetch does not tell how much has been sent.
function send(file) {
  return new Promise((resolve) => {
    const line = make("p", `${file.name} `);
    const bar = make("progress", "", { max: 1, value: 0 });
    line.append(bar);
    uploads.append(line);
    const request = new XMLHttpRequest();
    request.upload.onprogress = (event) => { bar.value = event.loaded / event.total; };
    request.onloadend = () => {
      line.remove();
      if (request.status !== 202) {
        let cause = "the server cannot be reached, or refused it";
        try { cause = JSON.parse(request.responseText).detail; } catch { /* no answer */ }
        say(`${file.name}: ${typeof cause === "string" ? cause : "refused"}`);
      }
      resolve();
    };
    request.open("POST", `/v1/jobs?name=${encodeURIComponent(file.name.slice(0, 1000))}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.send(file);
  });
}

async function sendAll(files) {
  const limit = Number(drop.dataset.megabytes);
  for (const file of [...files]) {
    if (file.size > limit * 2 ** 20) { say(`${file.name}: a clip may have ${limit} MiB here`); continue; }
    await send(file);
    await show();
  }
}

function row(job) {
  const line = make("tr", "", { role: "row" });
  const state = cell(job.state);
  if (job.state === "judging") state.append(" ", make("progress", "", { max: 1, value: job.progress }));
  const result = cell(job.error ?? "");
  if (job.state === "done") {
    const words = job.score === null ? job.verdict : `${job.verdict}, score ${job.score.toFixed(2)}`;
    result.append(make("a", words, { href: `/v1/jobs/${job.id}/page`, className: `verdict ${job.verdict}` }));
    result.append(" ", make("a", "JSON", { href: `/v1/jobs/${job.id}/result` }));
    if (job.warning) result.append(make("small", `! ${job.warning}`));
  }
  const remove = make("button", "Delete", { type: "button", className: "jump" });
  remove.setAttribute("aria-label", `Delete ${job.name}`);
  remove.onclick = async () => { await fetch(`/v1/jobs/${job.id}`, { method: "DELETE" }); await show(); };
  const last = cell("");
  last.append(remove);
  const clip = make("td", "", { role: "cell", className: "clip" });
  if (job.thumbnail) clip.append(make("img", "", { src: `/v1/jobs/${job.id}/thumbnail`, alt: "" }));
  clip.append(make("span", job.name));
  line.append(clip, cell(new Date(job.received).toLocaleString()), state, result, last);
  return line;
}

let shown = "";
async function show() {
  try {
    const text = await (await fetch("/v1/jobs")).text();
    if (text === shown) return; // a row that is in use keeps its focus
    document.getElementById("jobs").replaceChildren(...JSON.parse(text).map(row));
    shown = text;
  } catch { /* the server is away; the next turn asks again */ }
}

input.onchange = async () => { await sendAll(input.files); input.value = ""; };
drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
drop.ondragleave = () => drop.classList.remove("over");
drop.ondrop = (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  sendAll(event.dataTransfer.files);
};
show();
setInterval(show, 1000);
