// The dialog in which the user says who they are. What is entered goes to `session`, and from there nowhere.

import { field, openDialog } from "./dialog.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { USER_ID_PATTERN, session } from "./session.js";

/** Ask for the user and, where the service wants one, a key or token. */
export function openAccount() {
  const wantsCredential = session.asksWho || session.hasCredential;
  const user = h("input", { name: "user", value: wantsCredential ? session.named : session.userId, autocomplete: "off", autocapitalize: "none", spellcheck: "false", pattern: USER_ID_PATTERN, title: t("userInvalid") });
  const credential = h("input", { name: "credential", type: "password", autocomplete: "off", spellcheck: "false" });
  const hint = session.hasCredential ? `${t("credentialHint")} ${t("credentialKept")}` : t("credentialHint");
  let kept = session.hasCredential ? session.headers().Authorization.slice("Bearer ".length) : "";

  const forget = session.hasCredential && h("button", { type: "button", class: "button", onclick: () => {
    kept = "";
    credential.value = "";
    dialog.close("save");
  } }, t("forget"));

  const dialog = openDialog({
    title: t("accountTitle"),
    body: [
      wantsCredential && field(t("credential"), credential, hint),
      field(t("userId"), user, wantsCredential ? t("userHintWithKey") : t("userHint")),
      !wantsCredential && h("p", { class: "hint" }, t("noCredential")),
      forget,
    ],
    confirm: t("save"),
    onconfirm: () => session.become(user.value.trim(), credential.value.trim() || kept),
  });
  (wantsCredential && !session.hasCredential ? credential : user).focus();
}
