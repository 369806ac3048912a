// Sends photos, videos or camera pictures to this server and shows the answers.
"use strict";

const get = (id) => document.getElementById(id);
const TITLES = {
  queue_full: "The queue is full",
  too_large: "The file is too large",
  too_many_pixels: "The picture is too large",
  too_long: "The video is too long",
  unreadable: "Not a photo or video",
  timeout: "It took too long",
};
let stream = null, sending = null, neutral = null, last = [];

function status(text, share) {
  get("status").hidden = text === null;
  if (text === null) return;
  get("status").querySelector("p").textContent = text;
  get("bar").classList.toggle("unknown", share === undefined);
  get("bar").firstElementChild.style.width = share === undefined ? "" : `${100 * share}%`;
}

// What a screen reader tells: how it goes on and the heads of the answers, not every row.
function say(text) {
  get("said").textContent = text;
}

function problem(title, message) {
  const box = document.createElement("div");
  box.className = "notice error";
  box.setAttribute("role", "alert");
  box.append(Object.assign(document.createElement("h2"), { textContent: title }));
  box.append(Object.assign(document.createElement("p"), { textContent: message }));
  return box;
}

function refusal(name, error) {
  return problem(TITLES[error.code] || "That did not work", `${name}: ${error.message}.`);
}

// The files one after the other; what was shown before makes room for their answers.
async function send(files) {
  if (sending) sending.abort();
  const mine = (sending = new AbortController());
  last = [...files];
  for (const video of document.querySelectorAll("#results video")) URL.revokeObjectURL(video.src);
  get("results").replaceChildren();
  for (const [k, file] of [...files].entries()) {
    const shown = await answer(file, files.length > 1 ? `${file.name} (${k + 1} of ${files.length}): ` : "", mine.signal);
    if (sending !== mine || mine.signal.aborted) break;
    if (k === files.length - 1) status(null); // before scrolling: what stands above must have its place by then
    get("results").append(shown);
    if (shown.querySelector("[data-track]")) attachPlayer(shown.querySelector("[data-track]"), file);
    if (!shown.matches("[role=alert]")) say(`${file.name}: ${shown.querySelector("h2").textContent}`);
    get("page").classList.add("after");
    if (k === 0) shown.scrollIntoView({ behavior: "smooth", block: "start" });
  }
  if (sending === mine) { sending = null; status(null); }
}

// The element that shows the answer to one file.
async function answer(file, which, signal) {
  const most = Number(get("page").dataset.mostBytes);
  if (file.size + (neutral ? neutral.size : 0) > most) {
    const megabytes = (size) => `${(size / 1e6).toFixed(1)} MB`;
    return refusal(file.name, { code: "too_large", message: `it has ${megabytes(file.size)}, and this server takes ${megabytes(most)}; send a smaller photo or a shorter video` });
  }
  status(`${which}Sending ...`);
  say(`Looking at ${file.name}`);
  const form = new FormData();
  form.append("file", file, file.name);
  if (neutral) form.append("neutral", neutral, neutral.name);
  try {
    const response = await fetch(`/page/detect?smaller=${get("smaller")?.checked ?? false}`, { method: "POST", body: form, signal });
    const last = response.ok ? await follow(response.body.getReader(), which) : await response.json();
    if (last.error) return refusal(file.name, last.error);
    const parsed = new DOMParser().parseFromString(last.html, "text/html");
    return document.adoptNode(parsed.body.firstElementChild);
  } catch (error) {
    return problem("No answer", `${file.name}: the connection to the server broke. Is it still running?`);
  }
}

// Reads lines of JSON as they come, shows how the work goes on, and returns the last.
async function follow(reader, which) {
  const decoder = new TextDecoder();
  let waiting = "", last = null;
  for (;;) {
    const { done, value } = await reader.read();
    waiting += decoder.decode(value || new Uint8Array(), { stream: !done });
    const lines = waiting.split("\n");
    waiting = lines.pop();
    for (const line of lines) {
      last = JSON.parse(line);
      if (last.begun === false) status(`${which}Waiting for others ...`);
      else if (last.frames > 1) status(`${which}Frame ${Math.min(last.done, last.frames)} of ${last.frames}`, Math.min(1, last.done / last.frames));
      else if (last.begun) status(`${which}Looking for faces ...`);
    }
    if (done) return last;
  }
}

