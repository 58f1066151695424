// Prints what a program can see of node's HTTP/2 while it serves itself: classes, listeners, headers, stacks. Its calls carry a
// context, which it does not print.
'use strict';
const http2 = require('node:http2');

const shape = (object) => Reflect.ownKeys(object).filter((name) => typeof name === 'string')
  .map((name) => [name, Object.getOwnPropertyDescriptor(object, name)])
  .map(([name, { value, enumerable }]) => [name, enumerable, value?.name, value?.length]);
const family = (object) => {
  const found = [];
  for (let at = Object.getPrototypeOf(object); at && at !== Object.prototype; at = Object.getPrototypeOf(at)) found.push([at.constructor.name, shape(at)]);
  return found;
};
const own = ['push', 'respond'];  // of the streams of a server, where they are inherited otherwise
const without = (families) => families.map(([name, keys]) => [name, keys.filter(([key]) => !(name === 'ServerHttp2Stream' && own.includes(key)))]);

const seen = [Object.keys(http2)];
const server = http2.createServer().on('stream', (stream, headers) => {
  seen.push(['stream', new Error('where').stack, Object.keys(stream), Object.keys(headers).filter((name) => name !== 'traceparent'), server.eventNames().map(String)]);
  seen.push(without(family(stream)), without(family(stream.session)));
  stream.respond({ ':status': 200 });
  stream.end('answer');
}).listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const sent = { ':path': '/one', 'x-secret': 'x', [http2.sensitiveHeaders]: ['x-secret'] };
  const stream = session.request(sent);
  stream.on('response', (headers) => seen.push(['response', Object.keys(headers), new Error('where').stack]));
  stream.on('end', () => {
    seen.push(Object.keys(stream.sentHeaders), sent, without(family(stream)), without(family(session)), session.eventNames().map(String));
    try {
      session.request({ ':nothing': 'x' });
    } catch (error) {
      seen.push(error.stack);
    }
    session.close();
    server.close();
    console.log(JSON.stringify(seen, null, 1).replaceAll(String(port), 'PORT'));
  }).resume();
});
