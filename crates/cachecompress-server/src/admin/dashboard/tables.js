// The tables and lists of the page. Paths come from strangers: they are set as text, never as markup.

import { bytes, count, duration, moment, percent, span, whole } from "./format.js";
import { element } from "./plot.js";

const REASONS = {
  queue: "too many encodes waited",
  patience: "the encode took too long to begin",
  disk: "the cache's disk is full or broken",
  large: "over a quarter of the cache",
  locked: "another process encodes it",
  range: "a range was asked for",
  protocol: "HTTP/1.0",
  identity: "the client prefers it so",
  small: "too small to be worth it",
  unprofitable: "encoding saves too little",
  unsettled: "the file is changing",
  unhashed: "not hashed yet",
  encoder: "the encoder failed",
};
// Encodes that are shown: those under way, the oldest first, and the last ones that have ended.
const UNDER_WAY = 50;
const ENDED = 8;
const DAY = 86_400;

const byId = (id) => document.getElementById(id);
const cell = (...content) => element("td", {}, ...content);
const number = (...content) => element("td", { class: "number" }, ...content);
const path = (text) => element("th", { scope: "row", class: "path" }, element("code", {}, text));

// Replaces the rows of a table if they are others than before, so that a selection and the place in a
// scrolled box stay.
function fill(id, rows, columns, empty) {
  const body = byId(id);
  const made = rows.length > 0 ? rows
    : [element("tr", { class: "empty" }, element("td", { colspan: columns }, empty))];
  const fresh = element("tbody", {}, ...made);
  if (fresh.innerHTML === body.innerHTML) return;
  body.replaceChildren(...fresh.childNodes);
}

function facts(id, pairs) {
  const terms = pairs.map(([term, ...content]) =>
    element("div", {}, element("dt", {}, term), element("dd", {}, ...content)));
  byId(id).replaceChildren(...terms);
}

