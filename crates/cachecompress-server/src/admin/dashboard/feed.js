// The connection to the server: the first look, events as they come, and new attempts when it breaks.

const EVENTS = ["sample", "encode", "purge", "reload"];
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 10_000;
// Samples come every 5 s. A tunnel may die without a word.
const LONGEST_SILENCE = 20_000;
// Others may leave. The server names the same time in Retry-After.
const CROWDED_DELAY = 15_000;
// A hidden page gives up its connection, of which a browser has six.
const HIDDEN_DELAY = 30_000;
const PATIENCE = 10_000;

export async function get(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok) throw new Error(`${path} answers ${response.status}`);
  return response.json();
}

export class Feed {
  #handlers;
  #source = null;
  // The number of the attempt. Answers to older ones come too late.
  #attempt = 0;
  #delay = FIRST_DELAY;
  #timer;
  #silence;

  // `handlers` are `state(name)`, `load(status, history, config)` and `event(name, data)`.
  constructor(handlers) {
    this.#handlers = handlers;
    document.addEventListener("visibilitychange", () => this.#visibility());
  }

  async connect() {
    const attempt = this.#stop();
    try {
      const paths = ["status", "history", "config"].map((name) => `/api/v1/${name}`);
      const answers = await Promise.all(paths.map(get));
      if (attempt !== this.#attempt) return;
      this.#handlers.load(...answers);
      this.#listen(attempt);
    } catch {
      if (attempt === this.#attempt) this.#retry();
    }
  }

  #listen(attempt) {
    const source = new EventSource("/api/v1/events");
    this.#source = source;
    const isCurrent = () => attempt === this.#attempt;
    source.onopen = () => {
      if (!isCurrent()) return;
      this.#delay = FIRST_DELAY;
      this.#heard();
      this.#handlers.state("live");
    };
    source.onerror = () => {
      if (!isCurrent()) return;
      // The browser gives up for good after an answer without events. It hides the status.
      if (source.readyState === EventSource.CLOSED) this.#learn(attempt);
      else this.#retry();
    };
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        if (!isCurrent()) return;
        this.#heard();
        this.#handlers.event(name, JSON.parse(event.data));
      });
    }
  }

  // Asks why there are no events, which is told from a server that is gone.
  async #learn(attempt) {
    const abort = new AbortController();
    let isCrowded = false;
    try {
      const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(PATIENCE)]);
      const { status } = await fetch("/api/v1/events", { cache: "no-store", signal });
      isCrowded = status === 503;
    } catch {
      // It is gone.
    }
    // The answer may have events by now.
    abort.abort();
    if (attempt !== this.#attempt) return;
    if (isCrowded) this.#wait();
    else this.#retry();
  }

  // Does without events. Each new attempt loads the status and the history.
  #wait() {
    this.#stop();
    this.#delay = FIRST_DELAY;
    this.#handlers.state("crowded");
    this.#timer = setTimeout(() => this.connect(), CROWDED_DELAY);
  }

  #heard() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#retry(), LONGEST_SILENCE);
  }

  #stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#source?.close();
    this.#source = null;
    this.#attempt += 1;
    return this.#attempt;
  }

  #retry() {
    this.#stop();
    this.#handlers.state("disconnected");
    this.#timer = setTimeout(() => this.connect(), this.#delay);
    this.#delay = Math.min(2 * this.#delay, LONGEST_DELAY);
  }

  #visibility() {
    clearTimeout(this.#timer);
    if (document.hidden) {
      this.#timer = setTimeout(() => {
        this.#stop();
        this.#handlers.state("paused");
      }, HIDDEN_DELAY);
    } else if (this.#source === null) {
      this.connect();
    }
  }
}
