'use strict';
// The template that a framework's router matched for a request (context/bridge/node.rs; node.js, which follows, asks when the
// answer's first bytes leave). What is read are the framework's own objects: nothing of it is wrapped, or called again.
const router_routes = (() => {
  const text = (path) => (Array.isArray(path) ? path.map(String).join(',') : String(path));

  // Express. `request.route` is the route; of the routers around it the request has only what they took off its path. So the
  // routers are looked through for those within which the route is.
  /** Most routers around a route. */
  const DEPTH = 16;
  /** Most templates of one layer that does not keep the text it was made of. */
  const TEMPLATES = 16;
  const router_of = (app) => app._router ?? app.router;

  /** All chains of layers that lead to the route, each layer within the one before. `apps` are mounted within each other. */
  const chains_to = (route, apps) => {
    const found = [];
    const walk = (router, rest, above) => {
      for (const layer of router?.stack ?? []) {
        if (layer.route === route) found.push(above);
        else if (layer.route || above.length === DEPTH || above.includes(layer)) continue;
        else if (Array.isArray(layer.handle?.stack)) walk(layer.handle, rest, [...above, layer]);
        else if (layer.handle?.name === 'mounted_app' && rest.length) walk(router_of(rest[0]), rest.slice(1), [...above, layer]);
      }
    };
    walk(router_of(apps[0]), apps.slice(1), []);
    return found;
  };

  /** What the layer takes off the front of the path, with the parameters in it. */
  const taken = ({ slash, regexp, keys, matchers }, path) => {
    if (slash || regexp?.fast_slash) return { path: '', params: {} };
    if (!regexp) return matchers.reduce((match, matcher) => match || matcher(path), false);
    if (regexp.global || regexp.sticky) return false;  // it would remember that it was asked
    const match = regexp.exec(path);
    return match && { path: match[0], params: Object.fromEntries(keys.map(({ name }, at) => [name, match[at + 1]])) };
  };

  const templates = new WeakMap();
  /** The template of a layer that keeps none: what was taken, with names for values. Letters are as they were the first time. */
  const reconstructed = (layer, { path, params }) => {
    const segments = path.split('/');
    const plain = segments.map(decodeURIComponent);
    for (const [name, value] of Object.entries(params)) {
      if (value === undefined) continue;
      const at = plain.indexOf(decodeURIComponent(value));
      if (at < 0 || at !== plain.lastIndexOf(plain[at])) return undefined;
      segments[at] = `:${name}`;
    }
    const template = segments.join('/');
    const known = templates.get(layer) ?? new Map();
    templates.set(layer, known);
    const key = template.toLowerCase();
    if (!known.has(key) && known.size < TEMPLATES) known.set(key, template);
    return known.get(key);
  };

  /** The templates of the layers around a route, if these are the ones that took `base` (or, not `whole`, its front). */
  const around = (chain, base, whole) => {
    const parts = [];
    for (const layer of chain) {
      const match = taken(layer, base || '/');
      const part = match && (layer.rawPath === undefined ? reconstructed(layer, match) : text(layer.rawPath));
      if (typeof part !== 'string') return undefined;
      parts.push(part);
      base = base.slice(match.path.replace(/\/$/, '').length);
    }
    return whole && base !== '' ? undefined : parts;
  };

  const chains = new WeakMap();
  const express = (request, response) => {
    const { route, app } = request;
    // A request that left all routers was matched by none that kept it; what failed in one leaves them too.
    if (route?.path === undefined || !app || (response.statusCode === 404 && request.next === undefined)) return undefined;
    const apps = [app];
    while (apps[0].parent && apps.length < DEPTH) apps.unshift(apps[0].parent);
    const whole = Boolean(request.baseUrl);
    const base = request.baseUrl || request.originalUrl.split('?', 1)[0];
    const find = () => {
      for (const chain of chains.get(route) ?? []) {
        const parts = chain.length || whole ? around(chain, base, whole) : [];
        if (parts) return [...parts, text(route.path)].filter((part) => part !== '/');
      }
      return undefined;
    };
    let parts = find();
    if (!parts) {
      chains.set(route, chains_to(route, apps));
      parts = find();
    }
    const joined = parts?.join('').replace(/\/{2,}/g, '/');
    return joined === undefined || /^[/*]/.test(joined) ? joined : `/${joined}`;
  };

  // Koa and Fastify keep what they know in an object of theirs, to which no way leads from node's. It is met when it is given a
  // property: one that its prototype has catches that, and makes it the object's own, as it would have been.
  const caught = (prototype, name, f) => Object.defineProperty(prototype, name, {
    configurable: true,
    get: () => undefined,
    set(value) {
      if (value === undefined) return;
      Object.defineProperty(this, name, { configurable: true, enumerable: true, writable: true, value });
      try {
        f(this);
      } catch {
        // The program goes on without a route.
      }
    },
  });

  const CONTEXT = ['inspect', 'toJSON', 'throw', 'onerror'];
  /** Calls `f` with the request and something that tells its route, for each that a router of Koa's matches. */
  const follow_koa = (f) => {
    for (const [file, module] of Object.entries(require.cache)) {
      if (!/[\\/]lib[\\/]context\.js$/.test(file) || !CONTEXT.every((name) => Object.hasOwn(module.exports ?? {}, name))) continue;
      caught(module.exports, '_matchedRoute', (context) => f(context.req, () => context._matchedRoute));
    }
  };

  /** The same for each that Fastify handles. */
  const follow_fastify = ({ fastify }, f) => {
    const symbol = Object.getOwnPropertySymbols(fastify).find(({ description }) => description === 'fastify.Request');
    let context;
    const matched = (request) => f(request.raw, () => {
      // `routeOptions.url` is the same, made anew in microseconds.
      context ??= Object.getOwnPropertySymbols(request).find(({ description }) => description === 'fastify.context');
      if (context) return request[context].config?.url;
      const options = request.routeOptions;
      return options ? options.url : request.routerPath;
    });
    // Each application derives a class of its own, and uses it or the one that all have in common; the prototypes of Fastify 3
    // are requests themselves, with nothing in them.
    for (let prototype = fastify[symbol].prototype; prototype !== Object.prototype;) {
      const above = Object.getPrototypeOf(prototype);
      const own = Object.getOwnPropertyDescriptor(prototype, 'raw');
      if (own ? 'value' in own : above === Object.prototype) caught(prototype, 'raw', matched);
      prototype = above;
    }
  };

  return { caught, express, follow_koa, follow_fastify, text };
})();
