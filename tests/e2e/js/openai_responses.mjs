// The openai package with the Responses API: state by `previous_response_id`.

import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { BOTH, PLAIN, QUESTION, find_city, get_weather, run } from "./jobs.mjs";

const Weather = z.object({ city: z.string(), celsius: z.number() });
const functions = { find_city, get_weather };

const tool = (call, argument) => ({
  type: "function",
  name: call.name,
  description: `Takes a ${argument}.`,
  parameters: {
    type: "object",
    properties: { [argument]: { type: "string" } },
    required: [argument],
  },
  strict: false,
});
const tools = [tool(find_city, "person"), tool(get_weather, "city")];

const client = (baseURL) => new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
const usage = (counts) => [counts.input_tokens, counts.output_tokens];

async function loop(question, ask) {
  const calls = [];
  const finish = [];
  let input = question;
  let previous_response_id;
  for (;;) {
    const answer = await ask({ input, previous_response_id, tools });
    const found = answer.output.filter(({ type }) => type === "function_call");
    finish.push(found.length ? "tool_calls" : "stop");
    if (!found.length) {
      return { text: answer.output_text, calls, finish, usage: usage(answer.usage) };
    }
    previous_response_id = answer.id;
    input = found.map(({ name, call_id, arguments: text }) => {
      calls.push([name, JSON.parse(text)]);
      const output = functions[name](JSON.parse(text));
      return { type: "function_call_output", call_id, output };
    });
  }
}

const agent = (url, model, question) =>
  loop(question, (body) => client(url).responses.create({ model, ...body }));

await run({
  async text(url, model) {
    const answer = await client(url).responses.create({ model, input: PLAIN });
    return { text: answer.output_text, finish: "stop", usage: usage(answer.usage) };
  },
  async stream(url, model) {
    const events = await client(url).responses.create({ model, input: PLAIN, stream: true });
    const pieces = [];
    let last;
    for await (last of events) {
      if (last.type === "response.output_text.delta") pieces.push(last.delta);
    }
    if (last.type !== "response.completed") throw new Error(last.type);
    return {
      text: pieces.join(""),
      pieces: pieces.length,
      finish: "stop",
      usage: usage(last.response.usage),
    };
  },
  agent: (url, model) => agent(url, model, QUESTION),
  agent_at_once: (url, model) => agent(url, model, BOTH),
  agent_streamed: (url, model) =>
    loop(QUESTION, (body) => client(url).responses.stream({ model, ...body }).finalResponse()),
  async structured(url, model) {
    const answer = await client(url).responses.parse({
      model,
      input: QUESTION,
      text: { format: zodTextFormat(Weather, "weather") },
    });
    return { json: answer.output_parsed };
  },
});
