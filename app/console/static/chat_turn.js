// State of one prompt and its answer, independent of the page. A view sets `onchange`.

import * as api from "./api.js";
import { encoded } from "./attachments.js";
import { Problem, Unreachable } from "./failures.js";
import { session } from "./session.js";

export class Turn {
  state = "waiting"; // then `writing`; at the end `done`, `stopped` or `failed`
  text = "";
  reasoning = "";
  toolCalls = [];
  drafts = new Map(); // of results, by the id of the call
  id = null;
  interaction = null;
  problem = null;
  isStored = true;
  onchange = () => {};
  #abort = new AbortController();

  /** Create a turn that is not sent yet; `request` is the body of POST /v1/chat without the user, its attachments with `blob`. */
  constructor(request) {
    this.request = request;
    this.prompt = request.userPrompt ?? "";
    this.attachments = request.attachments ?? [];
    this.toolResults = request.toolResults ?? [];
    this.model = request.model ?? "";
  }

  /** Return the turn of an interaction in history. */
  static fromInteraction(interaction) {
    const { userPrompt, attachments, requestedModel } = interaction;
    const turn = new Turn({ userPrompt, attachments, model: requestedModel });
    turn.#update(interaction);
    return turn;
  }

  get isOver() {
    return !["waiting", "writing"].includes(this.state);
  }

  /** Whether the turn is a part of the conversation: it has text or calls, or its answer ended without any. */
  get isAnswered() {
    if (this.text !== "" || this.toolCalls.length > 0) return true;
    return this.state === "stopped" || (this.interaction !== null && ["completed", "truncated", "client_cancelled"].includes(this.interaction.status));
  }

  /** Send the request and read its answer to the end; errors are stored in `problem`. */
  async ask() {
    const body = { ...this.request, ...(session.userId && { userId: session.userId }) };
    try {
      if (this.attachments.length) body.attachments = await Promise.all(this.attachments.map(encoded));
      for await (const { event, data } of api.chat(body, this.#abort.signal)) {
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

  /** Disconnect; the service cancels the provider call and stores the partial answer. */
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
    } else if (event === "reasoning") {
      this.reasoning += data.text;
    } else if (event === "tool_call") {
      this.state = "writing";
      this.toolCalls.push(data);
    } else if (event === "done") {
      this.isStored = data.history.status === "accepted";
      session.setUserFromAnswer(data.userId);
      this.#update({ ...data, response: this.text });
    } else if (event === "error") {
      throw Problem.fromStreamEvent(data);
    }
  }

  /** Change to `stopped` at once, and add the facts when the interaction is in history. */
  async #stopped() {
    this.state = "stopped";
    this.onchange();
    if (this.id === null || !session.userId) return;
    try {
      this.interaction = await api.interactionOnceStored(this.id);
    } catch {
      // The facts are missing; the turn is stopped nevertheless.
    }
  }

  #fail(error) {
    this.problem = error instanceof Problem || error instanceof Unreachable ? error : new Unreachable(error);
    this.state = "failed";
  }

  #update(interaction) {
    this.interaction = interaction;
    this.id = interaction.id;
    this.model = interaction.model;
    this.text = interaction.response;
    this.reasoning = interaction.reasoning ?? this.reasoning;
    this.toolCalls = interaction.toolCalls ?? this.toolCalls;
    this.toolResults = interaction.toolResults ?? this.toolResults;
    this.state = interaction.status === "client_cancelled" ? "stopped" : "done";
  }
}
