// What is asked on the page, as a caller would ask it.

export function asJson(request) {
  return JSON.stringify(request, null, 2);
}

export function asCurl(request, origin, withKey) {
  const key = withKey ? ` \\\n  -H "authorization: Bearer $AFM_KEY"` : "";
  const body = JSON.stringify(request).replaceAll("'", `'\\''`);
  return `curl -s ${origin}/explain -H 'content-type: application/json'${key} \\\n  -d '${body}'`;
}

export function asPython(request, origin, withKey) {
  const key = withKey ? `, "authorization": f"Bearer {os.environ['AFM_KEY']}"` : "";
  return [
    "import json",
    withKey ? "import os" : null,
    "import urllib.request",
    "",
    `body = json.loads(${JSON.stringify(JSON.stringify(request))})`,
    `headers = {"content-type": "application/json"${key}}`,
    `asked = urllib.request.Request("${origin}/explain", json.dumps(body).encode(), headers)`,
    "with urllib.request.urlopen(asked) as answer:",
    '    print(json.dumps(json.load(answer)["explanations"], indent=2))',
  ]
    .filter((line) => line !== null)
    .join("\n");
}
