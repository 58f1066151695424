// A server of HTTP/1 that loads node's HTTP/2 when it is asked for the first time.
'use strict';
const http = require('node:http');

let session;
http.createServer((request, response) => {
  const id = new URL(request.url, 'http://h').searchParams.get('id');
  if (!id) return response.end('ok');
  session ??= require('node:http2').connect(process.env.UPSTREAM2);
  const stream = session.request({ ':path': `/echo${request.url.slice(request.url.indexOf('?'))}` });
  stream.on('end', () => response.end(id)).on('error', () => response.destroy()).resume();
}).listen(process.env.PORT, '127.0.0.1');
