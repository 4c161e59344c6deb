// Runs the jobs that a test writes to a client's standard input, one a line, and prints each outcome.

import { createInterface } from "node:readline";

export const QUESTION = "How is the weather where Ana is?";
export const BOTH = "Where is Ana, and how is the weather in Rome? Find out at once.";
export const PLAIN = "How are you?";
export const LOOK = "What are these?";
export const PNG = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(16)]);
export const PDF = Buffer.from("%PDF-1.7\n");

export const find_city = ({ person }) => ({ Ana: "Oslo" })[person];
export const get_weather = ({ city }) => ({ Oslo: "22 °C", Rome: "31 °C" })[city];

/** Runs each job; an error is its outcome. */
export async function run(tasks) {
  for await (const line of createInterface({ input: process.stdin })) {
    const job = JSON.parse(line);
    const outcome = await tasks[job.task](job.url, job.model).catch((error) => ({
      error: `${error.stack}`,
    }));
    console.log(JSON.stringify(outcome));
  }
}
