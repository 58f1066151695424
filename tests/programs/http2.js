// HTTP/2 by node's own module: `node http2.js` serves (PORT; TLS with TLS_CERT and TLS_KEY), `node http2.js URL COUNT` calls
// URL/echo?id=0.. all at once on one connection (with BODIES each third one is a POST) and prints what each answer says.
//
// /echo?id=&delay=    the headers of the request, after so many milliseconds
'use strict';
const fs = require('node:fs');
const http2 = require('node:http2');

function serve() {
  const { TLS_CERT, TLS_KEY, PORT } = process.env;
  const handle = (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => setTimeout(() => {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ id: url.searchParams.get('id'), headers: request.headers, body: Buffer.concat(parts).length }));
    }, Number(url.searchParams.get('delay') || 0)));
  };
  const server = TLS_CERT
    ? http2.createSecureServer({ cert: fs.readFileSync(TLS_CERT), key: fs.readFileSync(TLS_KEY) }, handle)
    : http2.createServer(handle);
  server.listen(PORT, '127.0.0.1');
  process.on('SIGTERM', () => process.exit(0));
}

function ask(session, target, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': target, ':method': body ? 'POST' : 'GET' });
    let text = '';
    stream.setEncoding('utf8');
    stream.on('data', (part) => { text += part; });
    stream.on('end', () => resolve(JSON.parse(text)));
    stream.on('error', reject);
    if (body) stream.end(body);
  });
}

async function call(url, count) {
  const session = http2.connect(url);
  const targets = Array.from({ length: count }, (_, id) => `/echo?id=${id}&delay=${(id * 7) % 30}`);
  const body = (id) => (process.env.BODIES && id % 3 === 0 ? 'x'.repeat(id * 100 + 1) : undefined);
  const answers = await Promise.all(targets.map((target, id) => ask(session, target, body(id))));
  session.close();
  console.log(JSON.stringify(answers));
}

if (process.argv[2]) call(process.argv[2], Number(process.argv[3]));
else serve();
