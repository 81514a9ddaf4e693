// Sign with the key of this device what a page has said in words.
//
//   <form data-sign="record" data-request="{…}" data-done="/offers/{id}"> … <button>
//
// The page shows what is to be signed; `data-request` is the same for the interface, as of
// POST /v1/drafts. What comes back in bytes is read here, and signed only when it says what was
// asked for: the bytes are what counts, the words of the answer are not looked at.
//
// A form without this script sends itself to its action, where the coop's computer signs, for
// people whose key it holds.

import { decoded, hex, sha256, unhex } from "./bytes.js";
import { post } from "./asking.js";
import { own, signed } from "./keys.js";

/** The draft does not say what was to be signed. */
export class Different extends Error {
  constructor(field) {
    super(`the draft says something else: ${field}`);
    this.field = field;
  }
}

const same = (a, b) => {
  if (a instanceof Uint8Array) return typeof b === "string" && hex(a) === b;
  if (Array.isArray(a))
    return Array.isArray(b) && a.length === b.length && a.every((item, at) => same(item, b[at]));
  if (a !== null && typeof a === "object") {
    if (b === null || typeof b !== "object" || Array.isArray(b)) return false;
    const names = Object.keys(a);
    return names.length === Object.keys(b).length && names.every((name) => same(a[name], b[name]));
  }
  if (typeof a === "string" && typeof b === "string") return a === b.normalize("NFC").trim();
  return a === b;
};

/** Compare a payload in bytes with what was asked for; of both, without the salt. */
export function compare(payload, asked) {
  const { salt, ...fields } = payload;
  for (const name of new Set([...Object.keys(fields), ...Object.keys(asked)]))
    if (!same(fields[name], asked[name])) throw new Different(name);
  return salt;
}

// header = [v, kind, fed, coop, by, at, until, series, rev, body, size, as, refs] (spec/03)
const PLACES = { version: 0, kind: 1, by: 4, at: 5, until: 6, rev: 8, body: 9, size: 10, as: 11,
  refs: 12 };
const DAY_S = 86_400;
const CLOCK_S = 7_200;

/**
 * Return the parts of a record signed with this device's key.
 *
 * `draft` is what POST /v1/drafts gave for `request`; what is signed has to be a record of that
 * kind, by this key, of this hour, for no longer than was asked, under the mandate and with the
 * references that were asked for, and its payload what was asked for.
 */
export async function signedRecord(draft, request, keys) {
  const header = unhex(draft.header);
  const payload = unhex(draft.payload);
  compare(decoded(payload), request.payload);
  const told = decoded(header);
  if (!Array.isArray(told) || told.length !== 13) throw new Different("header");
  const value = (name) => told[PLACES[name]];
  const is = (name, right) => {
    if (!right) throw new Different(name);
  };
  const now = Math.floor(Date.now() / 1000);
  is("purpose", draft.purpose === "record");
  is("version", value("version") === 1);
  is("kind", value("kind") === request.kind);
  is("by", same(value("by"), hex(keys.key)));
  is("at", Math.abs(value("at") - now) < CLOCK_S);
  is("until", !request.days || value("until") <= now + request.days * DAY_S + CLOCK_S);
  is("rev", request.replaces ? value("rev") > 0 : value("rev") <= 1);
  is("body", same(value("body"), hex(await sha256(payload))) && value("size") === payload.length);
  is("as", same(value("as"), request.mandate ?? ""));
  is("refs", same(value("refs"), request.refs ?? []));
  const signature = await signed(keys, "record", header);
  return { header: draft.header, payload: draft.payload, signature: hex(signature) };
}

/** Draft, check, sign and publish a record: {kind, payload, days, …} as of POST /v1/drafts. */
export async function publish(request, once = "") {
  const keys = await own();
  if (keys === null) throw new Error("no key on this device");
  const whole = { ...request, key: hex(keys.key) };
  const draft = await post("/v1/drafts", whole);
  return post("/v1/records/signed", await signedRecord(draft, whole, keys), once);
}

/** How each kind of form is signed and sent: request, once → {id, …}. Areas add theirs. */
export const kinds = { record: publish };

async function sign(form) {
  const fault = form.querySelector("[data-fault]");
  const button = form.querySelector("button:not([type=button])");
  fault.hidden = true;
  button.disabled = true;
  try {
    const request = JSON.parse(form.dataset.request);
    const once = form.elements.once?.value ?? "";
    const done = await kinds[form.dataset.sign](request, once);
    location.assign(form.dataset.done.replace("{id}", encodeURIComponent(done.id)));
  } catch (error) {
    const word = error instanceof Different ? "different" : error.status ? "refused" : "offline";
    const said = form.querySelector(`[data-word="${word}"]`).content.textContent;
    fault.textContent = error.status && error.told?.detail ? error.told.detail : said;
    fault.hidden = false;
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form[data-sign]"))
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void sign(form);
  });
