// What can go wrong between the page and the service.

/** The service said no: an RFC 9457 problem, or OpenAI's error on the routes that speak its format. */
export class Problem extends Error {
  constructor(body, status, requestId) {
    const said = body.error ?? body;
    super(said.title ?? `HTTP ${status}`);
    this.status = status;
    this.slug = (said.type ?? "").startsWith("/problems/") ? said.type.slice(10) : (said.code ?? "").replaceAll("_", "-");
    this.detail = said.detail ?? said.message ?? "";
    this.requestId = said.requestId ?? requestId;
    this.isRetryable = said.retryable ?? status >= 500;
    this.attempts = said.attempts ?? [];
    this.errors = said.errors ?? [];
  }

  /** Return the problem a response tells of, whoever made it: a proxy on the way may answer in HTML. */
  static async of(response) {
    let body = {};
    try {
      body = await response.json();
    } catch {
      // Not ours: the status has to do.
    }
    return new Problem(body ?? {}, response.status, response.headers.get("X-Request-Id"));
  }

  /** Return the problem that ended a stream. */
  static inStream(body) {
    return new Problem(body, body.status, body.requestId);
  }
}

/** Nobody answered, or the connection broke. */
export class Unreachable extends Error {
  constructor(cause) {
    super("unreachable", { cause });
    this.isRetryable = true;
    this.slug = "unreachable";
    this.attempts = [];
    this.errors = [];
  }
}
