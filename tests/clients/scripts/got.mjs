import { readFileSync } from "node:fs";
const { default: got } = await import(process.env.NODE_PATH + "/got/dist/source/index.js");
const [url, file] = process.argv.slice(2);
for (let n = 0; n < 100; n++) console.log((await got.post(url + "/predict", { json: JSON.parse(readFileSync(file)) })).statusCode);