export function showBypasses(points, totals) {
  const shown = {};
  for (const point of points) {
    for (const [reason, times] of Object.entries(point.bypasses)) shown[reason] = (shown[reason] ?? 0) + times;
  }
  const all = Object.entries(totals).filter(([, times]) => times > 0);
  const most = Math.max(1, ...all.map(([reason]) => shown[reason] ?? 0));
  all.sort(([one, total], [other, otherTotal]) => (shown[other] ?? 0) - (shown[one] ?? 0) || otherTotal - total);
  const rows = all.map(([reason, total]) => {
    const times = shown[reason] ?? 0;
    const name = element("th", { scope: "row" }, element("code", {}, reason));
    if (REASONS[reason]) name.append(" ", element("small", {}, REASONS[reason]));
    const bar = element("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("width", `${4 * times / most}rem`);
    return element("tr", {}, name, number(bar, whole(times)), number(whole(total)));
  });
  fill("bypasses", rows, 3, "Nothing went past the cache.");
}

export function showFiles(files, now) {
  fill("by-bytes", files.by_bytes.map((row) => element("tr", {}, path(row.path), number(bytes(row.sent_bytes)),
    number(whole(row.requests)))), 3, "Nothing is sent yet.");
  fill("by-misses", files.by_misses.map((row) => element("tr", {}, path(row.path), number(whole(row.misses)))),
    2, "There is no miss yet.");
  fill("uncompressed", files.uncompressed.map((row) => element("tr", {}, path(row.path), number(bytes(row.bytes)),
    number(whole(row.requests)), cell(element("code", {}, row.reason)))), 4, "Nothing went past the cache.");
  fill("not-found", files.not_found.map((row) => element("tr", {}, path(row.path), number(whole(row.count)),
    number(ago(now - row.last)))), 3, "Every path was found.");
}

function ago(seconds) {
  return seconds < 60 ? "just now" : `${span(seconds).replace(/ \d+ s$/, "")} ago`;
}

// The encodes under way, and the last ones that this page was told the end of.
export class Encodes {
  #running = [];
  #ended = [];

  show(running) {
    this.#running = running;
    this.#draw();
  }

  ended(encode) {
    this.#ended = [encode, ...this.#ended].slice(0, ENDED);
    this.#running = this.#running.filter(({ digest, coding }) => digest !== encode.digest || coding !== encode.coding);
  }

  #draw() {
    const waiting = this.#running.filter(({ state }) => state === "queued").length;
    const running = this.#running.length - waiting;
    const waiters = this.#running.reduce((sum, { waiters: of }) => sum + of, 0);
    byId("encodes-gloss").textContent = this.#running.length === 0 ? "No encode is under way."
      : `${whole(running)} running, ${whole(waiting)} queued; ${whole(waiters)} requests wait for bytes.`;
    const rows = [...this.#running.slice(0, UNDER_WAY).map(underWay), ...this.#ended.map(over)];
    fill("encodes", rows, 6, "No encode has ended since this page was opened.");
  }
}

function underWay(encode) {
  const share = encode.source_bytes > 0 ? encode.read_bytes / encode.source_bytes : 0;
  const progress = element("progress", {
    max: 1, value: share, "aria-label": `${encode.path} in ${encode.coding}`,
  });
  return element("tr", {}, path(encode.path), cell(encode.coding),
    cell(progress, ` ${percent(share)} of ${bytes(encode.source_bytes)}`), number(whole(encode.waiters)),
    number(duration(encode.seconds)), cell(encode.state));
}

function over(encode) {
  const { source_bytes: source, encoded_bytes: encoded } = encode;
  const result = encode.succeeded ? `${bytes(source)} to ${bytes(encoded)}` : bytes(source);
  return element("tr", { class: "over" }, path(encode.path), cell(encode.coding), cell(result), number("–"),
    number(duration(encode.seconds)), cell(encode.succeeded ? "stored" : "not stored"));
}

export function showCache({ cache }) {
  const share = cache.max_bytes > 0 ? cache.bytes / cache.max_bytes : 0;
  byId("cache-bytes").textContent = bytes(cache.bytes);
  byId("cache-bound").textContent = `of ${bytes(cache.max_bytes)} (${percent(share)})`;
  const meter = byId("cache-meter");
  meter.setAttribute("aria-valuenow", Math.round(100 * share));
  meter.firstElementChild.style.setProperty("width", `${Math.min(100, 100 * share)}%`);
  facts("cache-facts", [
    ["Entries", whole(cache.entries)],
    ["Evicted", whole(cache.evictions)],
    ["Damaged", mark(whole(cache.damaged_entries), cache.damaged_entries > 0)],
    ["Disk", mark(cache.available ? "answers" : "does not answer", !cache.available)],
    ["Directory", cache.directory === null ? "in memory" : element("code", {}, cache.directory)],
  ]);
}

export function showSecondPass({ second_pass: pass }) {
  byId("second-saved").textContent = bytes(pass.saved_bytes);
  byId("second-gloss").textContent = pass.encodes > 0
    ? `${whole(pass.encodes)} ${pass.encodes === 1 ? "encode" : "encodes"}; ${bytes(pass.saved_bytes / Math.max(pass.cpu_seconds, 0.001))} less for each second.`
    : "No entry is made smaller yet.";
  facts("second-facts", [
    ["CPU time", duration(pass.cpu_seconds)],
    ["Most", pass.cpu_share > 0 ? `${percent(pass.cpu_share)} of one core over an hour` : "off"],
  ]);
}

const BREAKER = {
  closed: "closed: the store is asked",
  open: "open: the store is left alone",
  half_open: "half open: the store is being tried",
};

// The section is there only with a shared store.
export function showTier({ tier }) {
  byId("tier-section").hidden = tier === null;
  if (tier === null) return;
  const { requests, leases, uploads } = tier;
  byId("tier-saved").textContent = duration(tier.cpu_seconds_saved);
  byId("tier-gloss").textContent = tier.imports > 0
    ? `${whole(tier.imports)} ${tier.imports === 1 ? "import" : "imports"}, with ${duration(tier.import_cpu_seconds)} for the proof.`
    : "Nothing is imported yet.";
  const times = (number) => (number === 1 ? "once" : `${whole(number)} times`);
  const opened = tier.breaker_opened > 0 ? `; opened ${times(tier.breaker_opened)}` : "";
  const lost = uploads.failed + uploads.dropped;
  facts("tier-facts", [
    ["Store", element("code", {}, tier.place)],
    ["Mode", `${tier.mode === "ro" ? "reads only" : "reads and stores"}, ${tier.signed ? "signed" : "unsigned"}`],
    ["Breaker", mark(`${BREAKER[tier.breaker] ?? tier.breaker}${opened}`, tier.breaker !== "closed")],
    ["Disproved", mark(whole(requests.disproved), requests.disproved > 0)],
    ["Errors", mark(`${whole(requests.error)}, and ${whole(requests.timeout)} timeouts`, requests.error + requests.timeout > 0)],
    ["Leases", `${whole(leases.acquired)} acquired, ${whole(leases.waited)} waited for`],
    ["To be stored", `${whole(tier.upload_queue)} (${bytes(tier.upload_queue_bytes)})`],
    ["Not stored", mark(whole(lost), lost > 0)],
    ["Bytes", `${bytes(tier.read_bytes)} read, ${bytes(tier.written_bytes)} written`],
  ]);
}

export function showServer(status, now) {
  const { configuration } = status;
  const certificates = status.certificates.map(({ names, not_after: end, file }) => element("tr", {},
    element("th", { scope: "row" }, names.join(", ") || "–"), expiry(end, now), cell(element("code", {}, file))));
  fill("certificates", certificates, 3, "The server has no certificate: it speaks plain HTTP.");
  facts("server-facts", [
    ["Version", status.version],
    ["Started", moment(status.started)],
    ["Ready", mark(status.ready ? "yes" : "no: it is ending", !status.ready)],
    ["Generation", `${whole(configuration.generation)}, since ${moment(configuration.loaded)}`],
    ["Last reload", mark(configuration.last_error ?? "no error", configuration.last_error !== null)],
    ["File", configuration.file === null ? "none" : element("code", {}, configuration.file)],
    ["Sites", ...status.sites.flatMap(({ hosts, root }) =>
      [element("div", {}, hosts.length > 0 ? `${hosts.join(", ")}: ` : "", element("code", {}, root))])],
    ["Log lines lost", mark(whole(status.log_lines_lost), status.log_lines_lost > 0)],
  ]);
}

function expiry(end, now) {
  if (end === null) return cell(mark("cannot be read", true));
  const left = end - now;
  if (left <= 0) return cell(mark(`expired ${moment(end)}`, true));
  return cell(mark(`in ${count(Math.floor(left / DAY))} days`, left < 14 * DAY), element("small", {}, ` ${moment(end)}`));
}

// A text that stands out if it `isBad`, by a sign as well as by its colour.
function mark(text, isBad) {
  return isBad ? element("span", { class: "bad" }, `⚠ ${text}`) : text;
}
