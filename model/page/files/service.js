// The service that the page came from. A key, where one is asked for, stays in this object.

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the service answered ${status}`);
    this.status = status;
    this.code = problem.code;
  }
}

export class Service {
  portable = false;
  #key = null;

  withKey(key) {
    this.#key = key;
  }

  get asksForKey() {
    return this.#key !== null;
  }

  begin() {
    return this.#ask("whatif");
  }

  get(path) {
    return this.#ask(path);
  }

  explain(request, signal) {
    return this.#ask("explain", { ...request, top: null }, signal);
  }

  explainBefore(request, signal) {
    return this.#ask("explain/previous", { ...request, top: null }, signal);
  }

  // The scores of every value of a field of the candidate `row`; of all fields, the least change.
  whatIf(request, row, field, signal) {
    return this.#ask("whatif", { ...request, row, ...(field === null ? {} : { field }) }, signal);
  }

  async text(path) {
    const answer = await fetch(path, { headers: this.#headers(), cache: "no-store" });
    if (!answer.ok) throw new Refused(answer.status, {});
    return answer.text();
  }

  #headers() {
    return this.#key === null ? {} : { authorization: `Bearer ${this.#key}` };
  }

  async #ask(path, body, signal) {
    const headers = this.#headers();
    const how = { headers, signal, cache: "no-store" };
    if (body !== undefined) {
      how.method = "POST";
      how.body = JSON.stringify(body);
      headers["content-type"] = "application/json";
    }
    const answer = await fetch(path, how);
    const found = (answer.headers.get("content-type") ?? "").includes("json") ? await answer.json() : {};
    if (!answer.ok) throw new Refused(answer.status, found);
    return found;
  }
}
