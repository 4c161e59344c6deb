// User and credential of this tab. The credential is only in the memory of this module, so a reload discards it.

const DEFAULT_USER = "me";
const USER_KEY = "rt-console-user";
export const USER_ID_PATTERN = "[A-Za-z0-9_\\-][A-Za-z0-9._:@\\|+=~\\-]{0,127}";

const changed = new EventTarget();
let credential = "";

export const session = {
  /** User id that was entered; empty if there is none. */
  enteredUserId: storedUserId() ?? "",
  userId: storedUserId() ?? DEFAULT_USER,
  /** Whether the service has answered 401. */
  needsCredential: false,

  /** Note a 401. The first one emits `credential-needed`, unless a credential is set. */
  noteUnauthenticated() {
    const isFirst = !this.needsCredential && !credential;
    this.needsCredential = true;
    if (isFirst) changed.dispatchEvent(new Event("credential-needed"));
  },

  get hasCredential() {
    return credential !== "";
  },

  /** Return the headers with the credential. */
  headers() {
    return credential ? { Authorization: `Bearer ${credential}` } : {};
  },

  /** Set user and credential. Without a user, the id comes from the token or from the first answer. */
  signIn(userId, newCredential) {
    credential = newCredential;
    this.enteredUserId = userId;
    this.userId = userId || (newCredential ? userOf(newCredential) : DEFAULT_USER);
    storeUserId(userId);
    changed.dispatchEvent(new Event("change"));
  },

  /** Set the user id from an answer, unless it is known. */
  setUserFromAnswer(userId) {
    if (this.userId) return;
    this.userId = userId;
    changed.dispatchEvent(new Event("user-known"));
  },

  on(type, listener) {
    changed.addEventListener(type, listener);
  },
};

/** Return the subject of a JWT, without verification; empty for other credentials. Only the service verifies it. */
function userOf(token) {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const subject = JSON.parse(atob(claims)).sub;
    return new RegExp(`^${USER_ID_PATTERN}$`, "v").test(subject) ? subject : "";
  } catch {
    return "";
  }
}

function storedUserId() {
  try {
    return sessionStorage.getItem(USER_KEY) || null;
  } catch {
    return null;
  }
}

function storeUserId(userId) {
  try {
    sessionStorage.setItem(USER_KEY, userId);
  } catch {
    // Without storage a reload discards the user id too.
  }
}
