// GET /ioredis?id=7, /redis?id=7: a command that names q7 by a client that all requests share (both pipeline what is sent at once);
// /pipeline?id=7 sends two, /shapes?id=7 four, one after the other, one of them large, /multi?id=7 a transaction;
// /auto?id=7 and /alone?id=7 one that makes pipelines by itself: the former when five have come. With BEAT nobody asks,
// too, all the time. With CA the modern client speaks TLS. `redis.js calls`: commands one after the other.
const http = require("http");
const Redis = require("ioredis");
const { createClient } = require("redis");

const port = Number(process.env.REDIS_PORT);
const shared = new Redis({ port, lazyConnect: true });
const gathering = new Redis({ port, lazyConnect: true, enableAutoPipelining: true });
const tls = process.env.CA && { tls: true, host: "localhost", ca: require("fs").readFileSync(process.env.CA) };
const modern = createClient({ socket: { port: Number(process.env.TLS_PORT ?? port), ...tls } });

async function beat() {
  for (;;) {
    await modern.get("beat");
    await new Promise((done) => setTimeout(done, 1));
  }
}

/** Is over for five at once. */
const waiting = [];
function five() {
  return new Promise((go) => {
    waiting.push(go);
    if (waiting.length === 5) for (const each of waiting.splice(0)) each();
  });
}

async function shapes(key) {
  await modern.set(key, Buffer.from("canary"));
  await modern.sendCommand(["GET", key]);
  await modern.set(key, "canary".repeat(50_000));
  await modern.get(Buffer.from(key));
}

async function main() {
  await shared.connect();
  await modern.connect();
  if (process.env.BEAT) beat();
  if (process.argv[2] === "calls") {
    console.log(await shared.set("a", "canary"), await shared.get("a"), await modern.get("a"));
    console.log((await shared.multi().incr("n").incr("m").exec()).length);
    console.log(await shared.lpush("a", "canary").catch((error) => error.message.split(" ")[0]));
    shared.disconnect();
    modern.destroy();
    return;
  }
  http
    .createServer(async (request, response) => {
      const url = new URL(request.url, "http://h");
      const key = `q${url.searchParams.get("id")}`;
      if (url.pathname === "/redis") await modern.get(key);
      else if (url.pathname === "/shapes") await shapes(key);
      else if (url.pathname === "/auto") await five().then(() => gathering.get(key));
      else if (url.pathname === "/alone") await gathering.get(key);
      else if (url.pathname === "/multi") await modern.multi().get(key).get(`${key}:b`).exec();
      else if (url.pathname === "/pipeline") await shared.pipeline().get(key).get("other").exec();
      else if (url.pathname === "/later") await new Promise((done) => setTimeout(done, Number(url.searchParams.get("delay")))).then(() => shared.get(key));
      else await shared.get(key);
      response.end("ok");
    })
    .listen(Number(process.env.PORT), "127.0.0.1");
}

main();
