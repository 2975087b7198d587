import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const { Pool } = createRequire(process.env.NODE_PATH + "/")("undici");
const [url, file] = process.argv.slice(2);
const pool = new Pool(url, { connections: 20 });
const asked = { path: "/predict", method: "POST", headers: { "content-type": "application/json" } };
for (let n = 0; n < 100; n++) {
  const answer = await pool.request({ ...asked, body: readFileSync(file) });
  await answer.body.json();
  console.log(answer.statusCode);
}
await pool.close();
