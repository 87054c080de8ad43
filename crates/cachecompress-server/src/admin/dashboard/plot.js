// Plots: lines over time in SVG, with a readout that follows the pointer and the keyboard.

import { clock } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const MARGIN = { top: 8, right: 8, bottom: 20, left: 58 };
// The widths between two labels of the time axis, in seconds.
const TIME_STEPS = [60, 120, 300, 600, 900, 1200, 1800];
const MOST_ROWS = 30;

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// A round number from `value` on: 1, 2 or 5 times a power of ten.
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= value * 0.999_999);
}

// A scale from 0 to above `most`, as ticks and a function to shares of the height.
function linear(most, least) {
  const step = round(Math.max(most, least) / 3);
  const top = step * Math.max(1, Math.ceil(Math.max(most, least) / step - 1e-9));
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step);
  return { ticks, share: (value) => value / top };
}

// A scale in powers of ten. Values up to `floor` lie on its base line, which is 0 where `hasZero`.
function logarithmic(most, floor, hasZero) {
  const low = Math.floor(Math.log10(floor) + 1e-9);
  const high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(most, floor)) - 1e-9));
  const stride = Math.ceil((high - low) / 4);
  const ticks = [];
  for (let power = low; power <= high; power += stride) ticks.push(10 ** power);
  if (hasZero) ticks[0] = 0;
  const share = (value) => (value <= 10 ** low ? 0 : (Math.log10(value) - low) / (high - low));
  return { ticks, share };
}

export class Plot {
  #options;
  #parts = {};
  #view = null;
  #width = 0;

