// Sign in with the key of this device: sign what the coop's computer asks, once.

import { encoded, hex, unhex } from "./bytes.js";
import { get, post } from "./asking.js";
import { own, possible, signed } from "./keys.js";

/** Begin a session; the browser has its cookie afterwards. */
export async function signIn(keys) {
  const asked = await get("/v1/auth/challenge");
  // What is signed names the host of this page, not the one that the answer says.
  const body = encoded([
    1, unhex(asked.fed), unhex(asked.coop), location.host.toLowerCase(), unhex(asked.nonce),
    asked.expires,
  ]);
  const signature = await signed(keys, "login", body);
  return post("/v1/auth/login", {
    key: hex(keys.key), nonce: asked.nonce, signature: hex(signature),
  });
}

const part = document.getElementById("with-device");
if (part) {
  const show = (state) => {
    for (const each of part.querySelectorAll("[data-when]"))
      each.hidden = each.dataset.when !== state;
  };
  const fault = part.querySelector("[data-fault]");
  const say = (word) => {
    fault.textContent = part.querySelector(`[data-word="${word}"]`).content.textContent;
    fault.hidden = false;
  };
  const keys = await own().catch(() => null);
  show(!possible() ? "cannot" : keys ? "ready" : "none");
  part.querySelector("[data-do]").addEventListener("click", async (event) => {
    fault.hidden = true;
    event.currentTarget.disabled = true;
    try {
      await signIn(keys);
      // The server made sure that it is a path of this site.
      location.assign(new URL(part.dataset.next, location.origin).pathname || "/");
    } catch (error) {
      say(error.status === 401 ? "refused" : "offline");
      event.target.closest("button").disabled = false;
    }
  });
}
