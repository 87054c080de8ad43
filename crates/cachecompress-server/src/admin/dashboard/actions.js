// The forms that change something. Each request has the token that was typed, which is kept here alone.

import { bytes, whole } from "./format.js";

// A purge of a large cache on a slow disk takes seconds. The unit is milliseconds.
const PATIENCE = 60_000;

const byId = (id) => document.getElementById(id);

async function post(path, body) {
  const token = byId("token").value.trim();
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new Error("The token is wrong: it has other characters than visible ASCII.");
  }
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const signal = AbortSignal.timeout(PATIENCE);
  let response, answer;
  try {
    response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
    answer = await response.json();
  } catch {
    throw new Error(failure(signal, response));
  }
  if (response.status === 401) throw new Error("The token is wrong.");
  if (!response.ok) throw new Error(`Refused: ${answer?.error ?? `the status is ${response.status}`}`);
  return answer;
}

// The sentence on a request without an answer of the server. `response` is there if its head came.
function failure(signal, response) {
  if (signal.aborted) return "No answer came within a minute. The server may still do it.";
  if (response === undefined) return "The server cannot be reached.";
  return `The answer (status ${response.status}) is not of this server; a proxy may have sent it.`;
}

const globs = (id) => byId(id).value.split(/\s+/).filter(Boolean);
const entries = (number) => (number === 1 ? "1 entry" : `${whole(number)} entries`);
const noFile = ({ unmatched }) => (unmatched.length > 0 ? ` No file matches ${unmatched.join(" or ")}.` : "");

export class Actions {
  #hasTokenFile = false;
  // Whether a request is under way. There is one at a time.
  #isBusy = false;
  // The purge that is being counted, or that was and may be confirmed.
  #choice = null;

  // `onChange` is called after a change.
  constructor(onChange) {
    byId("token").addEventListener("input", () => this.#enable());
    byId("token-form").addEventListener("submit", (event) => event.preventDefault());
    for (const id of ["purge-paths", "purge-coding", "purge-all"]) {
      byId(id).addEventListener("input", () => this.#forget());
    }
    byId("purge-all").addEventListener("input", ({ target }) => {
      byId("purge-paths").disabled = target.checked;
      byId("purge-coding").disabled = target.checked;
    });
    // A key that is held decides once.
    for (const form of document.forms) {
      form.addEventListener("keydown", (event) => {
        if (event.repeat && event.key === "Enter") event.preventDefault();
      });
    }
    const on = (id, event, sentence, action) => byId(id).addEventListener(event, async (happened) => {
      happened.preventDefault();
      if (this.#isBusy) return;
      await this.#run(sentence, action);
      onChange();
    });
    on("purge-form", "submit", "Counting…", () => this.#count());
    on("purge-remove", "click", "Removing…", () => this.#remove());
    on("warm-form", "submit", "Looking for the files…", () => this.#warm());
    on("reload-form", "submit", "Reloading…", () => this.#reload());
    byId("purge-cancel").addEventListener("click", () => {
      if (this.#isBusy) return;
      this.#forget();
      this.#tell("Nothing was removed.");
      byId("purge-count").focus();
    });
  }

  // Takes the configuration in force, which tells whether the server takes changes at all.
  load(config) {
    const setting = config.settings.find(({ key }) => key === "admin-token-file");
    this.#hasTokenFile = (setting?.value ?? null) !== null;
    this.#enable();
  }

  #enable() {
    const isTyped = byId("token").value.trim() !== "";
    byId("token-fields").disabled = !this.#hasTokenFile;
    for (const fields of document.querySelectorAll("[data-needs-token]")) {
      fields.disabled = !this.#hasTokenFile || !isTyped;
    }
    const notice = byId("actions-notice");
    notice.hidden = this.#hasTokenFile && isTyped;
    notice.textContent = this.#hasTokenFile
      ? "The actions are disabled until the token is typed."
      : "The actions are disabled: the server was started without --admin-token-file.";
  }

  // Runs an action, and tells this `sentence` until it ends.
  async #run(sentence, action) {
    this.#setBusy(true);
    this.#tell(sentence);
    try {
      this.#tell(await action());
    } catch (error) {
      this.#forget();
      this.#tell(error.message, true);
    } finally {
      this.#setBusy(false);
    }
  }

  // A button that was disabled would lose the focus.
  #setBusy(isBusy) {
    this.#isBusy = isBusy;
    for (const button of document.querySelectorAll("form button")) {
      button.setAttribute("aria-disabled", isBusy);
    }
  }

  #tell(sentence, isBad = false) {
    const result = byId("result");
    result.classList.toggle("bad", isBad);
    result.textContent = sentence;
  }

  #forget() {
    this.#choice = null;
    byId("purge-confirm").hidden = true;
  }

  async #count() {
    this.#forget();
    const [paths, coding] = [globs("purge-paths"), byId("purge-coding").value];
    const choice = byId("purge-all").checked ? { all: true }
      : { ...(paths.length > 0 && { paths }), ...(coding && { coding }) };
    this.#choice = choice;
    const counted = await post("/api/v1/purge", { ...choice, dry_run: true });
    if (this.#choice !== choice) return "The choice was changed while it was counted. Count again.";
    if (counted.entries === 0) {
      this.#forget();
      return `No entry matches.${noFile(counted)}`;
    }
    byId("purge-remove").textContent = `Remove ${entries(counted.entries)}`;
    const confirm = byId("purge-confirm");
    confirm.hidden = false;
    // Another Enter on the buttons' group does nothing.
    confirm.focus();
    const sentence = `${entries(counted.entries)} with ${bytes(counted.bytes)} would be removed.`;
    return `${sentence}${noFile(counted)} Confirm or cancel.`;
  }

  async #remove() {
    const choice = this.#choice;
    if (choice === null) return "Nothing was removed.";
    const done = await post("/api/v1/purge", choice);
    this.#forget();
    byId("purge-count").focus();
    const failed = done.failed > 0 ? ` ${entries(done.failed)} could not be removed.` : "";
    return `${entries(done.entries)} with ${bytes(done.bytes)} removed.${failed}`;
  }

  async #warm() {
    const [paths, coding] = [globs("warm-paths"), byId("warm-coding").value];
    const best = byId("warm-best").checked;
    const begun = await post("/api/v1/warm", { paths, codings: coding ? [coding] : [], best });
    if (begun.files === 0) return `Nothing is encoded.${noFile(begun)}`;
    const files = begun.files === 1 ? "1 file" : `${whole(begun.files)} files`;
    return `The encoding of ${files} has begun.${noFile(begun)}`;
  }

  async #reload() {
    const { generation } = await post("/api/v1/reload", {});
    return `Generation ${generation} is in force.`;
  }
}
