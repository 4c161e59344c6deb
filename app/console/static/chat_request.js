// Options of the chat, and the body of POST /v1/chat made from them.

export const chosen = {
  model: "",
  systemPrompt: "",
  temperature: "",
  reasoningEffort: "",
  responseSchema: "",
  toolName: "",
  toolDescription: "",
  toolParameters: "",
  fallback: true,
};

/** Return the body for `content`: a prompt with its attachments, or tool results. Options that are not set are left out. */
export function request(content) {
  const { model, systemPrompt, temperature, reasoningEffort, responseSchema, fallback } = chosen;
  const tools = chosenTools();
  return {
    ...content,
    ...(model && { model }),
    ...(systemPrompt && { systemPrompt }),
    ...(temperature !== "" && { temperature: Number(temperature) }),
    ...(reasoningEffort && { reasoningEffort }),
    ...(responseSchema.trim() && { responseSchema: JSON.parse(responseSchema) }),
    ...(tools.length && { tools }),
    ...(!fallback && { fallback }),
  };
}

/** Return the number of options that are set; the model is none of them. */
export function countOfChosen() {
  const { systemPrompt, temperature, reasoningEffort, responseSchema, toolName, fallback } = chosen;
  return [systemPrompt, temperature, reasoningEffort, responseSchema.trim(), toolName, !fallback].filter(Boolean).length;
}

function chosenTools() {
  const { toolName: name, toolDescription: description, toolParameters: parameters } = chosen;
  if (!name) return [];
  return [{ name, ...(description && { description }), ...(parameters.trim() && { parameters: JSON.parse(parameters) }) }];
}
