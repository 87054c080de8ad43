// The forms that change something. Each request has the token that was typed, which is kept here alone.

import { bytes, whole } from "./format.js";

const byId = (id) => document.getElementById(id);

async function post(path, body) {
  const headers = { authorization: `Bearer ${byId("token").value.trim()}`, "content-type": "application/json" };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

const globs = (id) => byId(id).value.split(/\s+/).filter(Boolean);
const entries = (number) => (number === 1 ? "1 entry" : `${whole(number)} entries`);

export class Actions {
  #hasTokenFile = false;
  // The purge that was counted and may be confirmed.
  #counted = null;

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
    const on = (id, event, action) => byId(id).addEventListener(event, async (happened) => {
      happened.preventDefault();
      await this.#run(action);
      onChange();
    });
    on("purge-form", "submit", () => this.#count());
    on("purge-remove", "click", () => this.#remove());
    on("warm-form", "submit", () => this.#warm());
    on("reload-form", "submit", () => this.#reload());
    byId("purge-cancel").addEventListener("click", () => {
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

  async #run(action) {
    try {
      this.#tell(await action());
    } catch (error) {
      this.#forget();
      this.#tell(`Refused or failed: ${error.message}`, true);
    }
  }

  #tell(sentence, isBad = false) {
    const result = byId("result");
    result.classList.toggle("bad", isBad);
    result.textContent = sentence;
  }

  #forget() {
    this.#counted = null;
    byId("purge-remove").hidden = true;
    byId("purge-cancel").hidden = true;
  }

  async #count() {
    this.#forget();
    const [paths, coding] = [globs("purge-paths"), byId("purge-coding").value];
    const choice = byId("purge-all").checked ? { all: true }
      : { ...(paths.length > 0 && { paths }), ...(coding && { coding }) };
    const counted = await post("/api/v1/purge", { ...choice, dry_run: true });
    if (counted.entries === 0) return "No entry matches.";
    this.#counted = choice;
    const remove = byId("purge-remove");
    remove.textContent = `Remove ${entries(counted.entries)}`;
    remove.hidden = false;
    byId("purge-cancel").hidden = false;
    remove.focus();
    return `${entries(counted.entries)} with ${bytes(counted.bytes)} would be removed. Confirm or cancel.`;
  }

  async #remove() {
    const choice = this.#counted;
    if (choice === null) return "Nothing was removed.";
    const done = await post("/api/v1/purge", choice);
    this.#forget();
    byId("purge-count").focus();
    const failed = done.failed > 0 ? ` ${entries(done.failed)} could not be removed.` : "";
    return `${entries(done.entries)} with ${bytes(done.bytes)} removed.${failed}`;
  }

  async #warm() {
    const [paths, coding] = [globs("warm-paths"), byId("warm-coding").value];
    const begun = await post("/api/v1/warm", { paths, codings: coding ? [coding] : [] });
    return `The encoding of ${begun.files === 1 ? "1 file" : `${whole(begun.files)} files`} has begun.`;
  }

  async #reload() {
    const { generation } = await post("/api/v1/reload", {});
    return `Generation ${generation} is in force.`;
  }
}
