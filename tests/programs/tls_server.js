// An HTTPS server on https.createServer, with Express when FRAMEWORK=express.
//
// /echo?id=&delay=    the headers of the request
// /fetch?id=&with=    calls UPSTREAM/echo by `https` (https.get, keep-alive agent) or `fetch` (undici);
//                     UPSTREAM may be several, with commas: the id says which
// POST /blob          hashes of what came and of what goes back, which is as long and something else
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const https = require('node:https');

const upstreams = (process.env.UPSTREAM || '').split(',');
const agent = new https.Agent({ keepAlive: true });

function byHttps(url) {
  return new Promise((resolve, reject) => {
    https.get(url, { agent }, (reply) => {
      let body = '';
      reply.on('data', (part) => { body += part; });
      reply.on('end', () => resolve(JSON.parse(body)));
    }).on('error', reject);
  });
}

async function byFetch(url) {
  return (await fetch(url)).json();
}

function json(response, value) {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(value));
}

function blob(request, response) {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const data = Buffer.concat(parts);
    const answer = crypto.randomBytes(data.length);
    const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');
    response.writeHead(200, { 'Content-Length': answer.length, 'X-Received': sha256(data), 'X-Sent': sha256(answer) });
    response.end(answer);
  });
}

async function handle(request, response) {
  const url = new URL(request.url, 'https://localhost');
  const id = url.searchParams.get('id');
  if (request.method === 'POST') {
    blob(request, response);
  } else if (url.pathname === '/fetch') {
    const call = url.searchParams.get('with') === 'fetch' ? byFetch : byHttps;
    json(response, { id, upstream: await call(`${upstreams[id % upstreams.length]}/echo${url.search}`) });
  } else {
    setTimeout(() => json(response, { id, headers: request.headers }), Number(url.searchParams.get('delay') || 0));
  }
}

function listener() {
  if (process.env.FRAMEWORK !== 'express') return handle;
  const app = require('express')();
  app.disable('x-powered-by');
  app.get('/fetch', handle);
  app.get(/.*/, handle);
  app.post('/blob', handle);
  return app;
}

https.createServer({
  cert: fs.readFileSync(process.env.TLS_CERT),
  key: fs.readFileSync(process.env.TLS_KEY),
}, listener()).listen(Number(process.env.PORT), '127.0.0.1', 1024);
