// The keys of this device: made here, kept in IndexedDB, never readable by a script where the
// browser has Ed25519 and X25519 itself (WebCrypto). An older browser keeps their bytes.

import { joined, utf8 } from "./bytes.js";

const DATABASE = "maillon-keys";
const STORE = "keys";
const OWN = "own";

export const possible = () =>
  window.isSecureContext && "indexedDB" in window && Boolean(window.crypto?.subtle);

function opened() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE);
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

async function stored(mode, action) {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const asked = action(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(asked?.result);
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** Return what this device has: {key, sealing: public bytes, signing, opening, kind}, or null. */
export async function own() {
  if (!possible()) return null;
  return (await stored("readonly", (store) => store.get(OWN))) ?? null;
}

/** Make the two keys of a device. Nothing is kept before `keep`. */
export async function made() {
  try {
    const signing = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    const opening = await crypto.subtle.generateKey("X25519", false, ["deriveBits"]);
    const raw = async (pair) =>
      new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    return {
      kind: "webcrypto",
      key: await raw(signing),
      sealing: await raw(opening),
      signing: signing.privateKey,
      opening: opening.privateKey,
    };
  } catch {
    // No such algorithms here (before Safari 17, Firefox 130, Chromium 137).
    const { getPublicKeyAsync } = await import("../vendor/ed25519.js");
    const { publicOf } = await import("./x25519.js");
    const signing = crypto.getRandomValues(new Uint8Array(32));
    const opening = crypto.getRandomValues(new Uint8Array(32));
    return {
      kind: "bytes",
      key: await getPublicKeyAsync(signing),
      sealing: publicOf(opening),
      signing,
      opening,
    };
  }
}

/** Keep the keys on this device, in place of others. */
export async function keep(keys) {
  await stored("readwrite", (store) => store.put(keys, OWN));
  // The browser may empty its storage when the disk is full; one that is asked does not.
  await navigator.storage?.persist?.();
}

/** Forget the keys of this device. */
export const forget = () => stored("readwrite", (store) => store.delete(OWN));

/** Sign a body for a purpose: "maillon/1/" purpose 0x00 body (spec/02). */
export async function signed(keys, purpose, body) {
  const message = joined(utf8(`maillon/1/${purpose}`), Uint8Array.of(0), body);
  if (keys.kind === "webcrypto")
    return new Uint8Array(await crypto.subtle.sign("Ed25519", keys.signing, message));
  const { signAsync } = await import("../vendor/ed25519.js");
  return signAsync(message, keys.signing);
}
