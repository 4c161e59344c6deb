// One question and what becomes of it. Knows nothing of the page: whoever shows it sets `onchange`.

import * as api from "./api.js";
import { Problem, Unreachable } from "./failures.js";
import { session } from "./session.js";

export class Turn {
  state = "waiting"; // then `writing`; at the end `done`, `stopped` or `failed`
  text = "";
  id = null;
  interaction = null;
  problem = null;
  isKept = true;
  onchange = () => {};
  #abort = new AbortController();

  /** A question that is about to be asked; `request` is the body of POST /v1/chat without the user. */
  constructor(request) {
    this.request = request;
    this.prompt = request.userPrompt;
    this.model = request.model ?? "";
  }

  /** Return a turn as history has it. */
  static kept(interaction) {
    const turn = new Turn({ userPrompt: interaction.userPrompt, model: interaction.requestedModel });
    turn.#become(interaction);
    return turn;
  }

  get isOver() {
    return !["waiting", "writing"].includes(this.state);
  }

  /** Ask, and follow the answer to its end; whatever goes wrong is told in `problem`. */
  async ask() {
    const user = session.userId ? { userId: session.userId } : {};
    try {
      for await (const { event, data } of api.chat({ ...this.request, ...user }, this.#abort.signal)) {
        this.#take(event, data);
        this.onchange();
      }
      if (!this.isOver) throw new Unreachable(new Error("the stream ended early"));
    } catch (error) {
      if (this.#abort.signal.aborted) await this.#stopped();
      else this.#fail(error);
    }
    this.onchange();
  }

  /** Hang up: the service cancels the model and keeps what came until now. */
  stop() {
    if (!this.isOver) this.#abort.abort();
  }

  #take(event, data) {
    if (event === "meta") {
      this.id = data.id;
      this.model = data.model;
    } else if (event === "delta") {
      this.state = "writing";
      this.text += data.text;
    } else if (event === "done") {
      this.isKept = data.history.status === "accepted";
      session.learn(data.userId);
      this.#become({ ...data, response: this.text });
    } else if (event === "error") {
      throw Problem.inStream(data);
    }
  }

  /** Show it as stopped at once, and what it cost as soon as history has it. */
  async #stopped() {
    this.state = "stopped";
    this.onchange();
    if (this.id === null || !session.userId) return;
    try {
      this.interaction = await api.interactionOnceKept(this.id);
    } catch {
      // Stopped it is all the same; history shows the rest when it can be read.
    }
  }

  #fail(error) {
    this.problem = error instanceof Problem || error instanceof Unreachable ? error : new Unreachable(error);
    this.state = "failed";
  }

  #become(interaction) {
    this.interaction = interaction;
    this.id = interaction.id;
    this.model = interaction.model;
    this.text = interaction.response;
    this.state = interaction.status === "client_cancelled" ? "stopped" : "done";
  }
}
