// A request by openapi-fetch over the types that openapi-typescript makes.
import createClient from "openapi-fetch";
import type { paths } from "./schema";

async function main(): Promise<void> {
  const client = createClient<paths>({ baseUrl: process.argv[2] });
  const context = { user: 3000000001, hour: 1234567.89, device: null, interests: ["cars", "golf"] };
  const candidates = [{ ad: "a1" }, { ad: "a2" }];
  const answer = await client.POST("/predict", { body: { context, candidates } });
  console.log(answer.data?.probabilities?.length);
  console.log((await client.GET("/readyz")).data?.status);
  const refused = await client.POST("/predict", {
    body: { context, candidates: [{ price: "3.5 EUR" }] },
  });
  console.log(refused.error?.status, refused.error?.code, (refused.error as { field?: string }).field);
}

void main();
