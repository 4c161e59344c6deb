// State of one prompt and its answer, independent of the page. A view sets `onchange`.

import { answerEvents, stopAnswer } from "./answer_events.js";
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
  isLost = false; // the connection is lost, and the answer goes on
  onchange = () => {};
  parent; // the turn it continues, null for none; undefined where only history tells
  #reading = new AbortController();

  /** Create a turn that is not sent yet; `request` is the body of POST /v1/chat without the user, its attachments with `blob`. */
  constructor(request) {
    this.request = request;
    this.prompt = request.userPrompt ?? "";
    this.attachments = request.attachments ?? [];
    this.toolResults = request.toolResults ?? [];
    this.model = request.model ?? "";
    this.previousId = request.previousId;
  }

  /** Return the turn of an interaction in history. */
  static fromInteraction(interaction) {
    const { userPrompt, attachments, requestedModel, previousId } = interaction;
    const turn = new Turn({ userPrompt, attachments, model: requestedModel, previousId });
    turn.#update(interaction);
    return turn;
  }

  /** What was asked, as content of a request. */
  get content() {
    const { prompt, attachments, toolResults } = this;
    return { ...(prompt && { userPrompt: prompt }), ...(attachments.length && { attachments }), ...(toolResults.length && { toolResults }) };
  }

  get isOver() {
    return !["waiting", "writing"].includes(this.state);
  }

  /** Whether the turn is a part of the conversation: it has text or calls, or its answer ended without any. */
  get isAnswered() {
    if (this.text !== "" || this.toolCalls.length > 0) return true;
    return this.state === "stopped" || (this.interaction !== null && ["completed", "truncated", "client_cancelled"].includes(this.interaction.status));
  }

  /** Whether `close` was called. */
  get isClosed() {
    return this.#reading.signal.aborted;
  }

  /** Send the request and read its answer to the end; errors are stored in `problem`. */
  ask() {
    return this.#read(async (signal) => {
      const body = { ...this.request, ...(session.userId && { userId: session.userId }) };
      if (this.attachments.length) body.attachments = await Promise.all(this.attachments.map(encoded));
      const begun = await api.beginAnswer(body, signal);
      this.id = begun.id;
      if (this.state === "stopped") this.#stop();
      return begun.body;
    });
  }

  /** Read the answer of an interaction in progress from its beginning to its end; errors are stored in `problem`. */
  follow() {
    return this.#read(() => null);
  }

  /** Stop the answer for all of its readers; the service cancels the provider call and stores the partial answer. */
  stop() {
    if (this.isOver) return;
    this.state = "stopped";
    this.onchange();
    if (this.id !== null) this.#stop(); // otherwise once the request is answered
  }

  /** Read no more; the answer goes on. */
  close() {
    this.#reading.abort();
  }

  async #read(begin) {
    const { signal } = this.#reading;
    try {
      const body = await begin(signal);
      for await (const { event, data } of answerEvents(this.id, body, signal, (isLost) => this.#lost(isLost))) {
        this.#take(event, data);
        this.onchange();
      }
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
    this.onchange();
  }

  #lost(isLost) {
    this.isLost = isLost;
    this.onchange();
  }

  async #stop() {
    const { signal } = this.#reading;
    try {
      await stopAnswer(this.id, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(error);
      this.onchange();
    }
  }

  #take(event, data) {
    if (event === "meta") {
      this.model = data.model;
    } else if (event === "delta") {
      this.#begin();
      this.text += data.text;
    } else if (event === "reasoning") {
      this.reasoning += data.text;
    } else if (event === "tool_call") {
      this.#begin();
      this.toolCalls.push(data);
    } else if (event === "restart") {
      this.text = this.reasoning = "";
      this.toolCalls = [];
      if (this.state === "writing") this.state = "waiting";
    } else if (event === "done") {
      this.isStored = data.history.status === "accepted";
      session.setUserFromAnswer(data.userId);
      this.#update({ ...data, response: this.text });
    } else if (event === "error") {
      throw Problem.fromStreamEvent(data);
    }
  }

  #begin() {
    if (this.state === "waiting") this.state = "writing";
  }

  #fail(error) {
    this.problem = error instanceof Problem || error instanceof Unreachable ? error : new Unreachable(error);
    this.state = "failed";
  }

  #update(interaction) {
    this.id = interaction.id;
    this.model = interaction.model;
    this.toolResults = interaction.toolResults ?? this.toolResults;
    if (interaction.status === "in_progress") return;
    this.interaction = interaction;
    this.text = interaction.response;
    this.reasoning = interaction.reasoning ?? this.reasoning;
    this.toolCalls = interaction.toolCalls ?? this.toolCalls;
    this.state = interaction.status === "client_cancelled" ? "stopped" : "done";
  }
}
