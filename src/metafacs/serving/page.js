// Sends a photo, video or camera picture to this server and shows the answer.
"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  let stream = null, sending = null;

  function status(text, share) {
    const box = get("mf-status");
    box.hidden = text === null;
    if (text === null) return;
    box.querySelector("p").textContent = text;
    get("mf-bar").classList.toggle("mf-unknown", share === undefined);
    get("mf-bar").firstElementChild.style.width = share === undefined ? "" : `${100 * share}%`;
  }

  function show(html) {
    status(null); // before scrolling: what stands above the result must have its place by then
    get("mf-result").innerHTML = html;
    get("mf").classList.add("mf-after");
    get("mf-result").scrollIntoView({ behavior: "smooth", block: "start" });
  }

  function problem(title, said) {
    const box = document.createElement("div");
    box.className = "mf-notice mf-error";
    box.setAttribute("role", "alert");
    box.append(Object.assign(document.createElement("h2"), { textContent: title }));
    box.append(Object.assign(document.createElement("p"), { textContent: said }));
    get("mf-result").replaceChildren(box);
  }

  async function send(file) {
    const most = Number(document.querySelector("[data-most-bytes]").dataset.mostBytes);
    if (file.size > most) {
      const megabytes = (one) => `${(one / 1e6).toFixed(1)} MB`;
      problem("The file is too large", `It has ${megabytes(file.size)}, and this server takes ${megabytes(most)}. Send a smaller photo or a shorter video.`);
      return;
    }
    if (sending) sending.abort();
    const mine = (sending = new AbortController());
    status("Sending ...");
    const form = new FormData();
    form.append("file", file, file.name);
    try {
      const answer = await fetch("/page/detect", { method: "POST", body: form, signal: mine.signal });
      if (!answer.ok || !answer.body) {
        if (answer.status === 401) { location.reload(); return; }
        const told = await answer.json().catch(() => ({}));
        problem("That did not work", told.error ? told.error.message : `The server answered ${answer.status}.`);
        return;
      }
      await follow(answer.body.getReader());
    } catch (error) {
      if (error.name !== "AbortError") problem("No answer", "The connection to the server broke. Is it still running?");
    } finally {
      if (sending === mine) { sending = null; status(null); }
    }
  }

  async function follow(reader) {
    const decoder = new TextDecoder();
    let waiting = "", ended = false;
    for (;;) {
      const { done, value } = await reader.read();
      waiting += decoder.decode(value || new Uint8Array(), { stream: !done });
      const lines = waiting.split("\n");
      waiting = lines.pop();
      for (const line of lines) {
        const told = JSON.parse(line);
        if (told.state === "working") progress(told);
        else { show(told.html); ended = true; }
      }
      if (done) break;
    }
    if (!ended) problem("No answer", "The server ended before it had an answer.");
  }

  function progress(told) {
    if (!told.begun) status("Waiting for others ...");
    else if (told.of > 1) status(`Frame ${Math.min(told.done, told.of)} of ${told.of}`, Math.min(1, told.done / told.of));
    else status("Looking for faces ...");
  }

  async function openCamera() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
    } catch (error) {
      const said = window.isSecureContext ? "Allow the camera in the browser, and check that one is there." : "Browsers open cameras only at 127.0.0.1 or over https.";
      problem("The camera cannot be opened", said);
      return;
    }
    get("mf-video").srcObject = stream;
    get("mf-live").hidden = false;
    get("mf-drop").hidden = true;
    get("mf-camera").hidden = true;
  }

  function closeCamera() {
    if (stream) stream.getTracks().forEach((track) => track.stop());
    stream = null;
    get("mf-live").hidden = true;
    get("mf-drop").hidden = false;
    get("mf-camera").hidden = false;
  }

  function shoot() {
    const video = get("mf-video"), canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    if (!canvas.width) return;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => send(new File([blob], "camera.png")), "image/png");
  }

  function film() {
    const kind = ["video/webm", "video/mp4"].find((one) => MediaRecorder.isTypeSupported(one));
    const recorder = new MediaRecorder(stream, kind ? { mimeType: kind } : {}), parts = [];
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = () => send(new File(parts, `camera.${(recorder.mimeType || "webm").includes("mp4") ? "mp4" : "webm"}`));
    recorder.start();
    status("Filming ...");
    setTimeout(() => recorder.state !== "inactive" && recorder.stop(), 5000);
  }

  // the page's own parts come later than this script: listen where they will be
  document.addEventListener("change", (event) => {
    if (event.target.id !== "mf-file" || !event.target.files.length) return;
    send(event.target.files[0]);
    event.target.value = "";
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const action = { "mf-camera": openCamera, "mf-close": closeCamera, "mf-shot": shoot, "mf-record": film, "mf-stop": () => sending && sending.abort() }[button && button.id];
    if (action) action();
  });
  for (const name of ["dragover", "dragenter", "dragleave", "drop"])
    document.addEventListener(name, (event) => {
      if (!get("mf-drop")) return;
      event.preventDefault();
      event.stopPropagation();
      get("mf-drop").classList.toggle("mf-over", name === "dragover" || name === "dragenter");
      if (name === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
    }, true);
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData ? event.clipboardData.files : [])][0];
    if (file) send(file);
  });
})();
