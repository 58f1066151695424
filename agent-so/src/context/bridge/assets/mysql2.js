
// mysql2 (context/bridge/node.rs), as pg.js: what asks for a connection waits in the pool, and a command waits in its connection for
// the ones before it; one that executes leaves when what it executes is prepared. All of them leave in an event of the socket's.
const follow_mysql2 = (requests, nobody, replace) => {
  const loaded = (pattern, name) => Object.entries(require.cache)
    .filter(([file, module]) => pattern.test(file) && Object.hasOwn(module.exports?.prototype ?? {}, name))
    .map(([, module]) => module.exports.prototype);
  const here = () => requests.getStore() ?? nobody;
  const pools = loaded(/[\\/]mysql2[\\/]lib[\\/](base[\\/])?pool\.js$/, 'getConnection');
  const connections = loaded(/[\\/]mysql2[\\/]lib[\\/](base[\\/])?connection\.js$/, 'addCommand');
  const commands = loaded(/[\\/]mysql2[\\/]lib[\\/]commands[\\/]command\.js$/, 'execute');
  for (const pool of pools) {
    replace(pool, 'getConnection', (original) => function (callback, ...rest) {
      if (typeof callback !== 'function') return Reflect.apply(original, this, arguments);
      const store = here();
      const kept = function (...args) {
        return requests.run(store, () => Reflect.apply(callback, this, args));
      };
      return Reflect.apply(original, this, [kept, ...rest]);
    });
  }
  const stores = new WeakMap();
  for (const connection of connections) {
    replace(connection, 'addCommand', (original) => function (...args) {
      if (!stores.has(args[0])) stores.set(args[0], here());
      return Reflect.apply(original, this, args);
    });
  }
  for (const command of commands) {
    replace(command, 'execute', (original) => function (...args) {
      const store = stores.get(this);
      return store === undefined
        ? Reflect.apply(original, this, args)
        : requests.run(store, () => Reflect.apply(original, this, args));
    });
  }
  return connections.length > 0;
};