// Plays a video out of the file that the browser has, and moves a cursor over all strips.
function attachPlayer(film, file) {
  const track = JSON.parse(film.dataset.track), video = film.querySelector("video");
  const slider = film.querySelector("input"), button = film.querySelector(".play"), rows = [...film.querySelectorAll(".now")];
  let start = null; // what the browser calls the time of the first frame

  function show(frame) {
    const time = track.times[frame], faces = new Map(track.frames[frame].map((face) => [face[0], face]));
    slider.value = frame;
    slider.setAttribute("aria-valuetext", `${time.toFixed(2)} s`);
    film.querySelector(".time").textContent = `${time.toFixed(2)} s`;
    film.style.setProperty("--at", time / (track.times.at(-1) || 1));
    rows.forEach((row, au) => track.people.forEach((person, k) => {
      row.children[k].textContent = faces.has(person) ? faces.get(person)[5 + au].toFixed(2) : "–";
    }));
    film.querySelector(".boxes").replaceChildren(...[...faces.values()].map((face) => {
      const box = Object.assign(document.createElement("div"), { className: "box" });
      box.style.setProperty("--c", track.colours[(face[0] - 1) % track.colours.length]);
      track.edges.forEach((edge, k) => { box.style[edge] = `${face[1 + k]}%`; });
      box.append(Object.assign(document.createElement("span"), { textContent: face[0] }));
      return box;
    }));
  }

  function seek(frame) {
    show(frame);
    const next = track.times[Math.min(frame + 1, track.times.length - 1)];
    if (start !== null) video.currentTime = start + (track.times[frame] + next) / 2;
  }

  function follow(_, { mediaTime }) {
    if (start === null) start = mediaTime;
    if (!video.seeking) show(Math.max(0, track.times.findLastIndex((time) => time <= mediaTime - start + 0.002)));
    video.requestVideoFrameCallback(follow);
  }

  function point(event) {
    const plot = event.target.closest(".plot");
    if (!plot || !(event.buttons & 1)) return;
    const { left, width } = plot.getBoundingClientRect();
    const time = ((event.clientX - left) / width) * track.times.at(-1);
    seek(Math.max(0, track.times.findLastIndex((one) => one <= time)));
  }

  video.addEventListener("loadeddata", () => {
    const plays = video.videoWidth > 0;
    film.querySelector(".player").hidden = button.hidden = !plays;
    film.querySelector(".strip").hidden = plays;
    film.querySelector(".cannot").hidden = plays;
    if (!plays) return;
    video.requestVideoFrameCallback(follow);
    video.currentTime = 0; // Firefox calls back for a frame only after it was sought or played
  });
  video.addEventListener("error", () => { film.querySelector(".cannot").hidden = false; });
  for (const one of [button, video]) one.addEventListener("click", () => (video.paused ? video.play() : video.pause()));
  for (const name of ["play", "pause"])
    video.addEventListener(name, () => { button.textContent = video.paused ? "Play" : "Pause"; });
  slider.addEventListener("input", () => seek(Number(slider.value)));
  film.addEventListener("pointerdown", point);
  film.addEventListener("pointermove", point);
  video.src = URL.createObjectURL(file);
  show(0);
}

// What a resting face shows is taken off from now on; null for nothing.
function setNeutral(file) {
  neutral = file;
  document.querySelector("label[for=neutral]").textContent = file ? `Neutral photo: ${file.name}` : "Compare with a neutral photo";
  get("forget").hidden = !file;
  again();
}

// What was shown last, looked at anew as is asked for now.
function again() {
  if (last.length) send(last);
}

function stop() {
  if (sending) sending.abort();
}

async function openCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
  } catch (error) {
    const message = window.isSecureContext ? "Allow the camera in the browser, and check that one is there." : "Browsers open cameras only at 127.0.0.1 or over https.";
    get("results").replaceChildren(problem("The camera cannot be opened", message));
    return;
  }
  get("video").srcObject = stream;
  showCamera(true);
}

function closeCamera() {
  stream.getTracks().forEach((track) => track.stop());
  showCamera(false);
}

function showCamera(on) {
  get("live").hidden = !on;
  get("drop").hidden = get("camera").hidden = on;
}

function shoot() {
  const canvas = document.createElement("canvas");
  canvas.width = get("video").videoWidth;
  canvas.height = get("video").videoHeight;
  if (!canvas.width) return;
  canvas.getContext("2d").drawImage(get("video"), 0, 0);
  canvas.toBlob((blob) => send([new File([blob], "camera.png")]), "image/png");
}

function film() {
  const kind = ["video/webm", "video/mp4"].find((one) => MediaRecorder.isTypeSupported(one));
  const recorder = new MediaRecorder(stream, kind ? { mimeType: kind } : {}), parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => send([new File(parts, `camera.${recorder.mimeType.includes("mp4") ? "mp4" : "webm"}`)]);
  recorder.start();
  status("Filming ...");
  setTimeout(() => recorder.state !== "inactive" && recorder.stop(), 5000);
}

get("file").addEventListener("change", (event) => {
  const files = [...event.target.files];
  event.target.value = "";
  if (files.length) send(files);
});
get("neutral").addEventListener("change", (event) => {
  if (event.target.files.length) setNeutral(event.target.files[0]);
  event.target.value = "";
});
get("smaller")?.addEventListener("change", again);
const BUTTONS = { camera: openCamera, close: closeCamera, shot: shoot, record: film, stop, forget: () => setNeutral(null) };
for (const [id, action] of Object.entries(BUTTONS)) get(id).addEventListener("click", action);
for (const name of ["dragover", "dragenter", "dragleave", "drop"])
  document.addEventListener(name, (event) => {
    event.preventDefault();
    get("drop").classList.toggle("over", name === "dragover" || name === "dragenter");
    if (name === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files);
  });
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) send(event.clipboardData.files);
});
