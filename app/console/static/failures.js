// Errors of requests to the service.

/** Error response of the service: an RFC 9457 problem, or an error in OpenAI's format on the routes that use it. */
export class Problem extends Error {
  constructor(body, status, requestId) {
    const problem = body.error ?? body;
    super(problem.title ?? `HTTP ${status}`);
    this.status = status;
    this.slug = (problem.type ?? "").startsWith("/problems/") ? problem.type.slice(10) : (problem.code ?? "").replaceAll("_", "-");
    this.detail = problem.detail ?? problem.message ?? "";
    this.requestId = problem.requestId ?? requestId;
    this.isRetryable = problem.retryable ?? status >= 500;
    this.attempts = problem.attempts ?? [];
    this.errors = problem.errors ?? [];
  }

  /** Return the problem of an error response, also of one in HTML from a proxy. */
  static async fromResponse(response) {
    let body = {};
    try {
      body = await response.json();
    } catch {
      // Not from the service; only the status is known.
    }
    return new Problem(body ?? {}, response.status, response.headers.get("X-Request-Id"));
  }

  /** Return the problem that ended a stream. */
  static fromStreamEvent(body) {
    return new Problem(body, body.status, body.requestId);
  }
}

/** The service could not be reached, or the connection was lost. */
export class Unreachable extends Error {
  constructor(cause) {
    super("unreachable", { cause });
    this.isRetryable = true;
    this.slug = "unreachable";
    this.attempts = [];
    this.errors = [];
  }
}
