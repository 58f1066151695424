// The same routes with each framework: FRAMEWORK is express, fastify or koa, MODULE the package (and ROUTER Koa's router).
// WAY is http, https or cluster. /user/:id, /late/:id (answers later), /stream/:id (in parts), /stack/:id (says how it was called), /fail/:id (throws),
// /shop/:shop/item/:item by a router within, /deep/in/:id by one within that; / answers, anything else is 404.
'use strict';
const cluster = require('node:cluster');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const { setTimeout: sleep } = require('node:timers/promises');

const { FRAMEWORK, MODULE = FRAMEWORK, ROUTER, WAY = 'http', PORT } = process.env;
const load = (name) => (process.env.IMPORT ? import(name).then((module) => module.default ?? module) : require(name));

const FRAMEWORKS = {
  async express() {
    const express = await load(MODULE);
    const app = express();
    app.use((request, response, next) => next());
    app.get('/', (request, response) => response.send('ok'));
    app.get('/user/:id', (request, response) => response.json(request.params));
    app.get('/late/:id', async (request, response) => {
      await sleep(20);
      response.json(request.params);
    });
    app.get('/stream/:id', (request, response) => {
      response.write('one');
      setTimeout(() => response.end('two'), 5);
    });
    app.get('/stack/:id', (request, response) => response.send(new Error('here').stack));
    app.get('/fail/:id', () => { throw new Error('failed'); });
    app.get(['/one/:id', '/other/:id'], (request, response) => response.json(request.params));
    app.get('/pass/:id', (request, response, next) => next());
    const shop = express.Router({ mergeParams: true });
    shop.get('/item/:item', (request, response) => response.json(request.params));
    shop.get('/', (request, response) => response.json(request.params));
    shop.get('/fail', () => { throw new Error('failed'); });
    app.use('/shop/:shop', shop);
    const deep = express.Router();
    const inside = express.Router();
    inside.get('/:id', (request, response) => response.json(request.params));
    deep.use('/in', inside);
    app.use('/deep', deep);
    app.use('/twice', inside);
    app.use(express.Router().get('/bare/:id', (request, response) => response.json(request.params)));
    const own = express();
    own.get('/:id', (request, response) => response.json(request.params));
    app.use('/own', own);
    app.use('/hidden/:any', (request, response, next) => inside(request, response, next));
    app.use('/files', (request, response) => response.send('file'));
    app.use((error, request, response, next) => response.status(500).send(error.message));
    return (make) => make(app);
  },
  async fastify() {
    const make = await load(MODULE);
    const routes = async (app) => {
      app.get('/', async () => 'ok');
      app.get('/user/:id', (request, reply) => { reply.send(request.params); });
      app.get('/late/:id', async (request) => { await sleep(20); return request.params; });
      app.get('/stream/:id', (request, reply) => {
        reply.hijack?.();
        reply.raw.write('one');
        setTimeout(() => reply.raw.end('two'), 5);
      });
      app.get('/stack/:id', (request, reply) => { reply.send(new Error('here').stack); });
      app.get('/fail/:id', async () => { throw new Error('failed'); });
      app.get('/refused/:id', { preHandler: async (request, reply) => reply.code(403).send('no') }, async () => 'never');
      app.get('/checked/:id', { schema: { params: { type: 'object', properties: { id: { type: 'integer' } } } } }, async () => 'ok');
      app.register(async (shop) => {
        shop.decorateRequest('extra', 1);
        shop.get('/item/:item', async (request) => request.params);
        shop.get('/', async (request) => request.params);
        shop.register(async (deep) => { deep.get('/:id', async (request) => request.params); }, { prefix: '/in' });
      }, { prefix: '/shop/:shop' });
    };
    let listener;
    const app = make({ serverFactory: (handler) => (listener = server(handler)) });
    app.register(routes);
    await app.ready();
    return () => listener;
  },
  async koa() {
    const [Koa, Router] = [await load(MODULE), await load(ROUTER)];
    const app = new Koa();
    app.on('error', () => {});
    const routes = new Router();
    const params = (context) => { context.body = context.params; };
    routes.get('/', (context) => { context.body = 'ok'; });
    routes.get('/user/:id', params);
    routes.get('/late/:id', async (context) => { await sleep(20); params(context); });
    routes.get('/stream/:id', (context) => { context.body = require('node:stream').Readable.from(['one', 'two']); });
    routes.get('/stack/:id', (context) => { context.body = new Error('here').stack; });
    routes.get('/fail/:id', () => { throw new Error('failed'); });
    const shop = new Router();
    shop.get('/item/:item', params);
    shop.get('/', params);
    routes.use('/shop/:shop', shop.routes());
    const deep = new Router({ prefix: '/deep' });
    const inside = new Router();
    inside.get('/:id', params);
    deep.use('/in', inside.routes());
    app.use(routes.routes()).use(deep.routes());
    return (make) => make(app.callback());
  },
};

function server(listener) {
  if (WAY !== 'https') return http.createServer(listener);
  const { TLS_CERT, TLS_KEY } = process.env;
  return https.createServer({ cert: fs.readFileSync(TLS_CERT), key: fs.readFileSync(TLS_KEY) }, listener);
}

if (WAY === 'cluster' && cluster.isPrimary) {
  for (let count = 0; count < 2; count += 1) cluster.fork();
} else {
  FRAMEWORKS[FRAMEWORK]().then((app) => app(server).listen(Number(PORT), '127.0.0.1'));
}
