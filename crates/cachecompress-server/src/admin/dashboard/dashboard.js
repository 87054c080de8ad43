// The dashboard: what the server has counted, over the last hour and as it comes.

import { Actions } from "./dashboard/actions.js";
import { Feed, get } from "./dashboard/feed.js";
import { bytes, bytesPerSecond, clock, count, duration, percent, perSecond, span, whole } from "./dashboard/format.js";
import { History, OF_CACHE } from "./dashboard/history.js";
import { Plot } from "./dashboard/plot.js";
import { Encodes, showBypasses, showCache, showFiles, showServer, showTier } from "./dashboard/tables.js";

const STATES = {
  connecting: "Connecting",
  live: "Live",
  paused: "Paused",
  crowded: "16 others listen already, asking every 15 s",
  disconnected: "Disconnected, trying again",
};
// The time between two looks at encodes under way, in milliseconds.
const ENCODES_INTERVAL = 1000;

const byId = (id) => document.getElementById(id);
const one = (key, name) => [{ key, name }];
const history = new History();
const encodes = new Encodes();
let status = null;
// A state of the connection.
let state = "connecting";
// The time of the browser at which `status` came, in milliseconds.
let statusAt = 0;
let seconds = null;
// The time that is pointed at in a plot.
let cursor = null;

const PLOTS = {
  "plot-saved": { title: "Bytes saved", series: one("saved", "saved"), format: bytesPerSecond, fill: true, least: 1000 },
  "plot-cpu": { title: "CPU spent", note: "share of one core", series: one("cpu", "encoding"), format: percent, fill: true, least: 0.01 },
  "plot-outcomes": {
    title: "Requests by outcome", note: "logarithmic",
    series: OF_CACHE.map((name) => ({ key: name, name })), format: perSecond, log: { floor: 0.1 },
  },
  "plot-requests": { title: "Requests", series: one("requests", "all"), format: perSecond, fill: true },
  "plot-bandwidth": {
    title: "Bandwidth",
    series: [{ key: "sent", name: "sent" }, { key: "source", name: "uncompressed" }],
    format: bytesPerSecond, fill: true, least: 1000,
  },
  "plot-first-byte": {
    title: "First byte", note: "logarithmic",
    series: ["p50", "p95", "p99"].map((name) => ({ key: name, name })), format: duration, log: { least: 0.001 },
  },
  "plot-errors": { title: "Errors", note: "statuses from 400", series: one("error", "errors"), format: perSecond, fill: true },
  "plot-connections": { title: "Connections", series: one("connections", "open"), format: count, fill: true, least: 4 },
  "plot-size": { title: "Cache size", series: one("size", "entries"), format: bytes, fill: true, least: 1000 },
  "plot-evictions": {
    title: "Evictions and damage",
    series: [{ key: "evictions", name: "evicted" }, { key: "damaged", name: "damaged" }], format: perSecond,
  },
  "plot-tier-saved": { title: "CPU saved", note: "share of one core", series: one("tierSaved", "saved"), format: percent, fill: true, least: 0.01 },
  "plot-tier-requests": {
    title: "Requests to the store", note: "logarithmic",
    series: [
      { key: "tierHit", name: "hit" }, { key: "tierMiss", name: "miss" },
      { key: "tierFailed", name: "failed" }, { key: "tierSkipped", name: "skipped" },
    ],
    format: perSecond, log: { floor: 0.1 },
  },
  "plot-tier-answer": { title: "Answer of the store", note: "mean to its first byte", series: one("tierAnswer", "mean"), format: duration, fill: true, least: 0.001 },
  "plot-tier-uploads": {
    title: "Uploads",
    series: [
      { key: "tierStored", name: "stored" }, { key: "tierUnstored", name: "failed" }, { key: "tierDropped", name: "dropped" },
    ],
    format: perSecond,
  },
  "plot-tier-leases": {
    title: "Leases",
    series: [
      { key: "leaseAcquired", name: "acquired" }, { key: "leaseWaited", name: "waited for" },
      { key: "leaseTakenOver", name: "taken over" }, { key: "leaseLost", name: "lost" },
      { key: "leaseAlone", name: "alone" },
    ],
    format: perSecond,
  },
};

const plots = Object.entries(PLOTS).map(([id, options]) => new Plot(byId(id), {
  ...options,
  onCursor(at) {
    cursor = at;
    plots.forEach((plot) => plot.point(at));
  },
}));

// The time of the server, in Unix seconds.
function now() {
  return status.started + status.uptime_seconds + (performance.now() - statusAt) / 1000;
}

