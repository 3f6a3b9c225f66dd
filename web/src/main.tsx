// Starts the page: the loop that asks, the address, and one drawing of everything for each change.

import "./base.css";
import { render } from "preact";
import { App } from "./app";
import { parse } from "./route";
import { go, run } from "./store";
import { chooseTheme, chosenTheme } from "./theme";

const root = document.getElementById("app")!;

chooseTheme(chosenTheme());
addEventListener("hashchange", () => go(parse(location.hash)));
go(parse(location.hash));
void run((state) => render(<App state={state} />, root));
