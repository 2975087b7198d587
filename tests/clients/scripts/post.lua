wrk.method = "POST"
wrk.body = io.open(os.getenv("BODY")):read("*a")
wrk.headers["content-type"] = "application/json"
function done(summary)
  print("asked", summary.requests, "refused", summary.errors.status, "lost", summary.errors.read + summary.errors.write + summary.errors.connect + summary.errors.timeout)
end
