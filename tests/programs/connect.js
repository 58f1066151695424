// Connect, gRPC-Web and gRPC by @connectrpc, on a service that is described here rather than generated.
//
// serve: HTTP=1 or 2, PORT. demo.Echo/Unary and /Stream take an id and answer what UPSTREAM says to /echo?id=.
// call:  `node connect.js URL PROTOCOL HTTP COUNT`: so many calls at once, every other one a stream, ids from 0; prints the answers
'use strict';
const { create, createFileRegistry } = require('@bufbuild/protobuf');
const wkt = require('@bufbuild/protobuf/wkt');
const { createClient, ConnectError, Code } = require('@connectrpc/connect');
const node = require('@connectrpc/connect-node');

const text = { inputType: '.google.protobuf.StringValue', outputType: '.google.protobuf.StringValue' };
const file = create(wkt.FileDescriptorProtoSchema, {
  name: 'demo.proto', package: 'demo', syntax: 'proto3', dependency: ['google/protobuf/wrappers.proto'],
  service: [{ name: 'Echo', method: [{ name: 'Unary', ...text }, { name: 'Stream', ...text, serverStreaming: true }] }],
});
const Echo = createFileRegistry(file, () => wkt.file_google_protobuf_wrappers).getService('demo.Echo');

function serve() {
  const { HTTP, PORT, UPSTREAM } = process.env;
  const http = require('node:http');
  const work = async ({ value }) => {
    if (value === 'missing') throw new ConnectError('none of that name', Code.NotFound);
    await new Promise((resolve) => setTimeout(resolve, Number(value) % 5 * 5));
    return new Promise((resolve, reject) => {
      http.get(`${UPSTREAM}/echo?id=${value}`, (reply) => {
        let body = '';
        reply.on('data', (part) => { body += part; }).on('end', () => resolve({ value: body }));
      }).on('error', reject);
    });
  };
  const handler = node.connectNodeAdapter({
    routes: (router) => router.service(Echo, {
      unary: work,
      async *stream(request) {
        yield await work(request);
        yield { value: 'more' };
      },
    }),
  });
  (HTTP === '2' ? require('node:http2').createServer(handler) : http.createServer(handler)).listen(PORT, '127.0.0.1');
}

async function call([baseUrl, protocol, httpVersion, count]) {
  const make = { connect: node.createConnectTransport, web: node.createGrpcWebTransport, grpc: node.createGrpcTransport }[protocol];
  const client = createClient(Echo, make({ baseUrl, httpVersion }));
  const one = async (id) => {
    const headers = { 'x-id': String(id) };
    if (id % 2 === 0) return (await client.unary({ value: String(id) }, { headers })).value;
    const all = [];
    for await (const { value } of client.stream({ value: String(id) }, { headers })) all.push(value);
    return all[0];
  };
  const answers = await Promise.all(Array.from({ length: Number(count) }, (_, id) => one(id)));
  const refused = await client.unary({ value: 'missing' }, { headers: { 'x-id': 'missing' } }).catch((error) => error.code);
  console.log(JSON.stringify({ answers: answers.map((answer) => JSON.parse(answer).id), refused }));
  process.exit(0);
}

if (process.argv[2]) call(process.argv.slice(2));
else serve();
