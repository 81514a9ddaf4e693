// Ask the coop's computer something, as the person who is signed in.

export class Refused extends Error {
  constructor(status, told) {
    super(told.detail || String(status));
    this.status = status;
    this.code = told.code || "";
    this.told = told;
  }
}

const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";

async function asked(path, options) {
  // A path of this site alone, whatever stands in a page.
  if (!path.startsWith("/v1/")) throw new Error("not a path of the interface");
  const answer = await fetch(path, { credentials: "same-origin", redirect: "error", ...options });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, told);
  return told;
}

export const get = (path) => asked(path, { headers: { accept: "application/json" } });

/** Send a body. `once`: a key under which it is done once, however often it is sent. */
export function post(path, body, once = "") {
  const headers = { "content-type": "application/json" };
  if (csrf()) headers["x-csrf-token"] = csrf();
  if (once) headers["idempotency-key"] = once;
  return asked(path, { method: "POST", headers, body: JSON.stringify(body) });
}
