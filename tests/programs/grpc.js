// gRPC by @grpc/grpc-js, without generated code: a message is the JSON of an object.
//
// serve: a server on PORT (TLS with TLS=1). demo.Calls/Unary, ClientStream, ServerStream, Both (the four kinds); each takes
//        { id, code, wait, with, after }: `code` is the status to end with (0), `wait` milliseconds before, `with` what is called
//        first: grpc (UPSTREAM_GRPC), http (UPSTREAM), or nothing. Answers { id, metadata, upstream }.
// call:  `node grpc.js TARGET JSON` makes all calls of a list of { method, request, deadline, cancel, metadata } at once on one
//        channel and prints [{ code, answers }]; with READY=1 when it is connected.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const grpc = require('@grpc/grpc-js');

const { PORT, TLS, TLS_CERT, TLS_KEY, SSL_CERT_FILE, UPSTREAM, UPSTREAM_GRPC, READY } = process.env;
const json = { serialize: (value) => Buffer.from(JSON.stringify(value)), deserialize: (bytes) => JSON.parse(bytes) };
const kind = (path, requestStream, responseStream) => ({
  path, requestStream, responseStream, requestSerialize: json.serialize, requestDeserialize: json.deserialize,
  responseSerialize: json.serialize, responseDeserialize: json.deserialize,
});
const SERVICE = {
  Unary: kind('/demo.Calls/Unary', false, false),
  ClientStream: kind('/demo.Calls/ClientStream', true, false),
  ServerStream: kind('/demo.Calls/ServerStream', false, true),
  Both: kind('/demo.Calls/Both', true, true),
};
const Client = grpc.makeGenericClientConstructor(SERVICE, 'Calls');
const connect = (target, options) => new Client(target, TLS
  ? grpc.credentials.createSsl(fs.readFileSync(SSL_CERT_FILE)) : grpc.credentials.createInsecure(), options);

/** One call of any kind: its status and what was answered. */
function call(client, { method, request, deadline, cancel, metadata = {} }) {
  return new Promise((resolve) => {
    const fields = new grpc.Metadata();
    for (const [name, value] of Object.entries(metadata)) fields.set(name, value);
    const options = deadline === undefined ? {} : { deadline: Date.now() + deadline };
    const answers = [];
    const done = (error, answer) => {
      if (answer) answers.push(answer);
      resolve({ code: error ? error.code : 0, details: error ? error.details : '', answers });
    };
    const { requestStream, responseStream } = SERVICE[method];
    const under = client[method](...(requestStream ? [] : [request]), fields, options, ...(responseStream ? [] : [done]));
    if (responseStream) under.on('data', (answer) => answers.push(answer)).on('error', done).on('end', () => done(null));
    if (requestStream) {
      under.write(request);
      under.write({ more: true });
      under.end();
    }
    if (cancel !== undefined) setTimeout(() => under.cancel(), cancel);
  });
}

const pool = new http.Agent({ keepAlive: true, maxSockets: 2 });
const CALLS = {
  http: (id) => new Promise((resolve, reject) => {
    http.get(`${UPSTREAM}/echo?id=${id}`, { agent: pool }, (reply) => {
      let body = '';
      reply.on('data', (part) => { body += part; }).on('end', () => resolve(JSON.parse(body).headers));
    }).on('error', reject);
  }),
  grpc: async (id) => (await call(one(), { method: 'Unary', request: { id }, metadata: { 'x-id': id } })).answers[0].metadata,
  // A channel of its own, on the connection that all have in common: its first call waits for the name.
  fresh: async (id) => {
    const client = connect(UPSTREAM_GRPC);
    const both = [id, `b${id}`].map((own) => call(client, { method: 'Unary', request: { id: own }, metadata: { 'x-id': own } }));
    const [{ answers }] = await Promise.all(both);
    client.close();
    return answers[0].metadata;
  },
};
let made;
const one = () => (made ??= connect(UPSTREAM_GRPC));
const HANDOFFS = { none: (go) => go(), timer: (go) => setTimeout(go, 7) };

async function work({ id, with: client, after = 'none', wait = 0 }) {
  if (wait) await new Promise((resolve) => setTimeout(resolve, wait));
  return client && new Promise((resolve, reject) => HANDOFFS[after](() => CALLS[client](id).then(resolve, reject)));
}

function serve() {
  const failed = (code) => ({ code, details: `code ${code}` });
  const answered = async (request, under) => ({
    id: request.id, metadata: under.metadata.getMap(), upstream: await work(request),
  });
  /** The first message of a stream, when it is there, in the event that brings it. */
  const whole = (under, then) => {
    let first;
    under.on('data', (message) => { first ??= message; }).on('end', () => then(first));
  };
  const reply = (under, request) => answered(request, under).then((answer) => {
    if (request.code) return under.emit('error', failed(request.code));
    under.write(answer);
    under.write({ more: true });
    under.end();
  });
  const single = (under, request, done) => answered(request, under).then((answer) => {
    if (request.code) done(failed(request.code));
    else done(null, answer);
  });
  const server = new grpc.Server();
  server.addService(SERVICE, {
    Unary: (under, done) => single(under, under.request, done),
    ClientStream: (under, done) => whole(under, (request) => single(under, request, done)),
    ServerStream: (under) => reply(under, under.request),
    Both: (under) => whole(under, (request) => reply(under, request)),
  });
  const credentials = TLS
    ? grpc.ServerCredentials.createSsl(null, [{ cert_chain: fs.readFileSync(TLS_CERT), private_key: fs.readFileSync(TLS_KEY) }])
    : grpc.ServerCredentials.createInsecure();
  server.bindAsync(`127.0.0.1:${PORT}`, credentials, (error) => { if (error) throw error; });
}

if (process.argv[2]) {
  const client = connect(process.argv[2]);
  const all = () => Promise.all(JSON.parse(process.argv[3]).map((wanted) => call(client, wanted))).then((results) => {
    client.close();
    console.log(JSON.stringify(results));
  });
  if (READY) client.waitForReady(Date.now() + 20000, all);
  else all();
} else serve();
