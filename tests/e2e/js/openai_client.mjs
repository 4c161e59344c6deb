// The openai package.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { BOTH, PLAIN, QUESTION, find_city, get_weather, run } from "./jobs.mjs";

const Weather = z.object({ city: z.string(), celsius: z.number() });

const tool = (call, argument) => ({
  type: "function",
  function: {
    name: call.name,
    description: `Takes a ${argument}.`,
    parameters: {
      type: "object",
      properties: { [argument]: { type: "string" } },
      required: [argument],
    },
    parse: JSON.parse,
    function: call,
  },
});
const tools = [tool(find_city, "person"), tool(get_weather, "city")];

const client = (baseURL) => new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
const asking = (content) => [{ role: "user", content }];
const usage = (counts) => [counts.prompt_tokens, counts.completion_tokens];

async function agent(url, model, question = QUESTION, options = {}) {
  const runner = client(url).chat.completions.runTools({
    model,
    messages: asking(question),
    tools,
    ...options,
  });
  const text = await runner.finalContent();
  const answers = runner.allChatCompletions();
  const calls = answers.flatMap(({ choices }) => choices[0].message.tool_calls ?? []);
  return {
    text,
    calls: calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
    finish: answers.map(({ choices }) => choices[0].finish_reason),
    usage: usage(answers.at(-1).usage),
  };
}

await run({
  async text(url, model) {
    const answer = await client(url).chat.completions.create({ model, messages: asking(PLAIN) });
    const [choice] = answer.choices;
    return {
      text: choice.message.content,
      finish: choice.finish_reason,
      usage: usage(answer.usage),
    };
  },
  async stream(url, model) {
    const stream = await client(url).chat.completions.create({
      model,
      messages: asking(PLAIN),
      stream: true,
      stream_options: { include_usage: true },
    });
    const pieces = [];
    let finish, counts;
    for await (const { choices, usage } of stream) {
      if (choices[0]?.delta.content) pieces.push(choices[0].delta.content);
      finish = choices[0]?.finish_reason ?? finish;
      counts = usage ?? counts;
    }
    return { text: pieces.join(""), pieces: pieces.length, finish, usage: usage(counts) };
  },
  agent: (url, model) => agent(url, model),
  agent_at_once: (url, model) => agent(url, model, BOTH),
  agent_streamed: (url, model) =>
    agent(url, model, QUESTION, { stream: true, stream_options: { include_usage: true } }),
  async embeddings(url, model) {
    const input = ["Why?", "How?"];
    const vectors = async (options) => {
      const { data } = await client(url).embeddings.create({ model, input, ...options });
      return data.map(({ embedding }) => embedding);
    };
    return { usual: await vectors({}), plain: await vectors({ encoding_format: "float" }) };
  },
  async structured(url, model) {
    const answer = await client(url).chat.completions.parse({
      model,
      messages: asking(QUESTION),
      response_format: zodResponseFormat(Weather, "weather"),
    });
    return { json: answer.choices[0].message.parsed };
  },
});
