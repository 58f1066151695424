// GET /get?key=k: a command of a cluster's client, which all requests share. REDIS_PORT is one of the nodes. It listens once the client is ready.
const http = require("http");
const Redis = require("ioredis");

const store = new Redis.Cluster([{ host: "localhost", port: Number(process.env.REDIS_PORT) }], { enableReadyCheck: false, slotsRefreshInterval: 0 });

const server = http.createServer(async (request, response) => {
  await store.get(new URL(request.url, "http://localhost").searchParams.get("key"));
  response.end("ok");
});
store.once("ready", () => server.listen(Number(process.env.PORT), "127.0.0.1"));
