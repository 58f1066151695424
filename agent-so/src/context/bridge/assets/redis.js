// node-redis from version 5 on (context/bridge/node.rs), as pg.js: commands wait in a queue and leave in a turn of their own, in one
// write with others'. `mine()` is the token of who asks. What is encoded for a connection gets into its `line`, from which it
// is taken when its bytes are handed to the socket: so each byte is known to be somebody's.
const redis_lines = { current: undefined, of: new WeakMap() };
const follow_redis = (requests, nobody, replace, mine) => {
  const loaded = (file) => Object.entries(require.cache)
    .filter(([name]) => new RegExp(`[\\\\/]@redis[\\\\/]client[\\\\/]dist[\\\\/]lib[\\\\/]${file}\\.js$`).test(name))
    .map(([, { exports }]) => exports);
  const queues = loaded('client[\\\\/]commands-queue');
  const asked = new WeakMap();
  /** The program may hand in one array several times: then it cannot be told who each is for. */
  const ask = (command) => {
    const token = mine();
    const known = asked.get(command);
    if (!known) asked.set(command, { token, times: 1 });
    else asked.set(command, { token: known.token === token ? token : null, times: known.times + 1 });
  };
  const asker = (command) => {
    const known = asked.get(command);
    if (!known) return null;
    if (--known.times === 0) asked.delete(command);
    return known.token;
  };
  for (const { default: queue } of queues) {
    if (typeof queue?.prototype?.commandsToWrite !== 'function') continue;
    replace(queue.prototype, 'addCommand', (original) => function (...args) {
      if (Array.isArray(args[0])) ask(args[0]);
      return Reflect.apply(original, this, args);
    });
  }
  for (const encoder of loaded('RESP[\\\\/]encoder')) {
    replace(encoder, 'default', (original) => function (...args) {
      const token = asker(args[0]);
      const parts = Reflect.apply(original, this, args);
      redis_lines.current?.commands.push({ token, parts, gone: 0 });
      return parts;
    });
  }
  const lines = new WeakMap();
  for (const { default: connection } of loaded('client[\\\\/]socket')) {
    if (!connection?.prototype) continue;
    replace(connection.prototype, 'write', (original) => function (...args) {
      let line = lines.get(this);
      if (!line) lines.set(this, (line = { commands: [], before: 0, socket: undefined }));
      line.before = line.commands.length;
      const outer = redis_lines.current;
      redis_lines.current = line;
      try {
        return Reflect.apply(original, this, args);
      } finally {
        redis_lines.current = outer;
      }
    });
  }
  return queues.length > 0;
};

/** Whom these chunks, which a socket is about to write, are for: the commands with their lengths, none where that is not known;
 * undefined for other sockets. */
const redis_commands = (socket, several, data) => {
  const line = redis_lines.current ?? redis_lines.of.get(socket);
  if (!line) return undefined;
  if (line.socket !== socket) {
    // What the socket before this one has kept is lost.
    line.commands.splice(0, line.before);
    line.socket = socket;
    redis_lines.of.set(socket, line);
  }
  const told = [];
  for (const { chunk, encoding } of several ? data : [{ chunk: data }]) {
    const command = line.commands[0];
    if (!command || command.parts[command.gone] !== chunk) {
      line.commands = [];
      return [];
    }
    if (command.gone++ === 0) told.push({ token: command.token, bytes: 0 });
    else if (told.length === 0) told.push({ token: null, bytes: 0 });
    told.at(-1).bytes += typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length;
    if (command.gone === command.parts.length) line.commands.shift();
  }
  return told;
};

