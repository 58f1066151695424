// memjs (context/bridge/node.rs), as pg.js: what is asked before the connection stands leaves when that says so.
const follow_memjs = (requests, nobody, replace) => {
  const servers = Object.entries(require.cache)
    .filter(([file, { exports }]) => /[\\/]memjs[\\/]lib[\\/]memjs[\\/]server\.js$/.test(file) && exports.Server?.prototype)
    .map(([, { exports }]) => exports.Server);
  for (const { prototype } of servers) {
    replace(prototype, 'sock', (original) => function (handshake, go, ...rest) {
      if (typeof go !== 'function') return Reflect.apply(original, this, arguments);
      const store = requests.getStore() ?? nobody;
      const kept = function (...args) {
        return requests.run(store, () => Reflect.apply(go, this, args));
      };
      return Reflect.apply(original, this, [handshake, kept, ...rest]);
    });
  }
  return servers.length > 0;
};

