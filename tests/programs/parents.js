// A server that calls UPSTREAM/echo once a request, in every way that matters to whose call it is.
//
// FRAMEWORK   http, https, express, koa, fastify; or worker, cluster: http in other threads or processes
// /fetch?id=&with=&after=   `with`: the client, `after`: what happens between request and call
// /fetch?..&early=1         answers first
// POST /fetch               the same, when the body has come
'use strict';
const { AsyncLocalStorage } = require('node:async_hooks');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const { Readable } = require('node:stream');

const upstream = process.env.UPSTREAM;
const options = upstream.startsWith('https') ? https : http;
const pool = new options.Agent({ keepAlive: true, maxSockets: 50 });
const narrow = new options.Agent({ keepAlive: true, maxSockets: 2 });
const lazy = (make) => { let made; return () => (made ??= make()); };
const undici = lazy(() => new (require('undici').Pool)(upstream, { connections: 2 }));
const pipelined = lazy(() => new (require('undici').Pool)(upstream, { connections: 2, pipelining: 8 }));
const narrowest = lazy(() => new (require('undici').Agent)({ connections: 2 }));
const mine = new AsyncLocalStorage();

function get(url, agent) {
  return new Promise((resolve, reject) => {
    options.get(url, { agent }, (reply) => {
      let body = '';
      reply.on('data', (part) => { body += part; });
      reply.on('end', () => resolve(JSON.parse(body)));
    }).on('error', reject);
  });
}

/** A client of our own, on a socket for each call. */
function raw(url) {
  return new Promise((resolve, reject) => {
    const { hostname, port, pathname, search } = new URL(url);
    const socket = net.connect(port, hostname);
    let text = '';
    socket.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    socket.on('data', (part) => {
      text += part;
      const [head, body] = text.split('\r\n\r\n');
      if (body?.length === Number(/content-length: (\d+)/i.exec(head)?.[1])) {
        socket.end();
        resolve(JSON.parse(body));
      }
    });
    socket.on('error', reject);
  });
}

function post(url) {
  return new Promise((resolve, reject) => {
    const request = options.request(url, { agent: pool, method: 'POST' }, (reply) => {
      let body = '';
      reply.on('data', (part) => { body += part; });
      reply.on('end', () => resolve(JSON.parse(body)));
    });
    request.on('error', reject);
    setTimeout(() => Readable.from(['one', 'two']).pipe(request), 5);
  });
}

const CLIENTS = {
  http: (url) => get(url),
  pool: (url) => get(url, pool),
  narrow: (url) => get(url, narrow),
  once: (url) => get(url, false),
  fetch: async (url) => (await fetch(url)).json(),
  undici: async (url) => (await undici().request({ path: url.slice(upstream.length), method: 'GET' })).body.json(),
  pipelined: async (url) => (await pipelined().request({ path: url.slice(upstream.length), method: 'GET' })).body.json(),
  limited: async (url) => (await require('undici').fetch(url, { dispatcher: narrowest() })).json(),
  axios: async (url) => (await require('axios').get(url)).data,
  post,
  raw,
  twice: async (url) => {
    const [one] = await Promise.all([get(url, narrow), get(url.replace('id=', 'id=b'), narrow)]);
    return one;
  },
};

const jobs = [];
setInterval(() => jobs.splice(0).forEach((job) => job()), 5).unref();

const HANDOFFS = {
  none: (go) => go(),
  timer: (go, id) => setTimeout(go, 5 + Number(id.split('-').pop()) % 7 * 5),
  immediate: (go) => setImmediate(go),
  tick: (go) => process.nextTick(go),
  promise: (go) => new Promise((resolve) => setTimeout(resolve, 3)).then(() => null).then(go),
  microtask: (go) => queueMicrotask(go),
  file: (go) => fs.readFile(__filename, go),
  stream: (go) => fs.createReadStream(__filename).on('end', go).resume(),
  dns: (go) => require('node:dns').lookup('localhost', go),
  own: (go, id) => mine.run(id, () => setTimeout(() => {
    if (mine.getStore() !== id) throw new Error('the program\'s own store');
    go();
  }, 5)),
  // One timer for all: only what `snapshot` bound knows whose job it is.
  queue: (go) => jobs.push(AsyncLocalStorage.snapshot ? AsyncLocalStorage.snapshot().bind(null, go) : go),
};

async function work(query) {
  const { id, with: client, after = 'none' } = query;
  await new Promise((resolve) => { HANDOFFS[after](resolve, id); });
  return direct(query);
}

async function direct({ id, with: client, delay = 0 }) {
  return { id, upstream: await CLIENTS[client](`${upstream}/echo?id=${id}&delay=${delay}`) };
}

function handle(request, response) {
  const query = Object.fromEntries(new URL(request.url, 'http://h').searchParams);
  if (!query.id) return response.end('nothing\n');
  // A callback in the other turn, not a promise: a promise would carry the context by itself.
  const go = () => HANDOFFS[query.after || 'none'](() => {
    direct(query).then((value) => {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(value));
    }, (error) => {
      response.statusCode = 502;
      response.end(`${error.code}\n`);
    });
  }, query.id);
  if (query.early) {
    // What is done for a request after its response is done for nobody.
    response.end('early\n', () => setTimeout(() => CLIENTS[query.with](`${upstream}/echo?id=${query.id}`), 50));
  } else if (request.method === 'POST') request.on('end', go).resume();
  else go();
}

const LISTENERS = {
  http: () => http.createServer(handle),
  https: () => https.createServer({
    cert: fs.readFileSync(process.env.TLS_CERT), key: fs.readFileSync(process.env.TLS_KEY),
  }, handle),
  express: () => {
    const app = require('express')();
    app.get('/', (request, response) => response.send('ok'));
    app.get('/fetch', async (request, response) => response.json(await work(request.query)));
    app.post('/fetch', require('express').json(), async (request, response) => response.json(await work(request.query)));
    return http.createServer(app);
  },
  koa: () => {
    const app = new (require('koa'))();
    app.use(async (context) => { context.body = context.query.id ? await work(context.query) : 'ok'; });
    return http.createServer(app.callback());
  },
  fastify: () => {
    const app = require('fastify')();
    app.get('/', async () => 'ok');
    app.get('/control/*', async () => 'ok');
    app.get('/fetch', async (request) => work(request.query));
    app.post('/fetch', async (request) => work(request.query));
    return app;
  },
};

function listen(framework, port) {
  const server = LISTENERS[framework]();
  if (framework === 'fastify') server.listen({ port, host: '127.0.0.1' });
  else server.listen({ port, host: '127.0.0.1' });
}

const framework = process.env.FRAMEWORK || 'http';
const port = Number(process.env.PORT);
if (framework === 'worker') {
  const { Worker, isMainThread } = require('node:worker_threads');
  if (isMainThread) new Worker(__filename);
  else listen('http', port);
} else if (framework === 'cluster') {
  const cluster = require('node:cluster');
  if (cluster.isPrimary) for (let number = 0; number < 2; number++) cluster.fork();
  else listen('http', port);
} else {
  listen(framework, port);
}
