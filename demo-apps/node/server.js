// Node's own http module, server and client.
'use strict';
const http = require('node:http');

const upstream = process.env.UPSTREAM || 'http://127.0.0.1:5001';

function json(response, value) {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(value));
}

http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  const id = url.searchParams.get('id');
  if (url.pathname === '/') {
    response.end('hello from node\n');
  } else if (url.pathname === '/echo') {
    setTimeout(() => json(response, { id, headers: request.headers }), Number(url.searchParams.get('delay') || 0));
  } else if (url.pathname === '/fetch') {
    http.get(`${upstream}/echo${url.search}`, (reply) => {
      let body = '';
      reply.on('data', (part) => { body += part; });
      reply.on('end', () => json(response, { id, upstream: JSON.parse(body) }));
    }).on('error', (error) => {
      response.statusCode = 502;
      response.end(`${error.code}\n`);
    });
  } else {
    response.statusCode = 404;
    response.end('not found\n');
  }
}).listen(Number(process.env.PORT || 3000), '127.0.0.1');
