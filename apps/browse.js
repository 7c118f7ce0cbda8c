// The player of a track: waveform with sections and beats, spectrogram with the pitch contour, and
// lyrics, all of which follow the playback. Gradio puts an element with the track's id into the
// page; everything else happens here, in the browser of whoever looks.
"use strict";

const SECTION_COLOURS = {
  intro: "#8fa8b8", verse: "#3f7fa6", chorus: "#d0693f", bridge: "#8a6bb0",
  solo: "#c9a227", inst: "#5a9c82", outro: "#6d7680",
};
const OTHER_COLOUR = "#9aa2a7", WAVE_COLOUR = "#3f7fa6";
const WAVE_HEIGHT = 110, STRIP_HEIGHT = 20, PITCH_HEIGHT = 190;
const NARROWEST_BEAT_PIXELS = 5;

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

async function asked(address) {
  const answer = await fetch(address);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.message);
  return content;
}

// From black over violet and orange to yellow: lightness rises evenly with the level.
function colourOf(level) {
  const x = level / 255;
  return [
    255 * Math.min(1, 1.7 * x),
    255 * Math.min(1, Math.max(0, 1.9 * x - 0.75)),
    255 * (x < 0.45 ? 0.06 + 1.05 * x : Math.max(0.18, 0.53 - 0.6 * (x - 0.45))),
  ];
}

class Player {
  constructor(root) {
    this.root = root;
    this.id = encodeURIComponent(root.dataset.track);
    this.zoom = 1;
    this.part = "mix";
    this.picture = null;
    this.start().catch((error) => this.say(error.message));
  }

  async start() {
    this.labels = await asked(`track/${this.id}`);
    this.seconds = this.labels.duration || 0;
    this.build();
    for (const said of this.labels.silent) this.say(said);
    this.draw();
    new ResizeObserver(() => this.draw()).observe(this.scroll);
    if (this.labels.parts.length) await this.choose(this.labels.parts[0]);
    const follow = () => {
      if (!this.root.isConnected) { this.audio.pause(); return; }
      this.follow();
      requestAnimationFrame(follow);
    };
    follow();
  }

  say(text) {
    this.root.append(element("p", { class: "player-note", role: "status" }, text));
  }

  build() {
    this.audio = element("audio", { controls: "", preload: "metadata" });
    this.audio.addEventListener("error", () => this.say("This browser cannot play the file."));
    this.audio.addEventListener("loadedmetadata", () => {
      if (!this.seconds) { this.seconds = this.audio.duration; this.draw(); }
    });
    this.switches = element("div", { class: "player-parts", role: "group", "aria-label": "What is heard" });
    if (this.labels.parts.length > 1) {
      for (const part of this.labels.parts) {
        const button = element("button", { type: "button", "data-part": part }, part === "mix" ? "Mix" : "Vocals");
        button.addEventListener("click", () => this.choose(part));
        this.switches.append(button);
      }
    }
    const zoom = element("select", { "aria-label": "Zoom" });
    for (const times of [1, 2, 4, 8]) zoom.append(element("option", { value: times }, `${times}×`));
    zoom.addEventListener("change", () => { this.zoom = Number(zoom.value); this.draw(); this.reveal(); });
    this.wave = element("canvas", { class: "player-wave", role: "img", "aria-label": "Waveform, sections and beats" });
    this.pitch = element("canvas", { class: "player-pitch", role: "img", "aria-label": "Spectrogram and pitch of the voice" });
    this.cursor = element("div", { class: "player-cursor" });
    this.inner = element("div", { class: "player-inner" }, this.wave, this.pitch, this.cursor);
    this.inner.addEventListener("click", (event) => {
      const box = this.inner.getBoundingClientRect();
      this.seek(((event.clientX - box.left) / box.width) * this.seconds);
    });
    this.scroll = element("div", { class: "player-scroll" }, this.inner);
    this.lines = element("ol", { class: "player-lines", "aria-label": "Lyrics" });
    const lines = this.labels.lines.length
      ? this.labels.lines
      : (this.labels.lyrics || "").split("\n").filter(Boolean).map((text) => [null, null, text]);
    for (const [start, , text] of lines) {
      const line = element("li", {}, text);
      if (start !== null) {
        line.dataset.start = start;
        line.addEventListener("click", () => this.seek(start));
      }
      this.lines.append(line);
    }
    const bar = element("div", { class: "player-bar" }, this.audio, this.switches, zoom);
    this.root.replaceChildren(bar, this.scroll, ...(lines.length ? [this.lines] : []));
    if (!this.labels.parts.length) this.audio.hidden = true;
  }

