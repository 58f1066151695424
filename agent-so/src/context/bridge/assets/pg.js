
// node-postgres (context/bridge/node.rs): a query may wait for a connection of the pool, and in a connection for the ones before
// it, and leaves in the turn of whoever makes room. `follow_pg` is called by node.js, which comes next; it is true once the
// program has loaded that library. What waits keeps the request that it was asked for; the program's own stores are not touched.
const follow_pg = (requests, nobody, replace) => {
  const loaded = (pattern) => Object.entries(require.cache).filter(([file]) => pattern.test(file)).map(([, { exports }]) => exports);
  const kept = (f) => {
    const store = requests.getStore() ?? nobody;
    return function (...args) {
      return requests.run(store, () => Reflect.apply(f, this, args));
    };
  };
  const pools = loaded(/[\\/]pg-pool[\\/]index\.js$/);
  const clients = loaded(/[\\/]pg[\\/]lib[\\/]client\.js$/);
  for (const { prototype } of pools) {
    if (!prototype) continue;
    replace(prototype, 'connect', (original) => function (callback, ...rest) {
      return Reflect.apply(original, this, typeof callback === 'function' ? [kept(callback), ...rest] : arguments);
    });
  }
  const stores = new WeakMap();
  const followed = new WeakSet();
  /** A query that waits; not all are of the library's own class. */
  const remember = (query) => {
    stores.set(query, requests.getStore() ?? nobody);
    let owner = query;
    while (owner && !Object.hasOwn(owner, 'submit')) owner = Object.getPrototypeOf(owner);
    if (!owner || followed.has(owner)) return;
    followed.add(owner);
    replace(owner, 'submit', (original) => function (...args) {
      const store = stores.get(this);
      return store === undefined
        ? Reflect.apply(original, this, args)
        : requests.run(store, () => Reflect.apply(original, this, args));
    });
  };
  for (const { prototype } of clients) {
    if (!prototype) continue;
    replace(prototype, 'query', (original) => function (...args) {
      const result = Reflect.apply(original, this, args);
      const last = (this._queryQueue ?? this.queryQueue)?.at(-1);
      if (last && !stores.has(last)) remember(last);
      return result;
    });
  }
  return clients.length > 0;
};
