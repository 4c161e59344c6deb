// The public API, as API clients use it: every path the console asks stands in this file. They are relative to the
// page, which a proxy may show under a path of its own.

import { Problem, Unreachable } from "./failures.js";
import { session } from "./session.js";
import { eventsOf } from "./sse.js";

export const STATUSES = ["completed", "truncated", "client_cancelled", "blocked", "failed", "interrupted"];

/** Return what can be asked, the default first. */
export async function models() {
  return (await json("v1/models")).data;
}

/** Yield the events of a streamed chat with their objects; aborting `signal` hangs up, which cancels the model. */
export async function* chat(body, signal) {
  const response = await send("v1/chat", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  try {
    for await (const { event, data } of eventsOf(response.body)) yield { event, data: JSON.parse(data) };
  } catch (error) {
    throw signal.aborted ? error : new Unreachable(error);
  }
}

/**
 * Return one page of the user's history; `filters` are the API's own parameters. A store that has to look through
 * everything may send an empty page that is not the last: it goes on until there is something, or nothing more.
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

/** Return one interaction that is just being kept. */
export async function interactionOnceKept(id) {
  await history({ afterId: id, wait: 5, limit: 1, status: STATUSES });
  return interaction(id);
}

/** Return one page of the user's conversations. */
export function conversations(filters) {
  return json(`${user()}/conversations?${query(filters)}`);
}

/** Return the user's figures: groups by `day`, `model` or `provider`. */
export async function stats(filters) {
  return (await json(`${user()}/stats?${query(filters)}`)).groups;
}

/** Return all of the user's history as a file; CSV with a byte order mark, because a spreadsheet will open it. */
export async function exported(format) {
  return whole((await send(`${user()}/export?${query({ format, bom: format === "csv" ? true : null })}`)).blob());
}

/** Erase one interaction. */
export async function erase(id) {
  await send(`${user()}/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/** Erase everything and return how much there was. */
export async function eraseAll() {
  return (await json(user(), { method: "DELETE" })).deleted;
}

/** Return whether the service is ready, and what is degraded; not being ready is no failure of the question. */
export async function readiness() {
  const response = await fetched("health/ready");
  if (![200, 503].includes(response.status)) throw await Problem.of(response);
  return whole(response.json());
}

function user() {
  return `v1/history/${encodeURIComponent(session.userId)}`;
}

function query(filters) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== "" && one !== null && one !== undefined) parameters.append(name, one);
    }
  }
  return parameters;
}

async function json(path, options) {
  return whole((await send(path, options)).json(), options?.signal);
}

/** Return an answer, or its body, once it is there; one that breaks off is as good as none. */
async function whole(answer, signal) {
  try {
    return await answer;
  } catch (error) {
    throw signal?.aborted ? error : new Unreachable(error);
  }
}

async function send(path, options = {}) {
  const headers = { ...options.headers, ...session.headers() };
  const response = await fetched(path, { ...options, headers });
  if (response.ok) return response;
  if (response.status === 401) session.beAsked();
  throw await Problem.of(response);
}

async function fetched(path, options = {}) {
  return whole(fetch(path, { cache: "no-store", credentials: "omit", ...options }), options.signal);
}
