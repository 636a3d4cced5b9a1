-- Sends the prepared requests of a file, each thread its share, and checks the status of every answer.
-- wrk … -- FILE STATUS THREADS ONCE       the file holds whole HTTP requests, a zero byte after each
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long n; } bench_time; int clock_gettime(int, bench_time *);")
local clock = ffi.new("bench_time")
local threads = {}

local function now()
  ffi.C.clock_gettime(1, clock)
  return tonumber(clock.s) + tonumber(clock.n) / 1e9
end

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local content = file:read("*a")
  file:close()
  expected, once, mine = tonumber(args[2]), args[4] == "once", {}
  local n = 0
  for each in content:gmatch("([^%z]+)%z") do
    if n % tonumber(args[3]) == number then mine[#mine + 1] = each end
    n = n + 1
  end
  sent, answered, wrong, first_wrong, began, ended = 0, 0, 0, 0, 0, 0
end

function request()
  if sent == 0 then began = now() end
  sent = sent + 1
  if once and sent == #mine then wrk.thread:stop() end
  return mine[(sent - 1) % #mine + 1]
end

function response(status)
  answered, ended = answered + 1, now()
  if status ~= expected then wrong, first_wrong = wrong + 1, status end
end

function done(summary, latency)
  local total, bad, status, rate, e = 0, 0, 0, 0, summary.errors
  for _, thread in ipairs(threads) do
    total, bad = total + thread:get("answered"), bad + thread:get("wrong")
    status = math.max(status, thread:get("first_wrong"))
    rate = rate + thread:get("answered") / math.max(thread:get("ended") - thread:get("began"), 1e-6)
  end
  bad = bad + e.connect + e.read + e.write + e.timeout
  io.write(string.format("FIGURE %d %d %d %.3f %.1f %.1f\n", total, bad, status, rate,
    latency:percentile(50), latency:percentile(99)))
end
