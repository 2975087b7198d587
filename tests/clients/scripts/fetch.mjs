import { readFileSync } from "node:fs";
const [url, file] = process.argv.slice(2);
const body = readFileSync(file, "utf8");
for (let n = 0; n < 100; n++) {
  const answer = await fetch(url + "/predict", { method: "POST", body, headers: { "content-type": "application/json" } });
  await answer.json();
  console.log(answer.status);
}
