"use strict";
// Whatever the server tells gets into the page as text, never as HTML.
const at = (id) => document.getElementById(id);
const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
let call = null; // as the server tells it
let recorder = null; // while a recording runs

const challenge = () => call?.asked.filter((asked) => !asked.answer).pop();

async function send(method, path, body) {
  at("said").replaceChildren();
  const headers = { "Content-Type": "application/octet-stream" };
  try {
    const answer = await fetch(path, body ? { method, body, headers } : { method });
    const told = await answer.json();
    if (answer.ok) call = told;
    else at("said").append(make("p", typeof told.detail === "string" ? told.detail : "refused"));
  } catch { at("said").append(make("p", "the server cannot be reached")); }
  show();
}

function row({ challenge, answer }) {
  const line = document.createElement("tr");
  const done = answer.complied === null ? "" : answer.complied ? "yes" : "no";
  const score = answer.score === null ? "not judged" : answer.score.toFixed(2);
  line.append(...[challenge, done, score, answer.increment.toFixed(2)].map((text) => make("td", text)));
  return line;
}

function show() {
  const open = challenge();
  const last = call?.asked.at(-1);
  const waits = open !== undefined && open === last;
  at("words").textContent = waits ? open.words : "";
  at("ask").disabled = call === null || call.standing !== "undecided";
  at("record").disabled = at("file").disabled = !waits;
  at("genuine").disabled = at("forged").disabled = call === null;
  at("record").textContent = recorder ? "Stop and send" : "Record";
  if (call === null) return;
  at("answers").replaceChildren(...call.asked.filter((asked) => asked.answer).map(row));
  const tag = call.tagged ? "likely forged" : "not tagged";
  const human = call.human ? `; you decided: ${call.human}${call.disagreed ? ", against the tag" : ""}` : "";
  at("sum").textContent = `sum ${call.evidence.toFixed(2)}: ${call.standing}, ${tag}${human}`;
}

const answer = (sound) => send("POST", `/v1/calls/${call.id}/answers/${call.asked.at(-1).nonce}`, sound);

async function record() {
  if (recorder) { recorder.stop(); return; }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const pieces = [];
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = () => {
      for (const track of stream.getTracks()) track.stop();
      recorder = null;
      answer(new Blob(pieces));
    };
    recorder.start();
  } catch { at("said").replaceChildren(make("p", "no microphone: choose a recording instead")); }
  show();
}

at("begin").onclick = () => send("POST", "/v1/calls");
at("ask").onclick = () => send("POST", `/v1/calls/${call.id}/challenges`);
at("record").onclick = record;
at("file").onchange = async () => {
  const [file] = at("file").files;
  if (file) await answer(file);
  at("file").value = "";
};
for (const human of ["genuine", "forged"]) {
  at(human).onclick = () => send("POST", `/v1/calls/${call.id}/decision?human=${human}`);
}
