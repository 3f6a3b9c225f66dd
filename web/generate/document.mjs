// Writes docs/openapi.json without what the page does not use: only the schemas that src/api.ts names, with those that
// they refer to, and no paths, which the page writes itself.
import { readFileSync } from "node:fs";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const document = JSON.parse(read("../../docs/openapi.json"));
const { schemas } = document.components;
const used = new Set(Array.from(read("../src/api.ts").matchAll(/Schemas\["(\w+)"\]/g), ([, name]) => name));
// A set also visits what is added meanwhile.
for (const name of used) {
  const references = JSON.stringify(schemas[name] ?? {}).matchAll(/"#\/components\/schemas\/(\w+)"/g);
  for (const [, reference] of references) used.add(reference);
}
document.paths = {};
document.components = { schemas: Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name))) };
console.log(JSON.stringify(document));
