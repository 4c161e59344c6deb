// Events of a background answer, read over as many connections as it takes.

import * as api from "./api.js";
import { Unreachable } from "./failures.js";
import { readEvents } from "./sse.js";

const FIRST_PAUSE_MILLISECONDS = 500;
const LONGEST_PAUSE_MILLISECONDS = 10_000;
const LONGEST_SILENCE_MILLISECONDS = 40_000; // the service sends a ping at least every 15 s

/**
 * Yield `{event, data}` until `done` or `error`. The first connection is `body`, the one of the answer's request, or null;
 * after a connection that broke, another one goes on after the last event, or begins anew, with a `restart`, where events have
 * no numbers. `onlost` is called with true when one breaks, and with false when the next one is open. Aborting `signal` ends
 * the reading, not the answer.
 */
export async function* answerEvents(id, body, signal, onlost) {
  let last = null;
  let isBegun = false;
  let attempt = 0;
  for (;;) {
    const silence = new Silence();
    try {
      body ??= await api.answerBody(id, last, AbortSignal.any([signal, silence.signal]));
      if (attempt > 0) onlost(false);
      if (isBegun && last === null) yield { event: "restart", data: {} };
      for await (const { id: number, event, data } of readEvents(silence.watched(body))) {
        last = number;
        isBegun = true;
        attempt = 0;
        yield { event, data: JSON.parse(data) };
        if (event === "done" || event === "error") return;
      }
    } catch (error) {
      if (signal.aborted || !isBroken(error)) throw error;
    } finally {
      silence.end();
    }
    body = null;
    onlost(true);
    await pause(attempt, signal);
    attempt += 1;
  }
}

/** Stop an answer for all of its readers; repeated until the service has received it. */
export async function stopAnswer(id, signal) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await api.stopAnswer(id);
      return;
    } catch (error) {
      if (!isBroken(error)) throw error;
    }
    await pause(attempt, signal);
  }
}

/** Return whether the same request may succeed later: the connection is lost, or the service cannot answer at the moment. */
function isBroken(error) {
  return !(error instanceof SyntaxError) && (error.isRetryable ?? true);
}

/** Aborts a connection on which nothing comes for a while: a network may vanish without closing it. */
class Silence {
  #controller = new AbortController();
  #timer = 0;

  constructor() {
    this.#restart();
  }

  get signal() {
    return this.#controller.signal;
  }

  /** Return the stream; each of its bytes, also of a ping, ends the silence. */
  watched(body) {
    const noting = new TransformStream({
      transform: (chunk, controller) => {
        this.#restart();
        controller.enqueue(chunk);
      },
    });
    return body.pipeThrough(noting, { signal: this.signal });
  }

  end() {
    clearTimeout(this.#timer);
  }

  #restart() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(new Unreachable(new Error("silence"))), LONGEST_SILENCE_MILLISECONDS);
  }
}

/** Wait before the next attempt, twice as long each time; less when the browser is online again. */
function pause(attempt, signal) {
  const milliseconds = Math.min(FIRST_PAUSE_MILLISECONDS * 2 ** attempt, LONGEST_PAUSE_MILLISECONDS);
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const end = (settle) => () => {
      clearTimeout(timer);
      over.abort();
      settle();
    };
    const timer = setTimeout(end(resolve), milliseconds * (0.5 + Math.random() / 2));
    addEventListener("online", end(resolve), { signal: over.signal });
    signal.addEventListener("abort", end(() => reject(signal.reason)), { signal: over.signal });
  });
}
