// ioredis (context/bridge/node.rs) where it makes pipelines by itself (`enableAutoPipelining`): one is all that was asked in a turn, by
// whomever, and leaves in any other's. What several have asked for is nobody's.
const follow_ioredis = (requests, nobody, replace, mine) => {
  const pipelines = Object.entries(require.cache)
    .filter(([file, { exports }]) => /[\\/]ioredis[\\/]built[\\/]Pipeline\.js$/.test(file) && exports.default?.prototype)
    .map(([, { exports }]) => exports.default.prototype);
  const askers = new WeakMap();
  for (const pipeline of pipelines) {
    replace(pipeline, 'sendCommand', (original) => function (...args) {
      const token = mine();
      if (!askers.has(this)) askers.set(this, token);
      else if (askers.get(this) !== token) askers.set(this, undefined);
      return Reflect.apply(original, this, args);
    });
    replace(pipeline, 'exec', (original) => function (...args) {
      return requests.run(askers.get(this) ?? nobody, () => Reflect.apply(original, this, args));
    });
  }
  return pipelines.length > 0;
};

