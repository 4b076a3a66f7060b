// Elements, and requests to the server.

export const $ = (id) => document.getElementById(id);

/** Make an element: properties, or attributes where the name has a dash or is one; then children. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Show a line of trouble, or hide it where the text is empty. */
export function tell(where, text) {
  where.textContent = text;
  where.hidden = !text;
}

/** An answer that is no success; `status` 410: the photo is no longer in the server's memory. */
export class Trouble extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

async function answered(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Trouble("The server does not answer: start facepriv serve again, and open its new address.", 0);
  }
  if (answer.ok) return answer;
  let text = `The server refused this (${answer.status}).`;
  if ((answer.headers.get("content-type") || "").includes("json")) text = (await answer.json()).error;
  throw new Trouble(text, answer.status);
}

export const read = async (path) => (await answered(path)).json();

export const send = async (path, content) =>
  (await answered(path, { method: "POST", body: JSON.stringify(content) })).json();

export const sendBytes = async (path, body) => (await answered(path, { method: "POST", body })).json();

export const receiveBytes = async (path, content) =>
  (await answered(path, { method: "POST", body: JSON.stringify(content) })).blob();

/** Return a function that runs `work` again if it was called while `work` ran, and never twice at a time. */
export function coalesced(work) {
  let running = false;
  let again = false;
  return async function call() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      do {
        again = false;
        await work(() => again);
      } while (again);
    } finally {
      running = false;
    }
  };
}
