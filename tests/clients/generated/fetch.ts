// A request through the client that openapi-generator makes for TypeScript (typescript-fetch).
import { Configuration, OperationApi, ResponseError, ScoringApi } from "./client";
import type { Problem } from "./client";

async function main(): Promise<void> {
  const configuration = new Configuration({ basePath: process.argv[2] });
  const scoring = new ScoringApi(configuration);
  const context = { user: 3000000001, hour: 1234567.89, device: null, interests: ["cars", "golf"] };
  const candidates = [{ ad: "a1" }, { ad: "a2" }];
  const answer = await scoring.predict({ predictRequest: { context, candidates } });
  console.log(answer.probabilities?.length);
  console.log((await new OperationApi(configuration).readyz()).status);
  try {
    await scoring.predict({ predictRequest: { context, candidates: [{ price: "3.5 EUR" }] } });
  } catch (refused) {
    if (!(refused instanceof ResponseError)) throw refused;
    const problem: Problem = await refused.response.json();
    console.log(problem.status, problem.code, problem.field);
  }
}

void main();
