// Client of the public API; all request paths of the console are in this file. They are relative to the page, because
// a proxy may publish it under a path prefix.

import { Problem, Unreachable } from "./failures.js";
import { session } from "./session.js";

export const STATUSES = ["completed", "truncated", "client_cancelled", "blocked", "failed", "interrupted", "in_progress"];

/** Return the models, the default one first. */
export async function models() {
  return (await json("v1/models")).data;
}

/** Return the models that chat; the others compute embeddings. */
export async function chatModels() {
  return (await models()).filter(({ capabilities }) => !capabilities.includes("embeddings"));
}

/**
 * Begin an answer that goes on without this connection; return the id of its interaction and the stream of its events.
 * Aborting `signal` disconnects, which changes nothing for the answer.
 */
export async function beginAnswer(body, signal) {
  const response = await send("v1/chat", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, background: true, stream: true }),
    signal,
  });
  return { id: response.headers.get("X-Interaction-Id"), body: response.body };
}

/** Return the stream of an answer's events after the number `last`; null: of all. */
export async function answerBody(id, last, signal) {
  return (await send(`${answerPath(id)}/events?${query({ after: last })}`, { signal })).body;
}

/** Stop an answer; one that is complete stays as it is. */
export async function stopAnswer(id) {
  await send(`${answerPath(id)}/stop`, { method: "POST" });
}

/**
 * Return one page of the user's history; `filters` are the parameters of the API. A store that has to scan may return an
 * empty page before the last one; such pages are skipped.
 */
export async function history(filters, signal) {
  let cursor = filters.cursor;
  for (;;) {
    const page = await json(`${user()}?${query({ ...filters, cursor })}`, { signal });
    if (page.history.length || !page.nextCursor) return page;
    cursor = page.nextCursor;
  }
}

/** Return one interaction. */
export function interaction(id) {
  return json(`${user()}/${encodeURIComponent(id)}`);
}

/** Return the address of an attachment's content. */
export function attachmentPath(id) {
  return `${user()}/attachments/${encodeURIComponent(id)}`;
}

/** Return the content of an attachment. */
export async function attachment(id) {
  return whole((await send(attachmentPath(id))).blob());
}

/** Return one page of the user's conversations. */
export function conversations(filters) {
  return json(`${user()}/conversations?${query(filters)}`);
}

/** Give a conversation a title; an empty one restores the start of the first question. */
export async function renameConversation(id, title) {
  await send(conversationPath(id), { method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ title }) });
}

/** Erase a conversation and return the number of its interactions. */
export async function eraseConversation(id) {
  return (await json(conversationPath(id), { method: "DELETE" })).deleted;
}

/** Return the user's statistics, grouped by `day`, `model` or `provider`. */
export async function stats(filters) {
  return (await json(`${user()}/stats?${query(filters)}`)).groups;
}

/** Return the usage of all users, which needs the scope `admin:read`. */
export function usage(filters) {
  return json(`v1/usage?${query(filters)}`);
}

/** Return whether the credential may read the usage of all users; false also if the service cannot be reached. */
export async function mayReadUsage() {
  const now = new Date().toISOString();
  try {
    return (await fetched(`v1/usage?${query({ from: now, to: now })}`, { headers: session.headers() })).ok;
  } catch {
    return false;
  }
}

/** Return all of the user's history as a file; CSV with a byte order mark, which spreadsheets need to detect UTF-8. */
export async function exportHistory(format) {
  return whole((await send(`${user()}/export?${query({ format, bom: format === "csv" ? true : null })}`)).blob());
}

/** Erase one interaction. */
export async function erase(id) {
  await send(`${user()}/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/** Erase all interactions of the user and return their number. */
export async function eraseAll() {
  return (await json(user(), { method: "DELETE" })).deleted;
}

/** Return the readiness of the service and its degraded components; 503 is a valid response here. */
export async function readiness() {
  const response = await fetched("health/ready");
  if (![200, 503].includes(response.status)) throw await Problem.fromResponse(response);
  return whole(response.json());
}

function conversationPath(id) {
  return `${user()}/conversations/${encodeURIComponent(id)}`;
}

function answerPath(id) {
  return `${user()}/${encodeURIComponent(id)}`;
}

/** Return the path of the user's history; `me` while only the credential says whose it is. */
function user() {
  return `v1/history/${encodeURIComponent(session.userId || "me")}`;
}

function query(filters) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== "" && item !== null && item !== undefined) parameters.append(name, item);
    }
  }
  return parameters;
}

async function json(path, options) {
  return whole((await send(path, options)).json(), options?.signal);
}

/** Await a response or its body; a broken connection becomes `Unreachable`. */
async function whole(response, signal) {
  try {
    return await response;
  } catch (error) {
    throw signal?.aborted ? error : new Unreachable(error);
  }
}

async function send(path, options = {}) {
  const headers = { ...options.headers, ...session.headers() };
  const response = await fetched(path, { ...options, headers });
  if (response.ok) return response;
  if (response.status === 401) session.noteUnauthenticated();
  throw await Problem.fromResponse(response);
}

async function fetched(path, options = {}) {
  return whole(fetch(path, { cache: "no-store", credentials: "omit", ...options }), options.signal);
}
