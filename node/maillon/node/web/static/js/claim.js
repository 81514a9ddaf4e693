// Make a key on this device and show the coop that it belongs to who has the sheet.

import { encoded, hex, joined, sha256, unhex, utf8 } from "./bytes.js";
import { get, post } from "./asking.js";
import { keep, made, possible, signed } from "./keys.js";
import { signIn } from "./sign-in.js";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Read the code of a sheet: 20 characters, the last twelve bits of which check the others. */
export async function readCode(text) {
  const packed = text
    .toUpperCase()
    .replace(/[\s-]/g, "")
    .replace(/[IL]/g, "1")
    .replace(/O/g, "0")
    .replace(/U/g, "V");
  if (packed.length !== 20 || [...packed].some((letter) => !ALPHABET.includes(letter))) return null;
  let value = 0n;
  for (const letter of packed) value = (value << 5n) | BigInt(ALPHABET.indexOf(letter));
  const check = Number(value & 0xfffn);
  const bytes = unhex((value >> 12n).toString(16).padStart(22, "0"));
  const digest = await sha256(joined(utf8("maillon/1/claim-code\0"), bytes));
  if (((digest[0] << 8) | digest[1]) >> 4 !== check) return null;
  return { bytes, text: packed.match(/.{5}/g).join("-") };
}

const form = document.getElementById("claim");
if (form) {
  const fault = form.querySelector("[data-fault]");
  const say = (word) => {
    fault.textContent = form.querySelector(`[data-word="${word}"]`).content.textContent;
    fault.hidden = false;
  };
  form.hidden = false;
  const done = document.getElementById("claimed");
  let keys = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fault.hidden = true;
    if (!possible()) return say("cannot");
    const code = await readCode(form.elements.code.value);
    if (code === null) {
      say("code");
      form.elements.code.focus();
      return undefined;
    }
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      // The same keys when it is tried again: the first answer may only have been lost.
      keys ??= await made();
      const asked = await get("/v1/auth/challenge");
      const hash = await sha256(joined(utf8("maillon/1/claim\0"), code.bytes));
      const body = encoded([
        1, unhex(asked.fed), unhex(asked.coop), hash, keys.key, keys.sealing,
      ]);
      // Kept before it counts: a key that counts and is lost would be worse than one too many.
      await keep(keys);
      await post("/v1/claims", {
        code: code.text, key: hex(keys.key), sealing: hex(keys.sealing),
        signature: hex(await signed(keys, "claim", body)),
      });
      form.hidden = true;
      done.hidden = false;
      done.focus();
    } catch (error) {
      say(error.status ? "refused" : "offline");
      button.disabled = false;
    }
    return undefined;
  });
  done.querySelector("[data-do]").addEventListener("click", async (event) => {
    event.preventDefault();
    await signIn(keys).catch(() => {});
    location.assign("/devices");
  });
}
