import http from "node:http";
import { readFileSync } from "node:fs";
const [url, file] = process.argv.slice(2);
const body = readFileSync(file);
const agent = new http.Agent({ keepAlive: true });
for (let n = 0; n < 100; n++) {
  await new Promise((resolve, reject) => {
    const asked = http.request(url + "/predict", { method: "POST", agent, headers: { "content-type": "application/json" } }, (answer) => {
      console.log(answer.statusCode);
      answer.resume().on("end", resolve);
    });
    asked.on("error", reject).end(body);
  });
}
agent.destroy();
