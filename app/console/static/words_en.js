// English texts. `{name}` is replaced by a value; `{ one, other }` are plural forms.

export const ENGLISH = {
  // The frame
  chat: "Chat", history: "History", overview: "Overview", usage: "Usage",
  sections: "Sections", skip: "Skip to the content",
  toOther: "Mudar para português",
  theme_auto: "Theme: as the system", theme_light: "Theme: light", theme_dark: "Theme: dark",
  ready: "Ready", not_ready: "Not ready", unreachable: "Unreachable", looking: "Checking…",
  degradedCount: { one: "{count} part degraded", other: "{count} parts degraded" },
  offline: "You are offline. You can read what is loaded, but not send questions.",
  serviceGone: "The service does not answer. The console reconnects automatically.",

  code: "code", table: "table", copyCode: "Copy code", copied: "Copied", close: "Close", cancel: "Cancel", save: "Save", again: "Try again", loading: "Loading…", more: "Show more",

  // Who asks
  accountOf: "User: {user}", nobody: "no user",
  accountTitle: "User and access",
  userId: "User", userHint: "Owner of the chats and the history. Any name is accepted.",
  userHintWithKey: "Leave it empty where the key or token is a user's own.",
  userInvalid: "Letters, digits and . _ : @ | + = ~ - only, 128 at the most; a letter, a digit, _ or - first.",
  credential: "Key or token", credentialHint: "Stored in this tab's memory only; a reload forgets it.",
  credentialKept: "One is set. Leave empty to keep it.",
  forget: "Forget the key", noCredential: "This service requires no key.",
  enterCredential: "Enter a key or token",
  whoFirst: "Whose history?", whoFirstHint: "Enter the user, or ask something in the chat first: the answer contains the user of this key.",

  // Chat
  conversations: "Conversations", newChat: "New chat", noConversations: "Conversations appear here once you have asked something.",
  turns: { one: "{count} turn", other: "{count} turns" },
  hello: "What would you like to know?",
  helloHint: "Pick a model, ask, and watch the answer arrive. Every interaction is stored in the history.",
  example1: "What is an event loop, in three sentences?", example2: "Compare SQLite and MongoDB in a small table.", example3: "Write a haiku about durable writes.",
  prompt: "Your question", promptPlaceholder: "Ask something…", promptHint: "Shift + Enter for a new line",
  model: "Model", defaultModel: "default", noModels: "No models", send: "Send", stop: "Stop", options: "Options",
  systemPrompt: "System prompt", systemPromptHint: "Instructions for the model, sent before the question.",
  temperature: "Temperature", temperatureHint: "0 to 2; empty leaves it to the model.",
  mayFallBack: "Another model may answer if this one cannot",
  you: "You", answer: "Answer", waiting: "Waiting for the first word", connectionLost: "The connection is lost. The answer continues; reconnecting…", writing: "Answering…",
  sayAnswering: "{model} is answering", sayDone: "The answer is complete", sayStopped: "Stopped", sayFailed: "The answer failed: {title}",
  stopped: "Stopped", stoppedEarly: "Stopped before any text.", emptyAnswer: "The model ended without any text.",
  cutOff: "Broken off: what came until then is above.", blockedHere: "A safety filter ended the answer here.", lengthCut: "The model's limit ended the answer here.",
  reasoningEffort: "Reasoning effort", effort_default: "left to the model", effort_none: "none", effort_minimal: "minimal", effort_low: "low", effort_medium: "medium", effort_high: "high",
  responseSchema: "Response schema", responseSchemaHint: "JSON Schema; the answer is then JSON that fits it.",
  optionsSet: { one: "set", other: "set" },
  notJson: "Not valid JSON: {reason}", notAnObject: "Must be a JSON object, in braces.",
  tool: "Tool", toolHint: "The model may call it; you type the result.",
  toolName: "Name", toolNameHint: "Empty: no tool is offered.", toolNameRule: "Letters, digits, _ and - only, 64 at the most; a letter or _ first.",
  toolDescription: "Description", toolParameters: "Parameters", toolParametersHint: "JSON Schema of an object; empty for none.",
  toolExample: "Fill in an example", toolExampleDescription: "Returns the current weather of a city.",

  // Tool calls, results, reasoning
  reasoning: "Reasoning", callOf: "Calls", arguments: "arguments", resultOf: "Result of", failedResultOf: "Failed:", result: "Result",
  sayCalls: { one: "The model calls {names} and waits for the result", other: "The model calls {names} and waits for {count} results" },
  resultsTitle: { one: "Result of the call", other: "Results of the {count} calls" },
  resultsHint: "Type what the tool returns. If you ask something else instead, the model is informed that the call was not carried out.",
  resultIsJson: "JSON", toolFailed: "The tool failed", sendResults: { one: "Send the result", other: "Send the results" },
  toolResults: "Tool results", resultsCount: { one: "{count} tool result", other: "{count} tool results" }, callsTools: "Calls {names}",

  // Attachments
  attachments: "Attachments", attachmentsCount: { one: "{count} attachment", other: "{count} attachments" },
  attach: "Attach files", removeFile: "Remove {name}", removedFile: "{name} was removed", downloadFile: "Download {name}",
  attachedFiles: { one: "Attached: {names}", other: "{count} files attached: {names}" },
  pastedFile: "pasted file", image: "image", file: "file", notShown: "cannot be shown", notLoaded: "The file could not be loaded.",
  wrongType: "{name} cannot be attached: only PNG, JPEG, WebP and GIF images, PDF, WAV and MP3 audio, and text files.",
  tooLarge: "{name} is larger than {most}.", emptyFile: "{name} is empty.", unreadableFile: "{name} cannot be read.",
  tooManyFiles: "At most {count} files can be attached.",

  // Branches of a conversation
  regenerate: "Regenerate", editQuestion: "Edit the question", askAgain: "Ask again",
  branches: "Branches", previousBranch: "Previous branch", nextBranch: "Next branch", branchOf: "{position} / {count}", sayBranch: "Branch {position} of {count}",

  // Search
  searchConversations: "Search conversations", hits: { one: "{count} turn found", other: "{count} turns found" }, hitsSoFar: { one: "{count} turn shown", other: "{count} turns shown" },
  noHits: "No turn has all of these words. Only whole words are found.",

  earlier: "Show earlier turns", toLatest: "To the latest", copyAnswer: "Copy the answer",
  seeInHistory: "See in history", notPersisted: "Not stored: the history is unavailable",

  // Facts of an interaction
  firstWordAfter: "first word after {time}",
  tokens: { one: "{count} token", other: "{count} tokens" },
  tokenCounts: "{input} in, {output} out",
  fallbackFor: "fallback, stood in for {model}", fallback: "Fallback",
  attempts: { one: "{count} attempt", other: "{count} attempts" },
  noAttempts: "No provider was called.",
  status_completed: "Completed", status_truncated: "Truncated", status_client_cancelled: "Cancelled", status_blocked: "Blocked", status_failed: "Failed", status_interrupted: "Interrupted", status_in_progress: "In progress",
  outcome_ok: "answered", outcome_timeout: "no answer in time", outcome_unavailable: "not available", outcome_rate_limited: "rate limited", outcome_misconfigured: "API key rejected", outcome_rejected: "rejected the request",
  outcome_context_too_long: "context too long", outcome_blocked: "blocked", outcome_no_route: "no route", outcome_bulkhead_full: "full", outcome_error: "failed", outcome_lost: "lost with its process",

  // History
  searchHistory: "Search", searchPlaceholder: "Words in questions and answers", search: "Search", filters: "Filters", filtersActive: { one: "Filters, {count} set", other: "Filters, {count} set" },
  anyModel: "any", anyProvider: "any", provider: "Provider", conversation: "Conversation", status: "Status", statusHint: "None chosen: those with an answer.",
  from: "From", to: "Before", order: "Order", newestFirst: "Newest first", oldestFirst: "Oldest first", apply: "Apply", clear: "Clear",
  exportAs: "Export as {format}", exporting: "Exporting…", exported: "Exported as {file}",
  eraseAll: "Erase all", eraseAllTitle: "Erase all of {user}’s history?", eraseAllText: "Every interaction and conversation of this user is permanently erased, including those that have not reached the store yet.",
  erase: "Erase", eraseTitle: "Erase this interaction?", eraseText: "It is permanently erased.",
  renameTitle: "Rename the conversation", renameOf: "Rename “{title}”", eraseOf: "Erase “{title}”", title: "Title", titleHint: "Empty: the start of the first question.",
  eraseConversationTitle: "Erase “{title}”?", eraseConversationText: "All interactions of this conversation are permanently erased.",
  erased: { one: "{count} interaction erased", other: "{count} interactions erased" },
  nothingYet: "Nothing here yet", nothingYetHint: "What you ask in the chat is stored here.", askNow: "Ask something",
  nothingFound: "Nothing found", nothingFoundHint: "No interaction fits these filters.", clearFilters: "Clear the filters",
  shownSoFar: { one: "{count} shown", other: "{count} shown" }, allShown: { one: "That is all: {count} interaction", other: "That is all: {count} interactions" },
  noText: "no text", backToList: "Back to the list", details: "Details", question: "Question", continueChat: "Open the conversation", gone: "There is no such interaction. It may have been erased.",
  id: "Id", asked: "Asked", requestedModel: "Requested model", answeredBy: "Answered by", finishReason: "Finish reason", duration: "Duration", firstWord: "First word", inputTokens: "Input tokens", cachedInputTokens: "of them from the cache", cacheWriteTokens: "of them written to the cache", outputTokens: "Output tokens", reasoningTokens: "of them reasoning", cost: "Cost", error: "Error", unknown: "unknown",

  // Overview
  period: "Period", lastDays: { one: "{count} day", other: "{count} days" },
  interactionsTitle: "Interactions", failures: "Failures", answered: "Answered", tokensTitle: "Tokens", input: "Input", output: "Output", costTitle: "Cost", latencyTitle: "Latency",
  ofAll: "{share} of all", ofInputCached: "{share} of the input from caches", figuresAsTable: "As a table", day: "Day", by: "By", byModel: "Model", byProvider: "Provider", latencyOf: "p50 to p95",
  noFigures: "No interactions in this period", noFiguresHint: "Ask something in the chat, or choose a longer period.",
  service: "Service", routes: "Routes", since: "since {time}", allWell: "Everything works.", degraded: "Degraded",
  state_healthy: "healthy", state_cooling: "cooling", state_half_open: "half open", state_open: "circuit open", state_misconfigured: "misconfigured",
  peak: "highest {value}",

  // Usage of all users
  usageTitle: "Usage of all users", usageHint: "For operators: figures by day, model and key, without texts and without users.", noUsageHint: "Nobody asked anything, or choose a longer period.",
  byKey: "Key", keyOfTokens: "tokens (OIDC)", keyOfNobody: "without authentication", cached: "From the cache", notCached: "Not from the cache",

  // Failures; /v1/models answers in OpenAI's format, which has no titles.
  "problem_unauthenticated": "Not authenticated", "problem_forbidden": "Forbidden", "problem_rate-limited": "Too many requests", "problem_internal": "Internal error", "problem_auth-unavailable": "Authentication unavailable",
  requestId: "Request", copyRequestId: "Copy the request id", unreachableTitle: "The service cannot be reached", unreachableHint: "It may be restarting, or the connection is gone.",
};
