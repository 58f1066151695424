// Runs before the program's own code in every thread of node's (context/bridge/node.rs). It must never throw, print, or keep
// the process alive. A token (a bigint) stands for a server request. The store of `requests` is
// - a token: this code runs for that request;
// - an object: an event of a client socket's. A pool may use the socket for somebody else by now, so what begins here has no
//   parent; `token` is that of who had the socket connected;
// - undefined: nobody.
try {
  const native = process._linkedBinding('otel_run');
  delete require.cache[module.filename];
  const options = process.env.NODE_OPTIONS;
  if (options === native.option) delete process.env.NODE_OPTIONS;
  else if (options?.endsWith(` ${native.option}`)) process.env.NODE_OPTIONS = options.slice(0, -native.option.length - 1);

  const { AsyncLocalStorage, AsyncResource } = require('async_hooks');
  const { subscribe } = require('diagnostics_channel');
  const requests = new AsyncLocalStorage();
  const EVENT = { token: undefined };
  /** The token of a request that came in or goes out: a private field, which nobody sees and which costs less than a WeakMap. */
  class tokens extends class { constructor(object) { return object; } } {
    #token;
    static has(object) { return #token in object; }
    static get(object) { return #token in object ? object.#token : undefined; }
    static set(object, token) {
      if (!(#token in object)) new tokens(object);
      object.#token = token;
    }
    /** What tells the route of a request that came in; none once it is told. */
    #route;
    static found(object, route) {
      const request = #token in object ? object : object.stream;  // what stands for a stream of HTTP/2 has no token
      if (request && #token in request) request.#route = route;
    }
    static tell(response) {
      const request = response.req ?? response;
      if (!request || !(#token in request) || !request.#route) return;
      const route = request.#route(request, response);
      if (route === undefined) return;
      native.route(request.#token, router_routes.text(route));
      request.#route = undefined;
    }
  }
  /** The token of the request that was put into a socket last; null for nobody. */
  const heads = new WeakMap();
  /** The token of what waits for a socket to connect. */
  const waiting = new WeakMap();

  const mine = () => {
    const store = requests.getStore();
    return typeof store === 'bigint' ? store : null;
  };

  let word;
  /** Calls `f`, whose writes and connects are those of `token`. */
  const on_behalf = (token, f, self, args) => {
    const before = word;
    native.set((word = token));
    try {
      return Reflect.apply(f, self, args);
    } finally {
      native.set((word = before));
    }
  };

  const replace = (object, name, make) => {
    const original = object[name];
    if (typeof original !== 'function') return;
    const value = make(original);
    for (const property of ['name', 'length']) {
      Object.defineProperty(value, property, { value: original[property], configurable: true });
    }
    const own = Object.getOwnPropertyDescriptor(object, name) ?? { configurable: true, writable: true, enumerable: false };
    Object.defineProperty(object, name, { ...own, value });
  };

  const routers = native.routers.split(',');
  const by_express = routers.includes('EXPRESS') ? router_routes.express : () => undefined;
  const tell_route = (response) => {
    try {
      tokens.tell(response);
    } catch {
      // The span is named without it.
    }
  };
  if (routers.includes('FASTIFY')) {
    subscribe('fastify.initialization', (message) => {
      try {
        router_routes.follow_fastify(message, tokens.found);
      } catch {
        // As above.
      }
    });
  }

  const watched = new WeakSet();
  /** The connect of a handle may come after a name was looked up, in an event. */
  const watch_connects = (handle) => {
    const prototype = handle && Object.getPrototypeOf(handle);
    if (!prototype || watched.has(prototype)) return;
    watched.add(prototype);
    for (const name of ['connect', 'connect6']) {
      replace(prototype, name, (original) => function (...args) {
        const token = requests.getStore()?.token;
        return token === undefined ? Reflect.apply(original, this, args) : on_behalf(token, original, this, args);
      });
    }
  };

  /** Several commands leave in one write: the agent is told whom each is for, by its place in all that the socket has written. */
  const tell = (socket, commands) => {
    const fd = socket._handle?.fd ?? -1;
    let place = socket._bytesDispatched;
    for (const { token, bytes } of commands) {
      if (token !== null) native.tell(fd, place >>> 0, token);
      place += bytes;
    }
  };

  /** What is written to a socket without a request of http's or undici's. */
  const write_raw = (original, socket, args) => {
    const commands = redis_commands(socket, args[0], args[1]);
    if (commands) {
      if (commands.length > 1) tell(socket, commands);
      const token = commands.length === 1 ? (commands[0].token ?? undefined) : undefined;
      return requests.run(EVENT, on_behalf, token, original, socket, args);
    }
    let token = waiting.get(socket);
    if (token === undefined) token = mine() ?? undefined;
    else waiting.delete(socket);
    if (token === undefined) return Reflect.apply(original, socket, args);
    if (socket.connecting) waiting.set(socket, token);
    // That it could be written is an event of the socket's.
    return requests.run(EVENT, on_behalf, token, original, socket, args);
  };

  /** The token of the request of undici's that is being written; undefined between such. */
  let written;
  const writers = new WeakSet();
  /** Undici says by this call whose turn it is, just before it makes a stream of HTTP/2. */
  const watch_writes = (prototype) => {
    if (writers.has(prototype)) return;
    writers.add(prototype);
    replace(prototype, 'onConnect', (original) => function (...args) {
      written = tokens.get(this) ?? null;
      queueMicrotask(() => { written = undefined; });
      return Reflect.apply(original, this, args);
    });
  };

  const modules = process.moduleLoadList;
  let modules_seen = 0;
  let follows_http2 = false;
  /** Follows HTTP/2 once the program has loaded it. */
  const look_for_http2 = (socket) => {
    if (follows_http2 || !modules || modules.length === modules_seen) return;
    modules_seen = modules.length;
    follows_http2 = modules.includes('NativeModule http2');
    if (!follows_http2) return;
    const asking = () => (written === undefined ? mine() : written);
    requests.run(EVENT, follow_http2, socket, { native, tokens, requests, nobody: EVENT, asking, replace, begin, tell_route });
  };

  let drivers = [follow_pg, follow_mysql2, follow_redis, follow_ioredis, follow_memjs];
  let files_seen = 0;
  /** Follows clients of databases once the program has loaded them. */
  const look_for_drivers = () => {
    const files = drivers.length && Object.keys(require.cache).length;
    if (files === files_seen) return;
    files_seen = files;
    drivers = drivers.filter((follow) => {
      try {
        return !follow(requests, EVENT, replace, mine);
      } catch {
        return false;
      }
    });
  };

  let installed = false;
  let marks_bodies = false;
  // Before the first request nobody has a token: until then nothing is replaced, and nothing loaded.
  const begin = () => {
    if (installed) return;
    installed = true;
    install();
  };
  const install = () => {
    look_for_drivers();
    const net = require('net');
    const { ClientRequest, IncomingMessage } = require('http');
    if (routers.includes('KOA')) router_routes.follow_koa(tokens.found);

    replace(ClientRequest.prototype, 'onSocket', (original) => function (...args) {
      if (!tokens.has(this)) tokens.set(this, mine());
      return Reflect.apply(original, this, args);
    });
    replace(net.Socket.prototype, '_writeGeneric', (original) => function (...args) {
      const message = this._httpMessage;
      if (message && !(message instanceof ClientRequest)) {
        tell_route(message);
        return Reflect.apply(original, this, args);
      }
      const token = message ? tokens.get(message) ?? null : heads.get(this);
      if (token === undefined) return write_raw(original, this, args);
      return token === null ? Reflect.apply(original, this, args) : on_behalf(token, original, this, args);
    });
    replace(net.Socket.prototype, 'connect', (original) => function (...args) {
      if (requests.getStore() === undefined) return Reflect.apply(original, this, args);
      look_for_drivers();
      const token = mine() ?? undefined;
      const socket = requests.run({ token }, on_behalf, token, original, this, args);
      watch_connects(this._handle);
      return socket;
    });
    if (process.versions.openssl) {
      replace(require('tls').TLSSocket.prototype, '_wrapHandle', (original) => function (...args) {
        const store = requests.getStore();
        return store === undefined
          ? Reflect.apply(original, this, args)
          : requests.run(EVENT, () => Reflect.apply(original, this, args));
      });
    }

    // A pool whose connections are all busy makes the request later, in the turn of any other that leaves room ("drain").
    // Most handlers are resources that remember who asked; for others the stack tells whether it is now that somebody asks.
    const asking = (request) => {
      for (const symbol of Object.getOwnPropertySymbols(request)) {
        if (request[symbol] instanceof AsyncResource) return request[symbol].runInAsyncScope(mine);
      }
      const token = mine();
      return token === null || made_late() ? null : token;
    };
    const made_late = () => {
      const before = ['prepareStackTrace', 'stackTraceLimit'].map((name) => [name, Object.getOwnPropertyDescriptor(Error, name)]);
      try {
        Error.stackTraceLimit = 30;
        Error.prepareStackTrace = (_, sites) => sites.some((site) => /drain/i.test(site.getFunctionName() ?? ''));
        return new Error().stack !== false;
      } catch {
        return true;
      } finally {
        for (const [name, descriptor] of before) {
          if (descriptor) Reflect.defineProperty(Error, name, descriptor);
          else Reflect.deleteProperty(Error, name);
        }
      }
    };
    subscribe('undici:request:create', ({ request }) => {
      tokens.set(request, asking(request));
      watch_writes(Object.getPrototypeOf(request));
    });
    subscribe('undici:client:sendHeaders', ({ request, socket }) => {
      const token = tokens.get(request) ?? null;
      // Two heads may leave in one write: then it is nobody's.
      heads.set(socket, socket.writableLength > 0 && heads.get(socket) !== token ? null : token);
    });

    // Where what is entered ends with the callback, the parts of the body come for nobody.
    const parser = new AsyncResource('otel-run');
    parser.runInAsyncScope(() => requests.enterWith(EVENT));
    marks_bodies = parser.runInAsyncScope(() => requests.getStore()) === undefined;
    if (marks_bodies) {
      replace(IncomingMessage.prototype, 'push', (original) => function (...args) {
        const token = tokens.get(this);
        return typeof token === 'bigint' && requests.getStore() !== token
          ? requests.run(token, () => Reflect.apply(original, this, args))
          : Reflect.apply(original, this, args);
      });
    }
  };

  subscribe('http.server.request.start', ({ request, socket }) => {
    try {
      begin();
      look_for_http2();
      const token = native.claim(socket._handle?.fd ?? -1, request.url);
      if (token !== undefined) {
        tokens.set(request, token);
        tokens.found(request, by_express);
      }
      requests.enterWith(token);
    } catch {
      // The program goes on without parents.
    }
  });
  subscribe('net.server.socket', ({ socket }) => {
    try {
      look_for_http2(socket);
    } catch {
      // As above.
    }
  });
  native.start();
} catch {
  // The program goes on as if this were not here.
}