  async choose(part) {
    const at = this.audio.currentTime || this.labels.start || 0;
    const playing = !this.audio.paused;
    this.part = part;
    for (const button of this.switches.children) button.setAttribute("aria-pressed", button.dataset.part === part);
    this.audio.src = `audio/${this.id}/${part}`;
    this.audio.addEventListener("loadedmetadata", () => {
      this.audio.currentTime = at;
      if (playing) this.audio.play();
    }, { once: true });
    try {
      const picture = await asked(`picture/${this.id}/${part}`);
      if (this.part !== part) return;
      this.picture = picture;
      this.seconds = this.seconds || picture.seconds;
      this.image = this.painted(picture);
      this.draw();
      this.root.dataset.drawn = part;
    } catch (error) {
      this.say(error.message);
    }
  }

  seek(seconds) {
    if (this.labels.parts.length) this.audio.currentTime = seconds;
  }

  painted(picture) {
    const levels = Uint8Array.from(atob(picture.levels), (each) => each.charCodeAt(0));
    const columns = levels.length / picture.bins;
    const image = element("canvas", { width: columns, height: picture.bins });
    const context = image.getContext("2d");
    const pixels = context.createImageData(columns, picture.bins);
    const palette = Array.from({ length: 256 }, (_, level) => colourOf(level));
    for (let bin = 0; bin < picture.bins; bin++) {
      for (let column = 0; column < columns; column++) {
        const at = 4 * ((picture.bins - 1 - bin) * columns + column);
        pixels.data.set([...palette[levels[bin * columns + column]], 255], at);
      }
    }
    context.putImageData(pixels, 0, 0);
    return image;
  }

  canvas(canvas, height) {
    const width = Math.max(1, Math.round(this.scroll.clientWidth * this.zoom));
    const scale = Math.min(window.devicePixelRatio || 1, 16000 / width);
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    return [context, width];
  }

  draw() {
    if (!this.seconds) return;
    this.inner.style.width = `${100 * this.zoom}%`;
    this.drawWave();
    this.drawPitch();
  }

