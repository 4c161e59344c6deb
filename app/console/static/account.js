// Dialog for the user id and the credential. Both are passed to `session` and stored nowhere else.

import { field, openDialog } from "./dialog.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { USER_ID_PATTERN, session } from "./session.js";

/** Open the dialog; it has a field for a key or token if the service requires one. */
export function openAccount() {
  const wantsCredential = session.needsCredential || session.hasCredential;
  const user = h("input", { name: "user", value: wantsCredential ? session.enteredUserId : session.userId, autocomplete: "off", autocapitalize: "none", spellcheck: "false", pattern: USER_ID_PATTERN, title: t("userInvalid") });
  const credential = h("input", { name: "credential", type: "password", autocomplete: "off", spellcheck: "false" });
  const hint = session.hasCredential ? `${t("credentialHint")} ${t("credentialKept")}` : t("credentialHint");
  let credentialInUse = session.hasCredential ? session.headers().Authorization.slice("Bearer ".length) : "";

  const forget = session.hasCredential && h("button", { type: "button", class: "button", onclick: () => {
    credentialInUse = "";
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
    onconfirm: () => session.signIn(user.value.trim(), credential.value.trim() || credentialInUse),
  });
  (wantsCredential && !session.hasCredential ? credential : user).focus();
}
