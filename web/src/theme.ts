// Light or dark: as the system says, unless the user says otherwise.

export type Theme = "auto" | "light" | "dark";

const KEY = "reflow-theme";

export function chosenTheme(): Theme {
  try {
    const stored = localStorage.getItem(KEY);
    return stored === "light" || stored === "dark" ? stored : "auto";
  } catch {
    // Storage is forbidden here.
    return "auto";
  }
}

export function chooseTheme(theme: Theme): void {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It holds for this page only, then.
  }
}
