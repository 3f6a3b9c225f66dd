import { expect, test } from "vitest";
import licenses from "../dist/licenses.txt?raw";

/** Those that let the page be passed on with their text alone. */
const PERMISSIVE = ["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"];

test("what the page bundles may be passed on", () => {
  const packages = Array.from(licenses.matchAll(/^## (\S+) - \S+ \((.+)\)$/gm), ([, name, license]) => ({
    name,
    license,
  }));
  expect(packages.map(({ name }) => name)).toContain("preact");
  for (const { name, license } of packages) expect(PERMISSIVE, name).toContain(license);
});
