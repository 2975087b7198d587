import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const axios = createRequire(process.env.NODE_PATH + "/")("axios");
const [url, file] = process.argv.slice(2);
for (let n = 0; n < 100; n++) console.log((await axios.post(url + "/predict", JSON.parse(readFileSync(file)))).status);
