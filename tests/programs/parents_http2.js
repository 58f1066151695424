// A server of HTTP/2 that makes one call for each request, of a server of HTTP/2 (UPSTREAM2) or HTTP/1 (UPSTREAM).
//
// API         stream, compat, fastify: how it is handled; or worker, cluster: compat in other threads or processes
// TLS=1       with certificates (TLS_CERT, TLS_KEY), and for HTTP/1 too
// /fetch?id=&with=&after=   `with`: the client, `after`: what happens between request and call
// POST /fetch               the same, when the body has come
'use strict';
const { AsyncLocalStorage } = require('node:async_hooks');
const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');

const { UPSTREAM, UPSTREAM2, API, PORT, TLS, TLS_CERT, TLS_KEY } = process.env;
const secure = TLS && { cert: fs.readFileSync(TLS_CERT), key: fs.readFileSync(TLS_KEY), allowHTTP1: true };
const lazy = (make) => { let made; return () => (made ??= make()); };

/** One connection for all, made by the first. */
const shared = lazy(() => http2.connect(UPSTREAM2));
const narrow = lazy(() => http2.connect(UPSTREAM2, { peerMaxConcurrentStreams: 1 }));
const pool = new http.Agent({ keepAlive: true, maxSockets: 2 });
const undici = lazy(() => new (require('undici').Agent)({ allowH2: true, connections: 1, pipelining: 100 }));
const slow = lazy(() => new (require('undici').Agent)({ allowH2: true, connections: 1 }));

function ask(session, headers, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: !body });
    let text = '';
    stream.setEncoding('utf8');
    stream.on('data', (part) => { text += part; });
    stream.on('end', () => resolve(JSON.parse(text)));
    stream.on('error', reject);
    if (body) stream.end(body);
  });
}

function old(url) {
  return new Promise((resolve, reject) => {
    http.get(url, { agent: pool }, (reply) => {
      let body = '';
      reply.on('data', (part) => { body += part; });
      reply.on('end', () => resolve(JSON.parse(body)));
    }).on('error', reject);
  });
}

const by_undici = (agent) => async (path) => (await require('undici').fetch(UPSTREAM2 + path, { dispatcher: agent() })).json();

const CLIENTS = {
  shared: (path) => ask(shared(), { ':path': path }),
  once: async (path) => {
    const session = http2.connect(UPSTREAM2);
    try {
      return await ask(session, { ':path': path });
    } finally {
      session.close();
    }
  },
  narrow: (path) => ask(narrow(), { ':path': path }),
  post: (path) => ask(shared(), { ':path': path, ':method': 'POST', 'content-type': 'text/plain' }, 'x'.repeat(100)),
  own: (path) => ask(shared(), { ':path': path, 'x-own': path, [http2.sensitiveHeaders]: ['x-own'] }),
  // An array of names and values, which older versions do not take.
  raw: (path) => ask(shared(), Number(process.versions.node.split('.')[0]) < 24 ? { ':path': path } : [':path', path]),
  foreign: (path) => ask(shared(), {
    ':path': path, traceparent: `00-0af7651916cd43dd8448eb211c80319c-${(Number(/id=(\d+)/.exec(path)[1]) + 1).toString(16).padStart(16, '0')}-01`,
  }),
  undici: by_undici(undici),
  slow: by_undici(slow),
  http: (path) => old(UPSTREAM + path),
};

const jobs = [];
setInterval(() => jobs.splice(0).forEach((job) => job()), 5).unref();
const mine = new AsyncLocalStorage();
const HANDOFFS = {
  none: (go) => go(),
  timer: (go, id) => setTimeout(go, 5 + Number(id.split('-').pop()) % 7 * 5),
  promise: (go) => new Promise((resolve) => setTimeout(resolve, 3)).then(() => null).then(go),
  own: (go, id) => mine.run(id, () => setTimeout(() => {
    if (mine.getStore() !== id) throw new Error('the program\'s own store');
    go();
  }, 5)),
  queue: (go) => jobs.push(AsyncLocalStorage.snapshot ? AsyncLocalStorage.snapshot().bind(null, go) : go),
};

const parsed = (path) => Object.fromEntries(new URL(path, 'http://h').searchParams);

/** What the upstream had to say. */
async function work({ id, with: client, after = 'none', delay = '0' }) {
  // A callback in the other turn, not a promise: a promise would carry the context by itself.
  return new Promise((resolve, reject) => {
    HANDOFFS[after](() => CLIENTS[client](`/echo?id=${id}&delay=${delay}`).then(resolve, reject), id);
  });
}

function on_stream(stream, headers) {
  const answer = (value) => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200, 'content-type': 'application/json' });
    stream.end(JSON.stringify(value));
  };
  const query = parsed(headers[':path']);
  if (!query.id) return answer('ok');
  const go = () => work(query).then(answer, (error) => answer(String(error)));
  if (headers[':method'] === 'POST') stream.on('end', go).resume();
  else go();
}

function on_request(request, response) {
  const query = parsed(request.url);
  const answer = (value) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(value));
  };
  if (!query.id) return answer('ok');
  // In the event itself, not after it.
  const go = () => work(query).then(answer, (error) => answer(String(error)));
  if (request.method === 'POST') request.on('data', () => {}).on('end', go);
  else go();
}

const create = (handler) => (secure ? http2.createSecureServer(secure, handler) : http2.createServer(handler));

const SERVERS = {
  stream: () => create().on('stream', on_stream).listen(PORT, '127.0.0.1'),
  compat: () => create(on_request).listen(PORT, '127.0.0.1'),
  fastify: () => {
    const app = require('fastify')({ http2: true, https: secure || undefined });
    app.get('/control/*', async () => 'ok');
    app.get('/fetch', async (request) => work(request.query));
    app.post('/fetch', async (request) => work(request.query));
    app.get('/items/:id', async (request) => request.params.id);
    app.listen({ port: Number(PORT), host: '127.0.0.1' });
  },
  koa: () => {
    const Router = require('@koa/router');
    const router = new Router({ prefix: '/api' });
    router.get('/items/:id', async (context) => { context.body = context.params.id; });
    const app = new (require('koa'))();
    app.use(router.routes());
    app.use(async (context) => { context.body ??= context.query.id ? await work(context.query) : 'ok'; });
    create(app.callback()).listen(PORT, '127.0.0.1');
  },
  worker: () => {
    const { Worker, isMainThread } = require('node:worker_threads');
    if (isMainThread) new Worker(__filename);
    else SERVERS.compat();
  },
  cluster: () => {
    const cluster = require('node:cluster');
    if (cluster.isPrimary) for (let number = 0; number < 2; number++) cluster.fork();
    else SERVERS.compat();
  },
};
SERVERS[API || 'stream']();