function chooseRange() {
  const { points } = history;
  const covered = points.length > 0 ? points.at(-1).at - points[0].at : 0;
  const inputs = [...document.querySelectorAll("[name=range]")];
  const fitting = inputs.find(({ value }) => Number(value) >= covered) ?? inputs.at(-1);
  fitting.checked = true;
  seconds = Number(fitting.value);
}

function showPlots() {
  const points = history.since(seconds);
  const to = history.points.at(-1)?.at ?? now();
  plots.forEach((plot) => plot.show({ points, from: to - seconds, to, cursor }));
  showBypasses(points, history.points.at(-1)?.sample.bypasses ?? status.bypasses);
  showRatio(points);
}

function showRatio(points) {
  const sums = OF_CACHE.map((name) =>
    points.reduce((sum, point) => sum + (point[name] ?? 0) * (point.seconds ?? 0), 0));
  const all = sums.reduce((sum, times) => sum + times, 0);
  byId("ratio").textContent = all > 0 ? percent(sums[0] / all) : "–";
  byId("ratio-gloss").textContent = all > 0
    ? `${whole(sums[0])} of ${whole(all)} requests that wanted a coding, in the time shown.`
    : "No request wanted a coding in the time shown.";
}

function showStatus(fresh) {
  status = fresh;
  statusAt = performance.now();
  const { saved_bytes: saved, source_bytes: source, encode_cpu_seconds: cpu } = status;
  byId("version").textContent = status.version;
  byId("saved").textContent = bytes(saved);
  byId("saved-gloss").textContent = source > 0
    ? `${percent(saved / source)} of ${bytes(source)}, since the start.`
    : "Nothing is sent yet.";
  byId("cpu").textContent = duration(cpu);
  const started = Object.values(status.encodes.by_coding).reduce((sum, coding) => sum + coding.started, 0);
  byId("cpu-gloss").textContent = cpu > 0
    ? `${whole(started)} encodes; ${bytes(saved / cpu)} saved for each second.`
    : "Nothing is encoded yet.";
  showUptime();
  showCache(status);
  showTier(status);
  showServer(status, now());
}

// Nothing is known of the time since the connection broke.
function showUptime() {
  if (status === null) return;
  byId("uptime").textContent = state === "disconnected"
    ? `numbers of ${clock(status.started + status.uptime_seconds)}`
    : `up ${span(now() - status.started)}`;
}

let isRefreshing = false;

// Gets what no sample has.
async function refresh() {
  if (isRefreshing) return;
  isRefreshing = true;
  try {
    const [fresh, files] = await Promise.all([get("/api/v1/status"), get("/api/v1/files")]);
    showStatus(fresh);
    showFiles(files, now());
    await showEncodes();
  } catch {
    // The feed tells of a server that is gone.
  } finally {
    isRefreshing = false;
  }
}

// The timer of the next look at encodes; 0 if there is none.
let encodesTimer = 0;

// Looks at the encodes, again and again while there are some.
async function showEncodes() {
  clearTimeout(encodesTimer);
  encodesTimer = 0;
  const list = await get("/api/v1/encodes");
  encodes.show(list.encodes);
  if (list.encodes.length > 0) lookAtEncodes(ENCODES_INTERVAL);
}


// Looks at the encodes soon. Many may begin at once.
function lookAtEncodes(delay) {
  clearTimeout(encodesTimer);
  encodesTimer = setTimeout(() => showEncodes().catch(() => {}), delay);
}

const events = {
  sample(sample) {
    history.push(sample);
    showPlots();
    refresh();
  },
  encode(encode) {
    if (encode.state === "ended") encodes.ended(encode);
    if (!encodesTimer) lookAtEncodes(ENCODES_INTERVAL / 4);
  },
  purge: () => refresh(),
  reload: () => {
    refresh();
    loadConfig();
  },
};

const actions = new Actions(() => refresh());

async function loadConfig() {
  try {
    actions.load(await get("/api/v1/config"));
  } catch {
    // The next connection loads it.
  }
}

const feed = new Feed({
  state(name) {
    state = name;
    showUptime();
    const connection = byId("connection");
    connection.dataset.state = name;
    connection.textContent = STATES[name];
    document.title = name === "disconnected" ? "Disconnected · cachecompress" : "cachecompress";
  },
  load(fresh, past, config) {
    showStatus(fresh);
    history.load(past, fresh.started);
    if (seconds === null) chooseRange();
    showPlots();
    actions.load(config);
    refresh();
  },
  event: (name, data) => events[name](data),
});

document.querySelector(".range").addEventListener("change", (event) => {
  seconds = Number(event.target.value);
  if (status !== null) showPlots();
});
setInterval(showUptime, 1000);
feed.connect();
