// Prints what a program can see of its own start, and the stack of an error in a request's handler.
'use strict';
const http = require('node:http');
const net = require('node:net');
const { Worker, isMainThread } = require('node:worker_threads');

const shape = (object) => Object.entries(Object.getOwnPropertyDescriptors(object))
  .map(([name, { value, enumerable }]) => [name, enumerable, value?.name, value?.length]).filter(([name]) => name !== 'push');
const look = () => ({
  options: process.env.NODE_OPTIONS,
  arguments: [process.execArgv, process.argv.slice(2)],
  loaded: Object.keys(require.cache),
  main: [require.main === module, module.parent, module.children.length],
  globals: Object.getOwnPropertyNames(globalThis),
  environment: Object.keys(process.env).filter((name) => name !== 'LD_PRELOAD' && !name.startsWith('OTEL_')).sort(),
  listeners: process.eventNames().map(String).sort(),
  shapes: [http.Server, net.Server, net.Socket, http.ClientRequest, http.IncomingMessage].map((type) => shape(type.prototype)),
});

if (!isMainThread) {
  console.log(JSON.stringify(look()));
} else {
  const before = look();
  const server = http.createServer((request, response) => {
    response.end(JSON.stringify([new Error('where').stack, server.eventNames(), server.listenerCount('request'), Object.keys(request)]));
  }).listen(0, '127.0.0.1', () => {
    http.get({ port: server.address().port, path: '/' }, (reply) => {
      const keys = [Object.keys(reply), Object.keys(reply.socket)];
      let body = '';
      reply.on('data', (part) => { body += part; });
      reply.on('end', () => {
        server.close();
        server.closeAllConnections();
        console.log(JSON.stringify([before, look(), JSON.parse(body), keys], null, 1));
        new Worker(__filename).on('exit', () => { Promise.resolve().then(() => { throw new Error('uncaught'); }); });
      });
    });
  });
}
