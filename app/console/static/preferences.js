// Language and theme, in local storage. Nothing else outlives the tab.

const LANGUAGES = ["en", "pt-BR"];
const THEMES = ["auto", "light", "dark"];

export const preferences = {
  language: stored("language", LANGUAGES) ?? (navigator.language.toLowerCase().startsWith("pt") ? "pt-BR" : "en"),
  theme: stored("theme", THEMES) ?? "auto",

  /** Return the language that is not selected. */
  get otherLanguage() {
    return LANGUAGES.find((language) => language !== this.language);
  },

  switchLanguage() {
    this.language = this.otherLanguage;
    store("language", this.language);
    this.apply();
  },

  switchTheme() {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length];
    store("theme", this.theme);
    this.apply();
  },

  apply() {
    document.documentElement.lang = this.language;
    document.documentElement.dataset.theme = this.theme;
  },
};

function stored(name, allowed) {
  try {
    const value = localStorage.getItem(`rt-console-${name}`);
    return allowed.includes(value) ? value : null;
  } catch {
    return null;
  }
}

function store(name, value) {
  try {
    localStorage.setItem(`rt-console-${name}`, value);
  } catch {
    // Without storage the choice is lost with the page.
  }
}
