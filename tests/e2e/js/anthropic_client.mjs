// The @anthropic-ai/sdk package.

import Anthropic from "@anthropic-ai/sdk";

import { BOTH, PLAIN, QUESTION, find_city, get_weather, run } from "./jobs.mjs";

const functions = { find_city, get_weather };
const tool = (name, argument) => ({
  name,
  description: `Takes a ${argument}.`,
  input_schema: {
    type: "object",
    properties: { [argument]: { type: "string" } },
    required: [argument],
  },
});
const tools = [tool("find_city", "person"), tool("get_weather", "city")];
const format = {
  type: "json_schema",
  schema: {
    type: "object",
    properties: { city: { type: "string" }, celsius: { type: "integer" } },
    required: ["city", "celsius"],
    additionalProperties: false,
  },
};

const client = (url) =>
  new Anthropic({ baseURL: url.replace(/\/v1$/, ""), apiKey: "unused", maxRetries: 0 });
const asking = (content) => [{ role: "user", content }];
const textOf = ({ content }) =>
  content.map((block) => (block.type === "text" ? block.text : "")).join("");
const outcome = (answer) => ({
  text: textOf(answer),
  finish: answer.stop_reason,
  usage: [answer.usage.input_tokens, answer.usage.output_tokens],
});

async function agent(ask, question = QUESTION) {
  const messages = asking(question);
  const calls = [];
  const finish = [];
  for (;;) {
    const answer = await ask(messages);
    finish.push(answer.stop_reason);
    const uses = answer.content.filter(({ type }) => type === "tool_use");
    if (uses.length === 0) return { ...outcome(answer), calls, finish };
    messages.push({ role: "assistant", content: answer.content });
    calls.push(...uses.map(({ name, input }) => [name, input]));
    const content = uses.map(({ id, name, input }) => ({
      type: "tool_result",
      tool_use_id: id,
      content: functions[name](input),
    }));
    messages.push({ role: "user", content });
  }
}

const creating = (url, model) => (messages) =>
  client(url).messages.create({ model, max_tokens: 1000, messages, tools });

await run({
  async text(url, model) {
    const messages = asking(PLAIN);
    return outcome(await client(url).messages.create({ model, max_tokens: 1000, messages }));
  },
  async stream(url, model) {
    const messages = asking(PLAIN);
    const stream = client(url).messages.stream({ model, max_tokens: 1000, messages });
    const pieces = [];
    stream.on("text", (text) => pieces.push(text));
    return { ...outcome(await stream.finalMessage()), pieces: pieces.length };
  },
  agent: (url, model) => agent(creating(url, model)),
  agent_at_once: (url, model) => agent(creating(url, model), BOTH),
  agent_streamed: (url, model) =>
    agent((messages) =>
      client(url)
        .messages.stream({ model, max_tokens: 1000, messages, tools })
        .finalMessage(),
    ),
  async structured(url, model) {
    const answer = await client(url).messages.create({
      model,
      max_tokens: 1000,
      messages: asking(QUESTION),
      output_config: { format },
    });
    return { json: JSON.parse(textOf(answer)) };
  },
});
