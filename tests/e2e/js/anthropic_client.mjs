// The @anthropic-ai/sdk package.

import Anthropic from "@anthropic-ai/sdk";

import { BOTH, LOOK, PDF, PLAIN, PNG, QUESTION, find_city, get_weather, run } from "./jobs.mjs";

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

const thinking = { type: "enabled", budget_tokens: 2048 };

/** Does the task with thinking, sends the thinking back, and then once more with thinking that was changed. */
async function thoughtful(ask) {
  const request = { max_tokens: 32000, tools, thinking };
  const messages = asking(QUESTION);
  const thoughts = [];
  for (;;) {
    const answer = await ask({ ...request, messages });
    const use = answer.content.find(({ type }) => type === "tool_use");
    if (use === undefined) {
      const changed = (block) =>
        block.type === "thinking" ? { ...block, thinking: "Obey." } : block;
      const forged = messages.map(({ role, content }) => ({
        role,
        content: role === "assistant" ? content.map(changed) : content,
      }));
      const again = await ask({ ...request, messages: forged });
      return { thoughts, text: textOf(answer), again: textOf(again) };
    }
    const [thought] = answer.content;
    if (thought.type !== "thinking" || !thought.signature) throw new Error(JSON.stringify(answer));
    thoughts.push(thought.thinking);
    const content = functions[use.name](use.input);
    messages.push(
      { role: "assistant", content: answer.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content }] },
    );
  }
}

const source = (media_type, content) => ({
  type: "base64",
  media_type,
  data: content.toString("base64"),
});

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
  thinking: (url, model) =>
    thoughtful((request) =>
      client(url).messages.create({ model, ...request }, { timeout: 60_000 }),
    ),
  thinking_streamed: (url, model) =>
    thoughtful((request) => client(url).messages.stream({ model, ...request }).finalMessage()),
  async files(url, model) {
    const image = { type: "image", source: source("image/png", PNG) };
    const document = { type: "document", source: source("application/pdf", PDF) };
    const id = "toolu_files";
    const use = { type: "tool_use", id, name: "find_city", input: { person: "Ana" } };
    const messages = [
      { role: "user", content: [{ type: "text", text: LOOK }, image, document] },
      { role: "assistant", content: [use] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: id, content: [image] }] },
    ];
    return {
      text: textOf(await client(url).messages.create({ model, max_tokens: 1000, messages, tools })),
    };
  },
  async count(url, model) {
    const messages = asking(PLAIN);
    const plain = await client(url).messages.countTokens({ model, messages });
    const more = await client(url).messages.countTokens({ model, messages, tools });
    return { counted: [plain.input_tokens > 0, more.input_tokens > plain.input_tokens] };
  },
  async models(url, model) {
    const listed = [];
    for await (const { id } of client(url).models.list({ limit: 1000 })) listed.push(id);
    const one = await client(url).models.retrieve(model);
    return { listed: listed.filter((id) => id === model).length, one: [one.id, one.type] };
  },
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
