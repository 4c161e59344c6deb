// The Vercel AI SDK, with its provider for OpenAI-compatible servers or, with the argument `responses`, with that for OpenAI.

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { BOTH, PLAIN, QUESTION, find_city, get_weather, run } from "./jobs.mjs";

const Weather = z.object({ city: z.string(), celsius: z.number() });

const tools = {
  find_city: tool({
    description: "Returns the city in which a person is.",
    inputSchema: z.object({ person: z.string() }),
    execute: find_city,
  }),
  get_weather: tool({
    description: "Returns the weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: get_weather,
  }),
};

const provider = (baseURL) =>
  process.argv.includes("responses")
    ? createOpenAI({ baseURL, apiKey: "unused" })
    : createOpenAICompatible({
        name: "rt-genai",
        baseURL,
        apiKey: "unused",
        includeUsage: true,
        supportsStructuredOutputs: true,
      });
const options = (baseURL, model) => ({ model: provider(baseURL)(model), maxRetries: 0 });
const usage = (counts) => [counts.inputTokens, counts.outputTokens];

const traced = (text, steps) => ({
  text,
  calls: steps.flatMap(({ toolCalls }) => toolCalls.map((call) => [call.toolName, call.input])),
  finish: steps.map(({ finishReason }) => finishReason),
  usage: usage(steps.at(-1).usage),
});

async function agent(url, model, prompt) {
  const result = await generateText({
    ...options(url, model),
    prompt,
    tools,
    stopWhen: stepCountIs(5),
  });
  return traced(result.text, result.steps);
}

await run({
  async text(url, model) {
    const result = await generateText({ ...options(url, model), prompt: PLAIN });
    return { text: result.text, finish: result.finishReason, usage: usage(result.usage) };
  },
  async stream(url, model) {
    const result = streamText({ ...options(url, model), prompt: PLAIN });
    const pieces = [];
    for await (const piece of result.textStream) pieces.push(piece);
    return {
      text: pieces.join(""),
      pieces: pieces.length,
      finish: await result.finishReason,
      usage: usage(await result.usage),
    };
  },
  agent: (url, model) => agent(url, model, QUESTION),
  agent_at_once: (url, model) => agent(url, model, BOTH),
  async agent_streamed(url, model) {
    const result = streamText({
      ...options(url, model),
      prompt: QUESTION,
      tools,
      stopWhen: stepCountIs(5),
    });
    await result.consumeStream();
    return traced(await result.text, await result.steps);
  },
  async structured(url, model) {
    const result = await generateText({
      ...options(url, model),
      prompt: QUESTION,
      output: Output.object({ schema: Weather }),
    });
    return { json: result.output };
  },
});