  drawWave() {
    const [context, width] = this.canvas(this.wave, WAVE_HEIGHT + STRIP_HEIGHT);
    const ink = getComputedStyle(this.root).color;
    const x = (seconds) => (seconds / this.seconds) * width;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const [start, end, label] of this.labels.sections) {
      const colour = SECTION_COLOURS[label] || OTHER_COLOUR;
      context.fillStyle = colour;
      context.fillRect(x(start), 0, x(end) - x(start) - 1, STRIP_HEIGHT);
      context.globalAlpha = 0.13;
      context.fillRect(x(start), STRIP_HEIGHT, x(end) - x(start) - 1, WAVE_HEIGHT);
      context.globalAlpha = 1;
      if (context.measureText(label).width + 8 < x(end) - x(start)) {
        context.fillStyle = "#fff";
        context.fillText(label, x(start) + 4, STRIP_HEIGHT / 2 + 0.5);
      }
    }
    const middle = STRIP_HEIGHT + WAVE_HEIGHT / 2;
    if (this.picture) {
      const { lows, highs, seconds } = this.picture;
      const step = x(seconds) / highs.length;
      context.fillStyle = WAVE_COLOUR;
      for (let column = 0; column < highs.length; column++) {
        const top = middle - (highs[column] / 127) * (WAVE_HEIGHT / 2 - 4);
        const bottom = middle - (lows[column] / 127) * (WAVE_HEIGHT / 2 - 4);
        context.fillRect(column * step, top, Math.max(step, 0.8), Math.max(bottom - top, 1));
      }
    }
    const bars = new Set(this.labels.downbeats);
    const marks = this.spaced(this.labels.beats, width)
      ? this.labels.beats
      : this.spaced(this.labels.downbeats, width) ? this.labels.downbeats : [];
    context.fillStyle = ink;
    for (const beat of marks) {
      const height = bars.has(beat) ? 14 : 7;
      context.fillRect(x(beat) - 0.5, STRIP_HEIGHT + WAVE_HEIGHT - height, bars.has(beat) ? 1.6 : 1, height);
    }
  }

  spaced(times, width) {
    return times.length > 0 && width / times.length >= NARROWEST_BEAT_PIXELS;
  }

  drawPitch() {
    const [context, width] = this.canvas(this.pitch, PITCH_HEIGHT);
    context.fillStyle = "#0f0b14";
    context.fillRect(0, 0, width, PITCH_HEIGHT);
    if (!this.picture) return;
    const { bins, lowest_hz: lowest, bins_per_octave: perOctave, seconds } = this.picture;
    const x = (time) => (time / this.seconds) * width;
    const y = (hz) => PITCH_HEIGHT * (1 - (Math.log2(hz / lowest) * perOctave + 0.5) / bins);
    context.drawImage(this.image, 0, 0, x(seconds), PITCH_HEIGHT);
    // White on a dark edge: to be seen on any colour of the spectrogram.
    for (const [colour, thickness] of [["#0f0b14", 4], ["#8ff5e6", 1.8]]) {
      context.strokeStyle = colour;
      context.lineWidth = thickness;
      context.lineJoin = "round";
      context.beginPath();
      for (const [start, hop, values] of this.labels.pitch) {
        let down = false;
        values.forEach((hz, at) => {
          if (!hz) { down = false; return; }
          if (down) context.lineTo(x(start + at * hop), y(hz));
          else context.moveTo(x(start + at * hop), y(hz));
          down = true;
        });
      }
      context.stroke();
    }
    context.font = "10px system-ui, sans-serif";
    context.lineWidth = 3;
    context.strokeStyle = "#0f0b14";
    context.fillStyle = "#fff";
    for (const hz of [110, 220, 440, 880, 1760, 3520]) {
      context.strokeText(`${hz} Hz`, 4, y(hz) + 3);
      context.fillText(`${hz} Hz`, 4, y(hz) + 3);
    }
  }

  follow() {
    const now = this.audio.currentTime || 0;
    this.cursor.style.left = `${(100 * now) / (this.seconds || 1)}%`;
    this.cursor.title = clock(now);
    if (this.labels.end && now >= this.labels.end) this.audio.pause();
    if (!this.audio.paused) this.reveal();
    let current = null;
    for (const line of this.lines.children) {
      if (line.dataset.start !== undefined && Number(line.dataset.start) <= now) current = line;
    }
    if (current === this.current) return;
    this.current?.removeAttribute("aria-current");
    current?.setAttribute("aria-current", "true");
    this.current = current;
    // In the list alone: the page must not jump about.
    if (current) this.lines.scrollTop = current.offsetTop - this.lines.clientHeight / 2;
  }

  reveal() {
    if (this.zoom === 1) return;
    const at = (this.audio.currentTime / this.seconds) * this.inner.clientWidth;
    const left = this.scroll.scrollLeft, room = this.scroll.clientWidth;
    if (at < left || at > left + 0.9 * room) this.scroll.scrollLeft = at - 0.1 * room;
  }
}

new MutationObserver(() => {
  for (const root of document.querySelectorAll(".player[data-track]:not([data-built])")) {
    root.dataset.built = "";
    new Player(root);
  }
}).observe(document, { childList: true, subtree: true });
