// Who asks. The credential lives in this module's memory and nowhere else: a reload forgets it.

const DEFAULT_USER = "me";
const USER_KEY = "rt-console-user";
export const USER_ID_PATTERN = "[A-Za-z0-9_\\-][A-Za-z0-9._:@\\|+=~\\-]{0,127}";

const changed = new EventTarget();
let credential = "";

export const session = {
  /** Whom the reader named; empty when nobody. */
  named: remembered() ?? "",
  userId: remembered() ?? DEFAULT_USER,
  /** Whether the service said that it wants to know who calls. */
  asksWho: false,

  /** Take note that it does; whoever has said nothing yet is asked, once. */
  beAsked() {
    const isNews = !this.asksWho && !credential;
    this.asksWho = true;
    if (isNews) changed.dispatchEvent(new Event("asked"));
  },

  get hasCredential() {
    return credential !== "";
  },

  /** Return the headers that say who asks. */
  headers() {
    return credential ? { Authorization: `Bearer ${credential}` } : {};
  },

  /** Become somebody; an empty user is found out by the first answer. */
  become(userId, newCredential) {
    credential = newCredential;
    this.named = userId;
    this.userId = userId || (newCredential ? userOf(newCredential) : DEFAULT_USER);
    remember(userId);
    changed.dispatchEvent(new Event("change"));
  },

  /** Take the name an answer was given to, where none was known. */
  learn(userId) {
    if (this.userId) return;
    this.userId = userId;
    changed.dispatchEvent(new Event("learnt"));
  },

  on(type, listener) {
    changed.addEventListener(type, listener);
  },
};

/** Return whom a token names, as far as it can be read here; the service alone decides whether that is so. */
function userOf(token) {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const subject = JSON.parse(atob(claims)).sub;
    return new RegExp(`^${USER_ID_PATTERN}$`, "v").test(subject) ? subject : "";
  } catch {
    return "";
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(USER_KEY) || null;
  } catch {
    return null;
  }
}

function remember(userId) {
  try {
    sessionStorage.setItem(USER_KEY, userId);
  } catch {
    // Where storage is forbidden a reload forgets the name as well.
  }
}
