-- wrk script: POSTs the bodies of a folder in turn; prints one JSON line at the end.
local bodies, n = {}, 0
local folder, key, count = os.getenv("BENCH_BODIES"), os.getenv("BENCH_KEY"), tonumber(os.getenv("BENCH_COUNT"))
local path = os.getenv("BENCH_PATH")
for i = 0, count - 1 do
  local file = assert(io.open(folder .. "/" .. i .. ".json", "rb"))
  bodies[i] = file:read("*all")
  file:close()
end
local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. key }

request = function()
  n = n + 1
  return wrk.format("POST", path, headers, bodies[n % count])
end

done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "refused": %d, "broken": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
