// Express, calling its upstream with fetch (undici).
'use strict';
const express = require('express');

const upstream = process.env.UPSTREAM || 'http://127.0.0.1:5001';
const app = express();

app.get('/', (request, response) => response.type('text').send('hello from express\n'));

app.get('/echo', (request, response) => {
  setTimeout(() => response.json({ id: request.query.id, headers: request.headers }), Number(request.query.delay || 0));
});

app.get('/fetch', async (request, response) => {
  const reply = await fetch(`${upstream}/echo?${new URLSearchParams(request.query)}`);
  response.json({ id: request.query.id, upstream: await reply.json() });
});

app.listen(Number(process.env.PORT || 3000), '127.0.0.1');
