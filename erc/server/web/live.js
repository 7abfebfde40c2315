// The page's microphone, while it records: sound → /v1/live → the panel of live.py.
// Whatever the page's recorder hears goes to the socket as well, as 16-bit PCM of the browser's own
// rate, which the server resamples. The recording itself is made as without this file.
(() => {
  const MOST = 10;  // s of sound that wait here for a server that hears slower than somebody speaks
  const PIECE = 0.1;  // s of sound in a message
  const HEAR = `registerProcessor("erc-hear", class extends AudioWorkletProcessor {
    process([input]) { if (input.length) this.port.postMessage(input[0].slice()); return true; } })`;

  // Raters heard the voice as it was: without the browser's own levels and filters.
  const devices = navigator.mediaDevices, open = devices?.getUserMedia.bind(devices);
  if (devices) devices.getUserMedia = wanted => open(wanted?.audio ? { ...wanted, audio: {
    ...(wanted.audio === true ? {} : wanted.audio),
    autoGainControl: false, echoCancellation: false, noiseSuppression: false } } : wanted);

  const start = globalThis.MediaRecorder?.prototype.start;
  let now = null;  // the stream that the panel shows
  if (start) MediaRecorder.prototype.start = function (...options) {
    const panel = document.getElementById("erc-live");
    const socket = panel?.dataset.socket;
    if (socket && !now?.recording) now = live(this, panel, new URL(socket, location.href));
    return start.apply(this, options);
  };

  function live(recorder, panel, url) {
    const one = { recording: true }, shown = screen(panel, () => now === one);
    const waiting = [];  // until the server is ready
    let ready = false, over = false, context = null, block = null, filled = 0;
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);

    const send = () => {
      const pcm = block.slice(0, filled);
      filled = 0;
      if (!ready) waiting.push(pcm);
      else if (socket.readyState === 1) socket.send(pcm);
      if (socket.bufferedAmount / 2 + waiting.length * block.length > MOST * context.sampleRate)
        fail("The server hears slower than you speak");
    };
    const end = () => { if (ready && over && socket.readyState === 1) socket.send("end"); };
    const stop = () => {
      if (over) return;
      over = true;
      one.recording = false;
      shown.stopped();
      if (filled) send();
      context?.close();
      end();
    };
    const fail = why => {
      if (one.failed) return;
      one.failed = true;
      shown.failed(why);
      stop();
      socket.close();
    };

    socket.onmessage = ({ data }) => {
      const said = JSON.parse(data);
      if (said.error) return fail(said.error.message);
      if (said.type === "ready") {
        ready = true;
        for (const pcm of waiting.splice(0)) socket.send(pcm);
        end();
      } else if (said.type === "end") {
        one.over = true;
        shown.end(said);
      } else shown.turn(said.turn, said.type === "partial");
    };
    socket.onclose = () => { if (!one.over) fail("The server does not take this stream"); };
    recorder.addEventListener("stop", stop, { once: true });
    hear().catch(error => fail(`This browser gives no sound to listen to (${error.message})`));

    async function hear() {
      context = new AudioContext();
      block = new Int16Array(Math.round(PIECE * context.sampleRate));
      const code = URL.createObjectURL(new Blob([HEAR], { type: "text/javascript" }));
      await context.audioWorklet.addModule(code);
      URL.revokeObjectURL(code);
      await context.resume();
      const options = { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" };
      const node = new AudioWorkletNode(context, "erc-hear", options);
      node.port.onmessage = ({ data }) => {
        if (over || recorder.state !== "recording") return;  // a pause is in no recording either
        for (const x of data) {
          block[filled++] = Math.max(-32768, Math.min(32767, Math.round(32768 * x)));
          if (filled === block.length) send();
        }
      };
      if (over) return;
      context.createMediaStreamSource(recorder.stream).connect(node);
      const settings = JSON.stringify({ rate: context.sampleRate });
      if (socket.readyState === 1) socket.send(settings);
      else socket.addEventListener("open", () => socket.send(settings), { once: true });
    }
    return one;
  }

  function screen(panel, current) {
    const says = JSON.parse(panel.dataset.says), find = what => panel.querySelector(what);
    const [title, text, table, note] = ["h2", ".headline p", ".turns tbody", ".note"].map(find);
    const percent = p => `${Math.round(100 * p)}\u00a0%`;
    const clock = t => `${Math.floor(t / 60)}:${(t % 60).toFixed(1).padStart(4, "0")}`;
    const level = (turn, name) => turn[name] == null ? "–"
      : turn[name].toFixed(says.digits[name]).replace("-", "−");
    const levels = turn => Object.keys(says.digits).map(name => `${name} ${level(turn, name)}`);
    const head = (words, below, hue = "var(--line)") => {
      title.textContent = words;
      text.textContent = below;
      find(".headline").style.setProperty("--hue", hue);
    };
    table.replaceChildren();
    head("Listening …", "Speak; the answer changes while you do.");
    note.textContent = "";
    bars("Now", {});
    panel.hidden = false;
    panel.dataset.on = "";
    return { turn, end, failed, stopped };

    function bars(caption, shares) {
      if (find("caption")) find("caption").textContent = caption;
      for (const row of panel.querySelectorAll("[data-emotion]")) {
        const share = shares[row.dataset.emotion] ?? 0;
        row.querySelector(".track i").style.width = `${100 * share}%`;
        row.querySelector(".number").textContent = share ? percent(share) : "";
      }
    }

    function turn(one, partial) {
      if (!current()) return;
      const sure = one.label ? [`${percent(one.confidence)} ${says.of}`] : [];
      head(one.label ?? one.reason ?? one.error ?? "no answer", [...sure, levels(one).join(", ")].join("; "),
        says.colours[one.label]);
      bars("Now", one.probabilities ?? {});
      if (partial) return;
      const row = table.insertRow(), time = document.createElement("th");
      time.scope = "row";
      time.textContent = `${clock(one.start)}–${clock(one.end)}`;
      row.append(time);
      const emotion = one.label ? `${one.label} ${percent(one.confidence)}${one.abstain ? " unsure" : ""}`
        : one.reason ?? one.error;
      const cells = Object.keys(says.colours).length ? [emotion] : [];
      for (const cell of [...cells, ...Object.keys(says.digits).map(name => level(one, name))])
        row.insertCell().textContent = cell;
      const box = find(".scroll");
      box.scrollTop = box.scrollHeight;
    }

    function end({ turns, shares }) {
      if (!current()) return;
      const most = Object.entries(shares).sort((a, b) => b[1] - a[1]).slice(0, 3);
      head(`${turns} turn${turns === 1 ? "" : "s"}`, turns ? most.map(([e, p]) => `${e} ${percent(p)}`)
        .join(", ") + " of the time spoken." : "No speech was heard.", says.colours[most[0]?.[0]]);
      bars("Share of the time spoken", turns ? shares : {});
      note.textContent = "Recognise emotion answers for the recording as a whole, and says why.";
    }

    function stopped() {
      if (current()) delete panel.dataset.on;
    }

    function failed(why) {
      if (current()) note.textContent = `${why.replace(/[.]$/, "")}. What is recorded is not affected.`;
    }
  }

  // Gradio turns away what a browser does not call audio, in words of its own. Whatever is chosen or
  // dropped is handed on as audio, so that the server reads it or says in ours why it does not.
  const handed = file => {
    if (file.type.startsWith("audio/")) return file;
    const kind = file.name.includes(".") ? file.name.split(".").pop().toLowerCase() : "unknown";
    return new File([file], file.name, { type: `audio/${kind}` });
  };
  const give = (input, files) => {
    const given = new DataTransfer();
    for (const file of [...files].slice(0, 1)) given.items.add(handed(file));
    input.files = given.files;
  };
  document.addEventListener("change", event => {
    if (event.target.matches?.("#erc-audio input[type=file]")) give(event.target, event.target.files);
  }, true);
  document.addEventListener("click", event => {  // the chooser shows every file
    if (event.target.matches?.("#erc-audio input[type=file]")) event.target.accept = "";
  }, true);
  document.addEventListener("drop", event => {
    const input = event.target.closest?.("#erc-audio")?.querySelector("input[type=file]");
    if (!input || !event.dataTransfer?.files.length) return;
    event.preventDefault();
    event.stopPropagation();
    give(input, event.dataTransfer.files);
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, true);
})();
