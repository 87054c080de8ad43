// Numbers as text. Units are decimal: 1 KB is 1000 bytes.

const STEPS = ["", "K", "M", "G", "T", "P"];

// Three digits at most, and none behind the point of whole numbers below 1000.
function digits(value) {
  const size = Math.abs(value);
  const places = size >= 99.95 || Number.isInteger(value) ? 0 : size >= 9.995 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(value.toFixed(places)));
}

function scaled(value) {
  let step = 0;
  while (Math.abs(value) >= 999.5 && step < STEPS.length - 1) {
    value /= 1000;
    step += 1;
  }
  return [digits(value), STEPS[step]];
}

// A number of things: 1234567 is "1.23 M".
export function count(value) {
  const [text, step] = scaled(value);
  return step ? `${text} ${step}` : text;
}

// A number of things with all of its digits.
export function whole(value) {
  return Math.round(value).toLocaleString("en");
}

export function bytes(value) {
  const [text, step] = scaled(value < 1000 ? Math.round(value) : value);
  return `${text} ${step}B`;
}

export function perSecond(value) {
  return `${count(value)}/s`;
}

export function bytesPerSecond(value) {
  return `${bytes(value)}/s`;
}

// A share from 0 to 1.
export function percent(value) {
  if (value > 0 && value < 0.001) return "under 0.1 %";
  return `${digits(Math.floor(value * 1000 + 1e-6) / 10)} %`;
}

// A time that something takes.
export function duration(seconds) {
  if (seconds < 0.000_999_5) return `${digits(seconds * 1e6)} µs`;
  if (seconds < 0.999_5) return `${digits(seconds * 1e3)} ms`;
  if (seconds < 99.95) return `${digits(seconds)} s`;
  return span(seconds);
}

// A long time, by its two largest units.
export function span(seconds) {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

const two = (number) => String(number).padStart(2, "0");

// The local time of day of a Unix time.
export function clock(at, withSeconds = true) {
  const date = new Date(at * 1000);
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return withSeconds ? `${minutes}:${two(date.getSeconds())}` : minutes;
}

// The local date and time of a Unix time.
export function moment(at) {
  const date = new Date(at * 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at)}`;
}
