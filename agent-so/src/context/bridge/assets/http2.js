
// HTTP/2 by node's own module (context/bridge/node.rs). `follow_http2` is called by node.js, which comes next, when the program
// has loaded that module, perhaps with the `first` socket that was accepted since. What is sent for one request leaves later, in
// one write with what is sent for others: so a request goes out with the context of the one that it is made for as a field,
// which the agent replaces by that of the CLIENT span.
const follow_http2 = (first, { native, tokens, requests, nobody, asking, replace, begin, tell_route }) => {
  const http2 = require('http2');
  const { AsyncResource } = require('async_hooks');
  const { Duplex } = require('stream');
  const symbol = (object, name) => Object.getOwnPropertySymbols(object).find(({ description }) => description === name);

  /** A session of either kind on a socket that leads nowhere: no other way leads to their classes. */
  const nowhere = () => new Duplex({ read() {}, write(chunk, encoding, done) { done(); } });
  const serving = () => {
    let made;
    http2.createServer().on('session', (session) => { made = session; }).emit('connection', nowhere());
    return made;
  };
  const calling = () => http2.connect('http://localhost', { createConnection: nowhere });

  const streams = new WeakSet();
  /** The prototype of the streams that come in. */
  const watch = (prototype) => {
    if (streams.has(prototype)) return;
    streams.add(prototype);
    // What comes later on a stream comes in events of the session's.
    replace(prototype, 'push', (original) => function (...args) {
      const token = tokens.get(this);
      return requests.getStore() === token
        ? Reflect.apply(original, this, args)
        : requests.run(token, () => Reflect.apply(original, this, args));
    });
    replace(prototype, 'respond', (original) => function (...args) {
      tell_route(this);
      return Reflect.apply(original, this, args);
    });
  };

  /** The first of the listeners that a session calls with a new stream. */
  function claim(stream) {
    try {
      begin();
      watch(Object.getPrototypeOf(stream));
      const token = native.stream(this.socket?._handle?.fd ?? -1, stream.id);
      if (token !== undefined) tokens.set(stream, token);
      requests.enterWith(token);
    } catch {
      // The program goes on without parents.
    }
  }
  const adopt = (session) => session.prependListener('stream', claim);

  // grpc-js lets calls wait in lists, and whoever comes next starts them.
  let follows_grpc = false;
  const GRPC = [['resolving-call.js', 'ResolvingCall', 'getConfig'], ['load-balancing-call.js', 'LoadBalancingCall', 'doPick']];
  const remember = (prototype, waits) => {
    const stores = new WeakMap();
    replace(prototype, 'start', (original) => function (...args) {
      stores.set(this, requests.getStore());
      return Reflect.apply(original, this, args);
    });
    replace(prototype, waits, (original) => function (...args) {
      return requests.run(stores.get(this) ?? nobody, () => Reflect.apply(original, this, args));
    });
  };
  const follow_grpc = () => {
    const files = Object.entries(require.cache).filter(([file]) => /[\\/]grpc-js[\\/]build[\\/]src[\\/][a-z-]+-call\.js$/.test(file));
    for (const [name, type, waits] of GRPC) {
      for (const [file, { exports }] of files) {
        if (!file.endsWith(name) || !exports?.[type]?.prototype) continue;
        remember(exports[type].prototype, waits);
        follows_grpc = true;
      }
    }
  };

  /** The fields of a request, `name NUL value NUL flag` each, and their number; with the context that it is made in. */
  const with_context = (fields) => {
    const [text, count] = fields;
    if (typeof text !== 'string' || /(?:^|[\0\x01])traceparent\0/.test(text)) return fields;
    if (!follows_grpc && text.includes('grpc-node-js/')) {
      follow_grpc();
      return fields;
    }
    const token = asking(text);
    const context = token === null ? undefined : native.hand_out(token);
    // 1: never to be indexed, because the agent changes it.
    return context === undefined ? fields : [`${text}traceparent\0${context}\0\x01`, count + 1];
  };

  const examples = [serving(), calling()];
  const [served, called] = examples;
  const server = Object.getPrototypeOf(served);
  try {
    router_routes.caught(server, symbol(served, 'server'), adopt);
    replace(Object.getPrototypeOf(called[symbol(called, 'kHandle')]), 'request', (original) => function (fields, ...rest) {
      let sent = fields;
      try {
        sent = with_context(fields);
      } catch {
        // As above.
      }
      return Reflect.apply(original, this, [sent, ...rest]);
    });
    // Node 18 makes requests that waited for the connection in nobody's turn.
    const client = Object.getPrototypeOf(called);
    if (!/AsyncResource/.test(client.request)) {
      const waiting = symbol(called, 'kPendingRequestCalls');
      replace(client, 'request', (original) => function (...args) {
        const stream = Reflect.apply(original, this, args);
        if (this.connecting && this[waiting]?.length) this[waiting].push(AsyncResource.bind(this[waiting].pop()));
        return stream;
      });
    }
    follow_grpc();
  } finally {
    for (const session of examples) session?.on('error', () => {}).destroy();
  }
  // The session of the very first connection is there before.
  for (const name of first ? Reflect.ownKeys(first) : []) {
    if (first[name] && Object.getPrototypeOf(first[name]) === server) adopt(first[name]);
  }
};