  // `options`: the title, a `note` to it, the `format` of values, the `series` (`key`, `name`), and for
  // the axis `log` or the `least` that it reaches to. `onCursor(at)` is told of the time that is pointed
  // at, and of `null` at the end.
  constructor(root, options) {
    this.#options = options;
    this.#build(root);
    new ResizeObserver(([{ contentRect }]) => {
      if (Math.round(contentRect.width) === this.#width) return;
      this.#width = Math.round(contentRect.width);
      this.#draw();
    }).observe(this.#parts.area);
  }

  // Shows `points` from `from` to `to`.
  show(view) {
    this.#view = view;
    this.#draw();
  }

  // Shows the values at this time in place of the newest ones.
  point(at) {
    if (this.#view === null) return;
    this.#view.cursor = at;
    this.#readOut();
  }

  #build(root) {
    const { title, note, series } = this.#options;
    const time = element("span", { class: "at" });
    const heading = element("div", { class: "title" }, element("h3", {}, title), time);
    if (note) heading.firstChild.append(" ", element("small", {}, note));
    const values = series.map(() => element("b", {}, "–"));
    const legend = element("ul", { class: "legend" });
    series.forEach(({ name }, index) => {
      const key = shape("svg", { class: "key", viewBox: "0 0 22 8", "aria-hidden": "true" });
      key.append(shape("path", { class: `line s${index + 1}`, d: "M1 4H21" }));
      legend.append(element("li", {}, key, name, " ", values[index]));
    });
    const canvas = shape("svg", { class: "canvas", role: "img", height: HEIGHT });
    const slider = element("input", {
      type: "range", min: 0, max: 0, value: 0, "aria-label": `${title}: point in time`,
    });
    const area = element("div", { class: "area" }, canvas, slider);
    const table = element("table");
    const label = `${title}: values`;
    const box = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
    const details = element("details", {}, element("summary", {}, "Values"), box);
    root.append(heading, legend, area, details);
    this.#parts = { time, values, canvas, slider, area, table, details };
    details.addEventListener("toggle", () => this.#fillTable());
    this.#listen();
  }

  #listen() {
    const { area, slider } = this.#parts;
    const point = (index) => this.#options.onCursor(this.#view.points[index]?.at ?? null);
    slider.addEventListener("input", () => point(Number(slider.value)));
    slider.addEventListener("focus", () => {
      if (slider.matches(":focus-visible") && this.#view) point(Number(slider.value));
    });
    slider.addEventListener("blur", () => this.#options.onCursor(null));
    slider.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#options.onCursor(null);
    });
    const follow = (event) => {
      if (!this.#view?.points.length) return;
      const left = event.clientX - area.getBoundingClientRect().left;
      point(this.#nearest(this.#timeAt(left)));
    };
    area.addEventListener("pointerdown", follow);
    area.addEventListener("pointermove", follow);
    area.addEventListener("pointerleave", (event) => {
      // A finger that is lifted leaves the readout where it was.
      if (event.pointerType === "mouse") this.#options.onCursor(null);
    });
  }

  get #inner() {
    return {
      width: Math.max(1, this.#width - MARGIN.left - MARGIN.right),
      height: HEIGHT - MARGIN.top - MARGIN.bottom,
    };
  }

  #x(at) {
    const { from, to } = this.#view;
    return MARGIN.left + ((at - from) / (to - from)) * this.#inner.width;
  }

  #timeAt(x) {
    const { from, to } = this.#view;
    return from + ((x - MARGIN.left) / this.#inner.width) * (to - from);
  }

  #nearest(at) {
    const { points } = this.#view;
    const next = points.findIndex((point) => point.at >= at);
    if (next <= 0) return next === 0 ? 0 : points.length - 1;
    return at - points[next - 1].at < points[next].at - at ? next - 1 : next;
  }

  #scale() {
    const { series, log, least = 1 } = this.#options;
    let most = 0;
    let smallest = Infinity;
    for (const point of this.#view.points) {
      for (const { key } of series) {
        const value = point[key] ?? 0;
        most = Math.max(most, value);
        if (value > 0) smallest = Math.min(smallest, value);
      }
    }
    if (!log) return linear(most, least);
    return logarithmic(most, log.floor ?? Math.min(smallest, log.least), log.floor !== undefined);
  }

  #draw() {
    if (this.#view === null || this.#width === 0) return;
    const { canvas, slider } = this.#parts;
    canvas.setAttribute("viewBox", `0 0 ${this.#width} ${HEIGHT}`);
    const scale = this.#scale();
    const y = (value) => MARGIN.top + (1 - scale.share(value)) * this.#inner.height;
    const cursor = shape("line", { class: "cursor", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom });
    const dots = this.#options.series.map((_, index) => shape("circle", { class: `dot s${index + 1}`, r: 3 }));
    canvas.replaceChildren(...this.#grid(scale, y), ...this.#restarts(), ...this.#lines(y), cursor, ...dots);
    Object.assign(this.#parts, { cursor, dots, y });
    slider.max = Math.max(0, this.#view.points.length - 1);
    this.#readOut();
    this.#fillTable();
  }

  #grid(scale, y) {
    const { from, to } = this.#view;
    const right = this.#width - MARGIN.right;
    const shapes = scale.ticks.flatMap((tick) => [
      shape("line", { class: "rule", x1: MARGIN.left, x2: right, y1: y(tick), y2: y(tick) }),
      shape("text", { class: "tick", x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" },
        this.#options.format(tick)),
    ]);
    const most = Math.max(2, Math.floor(this.#inner.width / 70));
    const step = TIME_STEPS.find((seconds) => (to - from) / seconds <= most) ?? TIME_STEPS.at(-1);
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const x = this.#x(at);
      shapes.push(
        shape("line", { class: "rule", x1: x, x2: x, y1: HEIGHT - MARGIN.bottom, y2: HEIGHT - MARGIN.bottom + 4 }),
        shape("text", { class: "tick", x: Math.min(x, right - 16), y: HEIGHT - 4, "text-anchor": "middle" },
          clock(at, false)),
      );
    }
    return shapes;
  }

  #restarts() {
    const restarts = this.#view.points.filter((point) => point.restart);
    return restarts.flatMap(({ at }) => {
      const x = this.#x(at);
      const label = { class: "tick", x: x - 4, y: MARGIN.top + 10, "text-anchor": "end" };
      return [
        shape("line", { class: "restart", x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }),
        shape("text", label, "restart"),
      ];
    });
  }

  #lines(y) {
    const { series, fill } = this.#options;
    return series.flatMap(({ key }, index) => {
      const runs = this.#runs(key);
      const path = runs.map((run) => `M${run.map(({ at, value }) => `${this.#x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L")}${run.length === 1 ? "h0" : ""}`);
      const line = shape("path", { class: `line s${index + 1}`, d: path.join("") });
      if (!fill || index > 0) return [line];
      const base = y(0).toFixed(1);
      const areas = runs.map((run, at) => `${path[at]}V${base}H${this.#x(run[0].at).toFixed(1)}Z`);
      return [shape("path", { class: `fill s${index + 1}`, d: areas.join("") }), line];
    });
  }

  // The points that lie together without a gap.
  #runs(key) {
    const runs = [];
    let run = null;
    for (const point of this.#view.points) {
      const value = point[key] ?? null;
      if (value === null) {
        run = null;
        continue;
      }
      if (run === null || !point.joined) runs.push(run = []);
      run.push({ at: point.at, value });
    }
    return runs;
  }

  #readOut() {
    const { points, cursor: at } = this.#view;
    const { time, values, canvas, slider, cursor, dots, y } = this.#parts;
    const { title, series, format, period } = this.#options;
    const index = at === null || at === undefined ? points.length - 1 : this.#nearest(at);
    const point = points[index];
    const isNewest = index === points.length - 1;
    const told = series.map(({ key }) => (point?.[key] ?? null) === null ? "–" : format(point[key]));
    values.forEach((value, place) => { value.textContent = told[place]; });
    time.textContent = point === undefined || isNewest ? "" : clock(point.at);
    const sentence = series.map(({ name }, place) => `${name} ${told[place]}`).join(", ");
    slider.value = Math.max(0, index);
    slider.setAttribute("aria-valuetext", point === undefined ? "no values yet" : `${clock(point.at)}: ${sentence}`);
    canvas.setAttribute("aria-label", `${title} over time. Now: ${this.#newest()}`);
    if (cursor === undefined) return;
    cursor.classList.toggle("shown", point !== undefined && !isNewest);
    if (point === undefined) return;
    const x = this.#x(point.at);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    dots.forEach((dot, place) => {
      const value = point[series[place].key] ?? null;
      dot.classList.toggle("shown", value !== null);
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", y(value ?? 0));
    });
  }

  #newest() {
    const { series, format } = this.#options;
    const point = this.#view.points.at(-1);
    return series.map(({ key, name }) => {
      const value = point?.[key] ?? null;
      return `${name} ${value === null ? "–" : format(value)}`;
    }).join(", ");
  }

  #fillTable() {
    const { details, table } = this.#parts;
    if (!details.open || this.#view === null) return;
    const { series, format } = this.#options;
    const { points } = this.#view;
    const stride = Math.max(1, Math.ceil(points.length / MOST_ROWS));
    const shown = points.filter((_, index) => (points.length - 1 - index) % stride === 0).reverse();
    const cell = (text) => element("td", { class: "number" }, text);
    const rows = shown.map((point) => element("tr", {}, element("th", { scope: "row" }, clock(point.at)),
      ...series.map(({ key }) => cell((point[key] ?? null) === null ? "–" : format(point[key])))));
    const head = element("tr", {}, element("th", { scope: "col" }, "Time"),
      ...series.map(({ name }) => element("th", { scope: "col", class: "number" }, name)));
    table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  }
}
