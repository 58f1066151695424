// tls_server.js in four workers. SIGTERM: every worker has to leave by itself, else the exit status says so.
'use strict';
const cluster = require('node:cluster');

if (cluster.isPrimary) {
  let running = 4;
  let unclean = 0;
  cluster.on('exit', (worker, code, signal) => {
    if (code !== 0) {
      console.log(`worker ${worker.id} ended with ${code} ${signal}`);
      unclean = 1;
    }
    if (--running === 0) process.exit(unclean); // cluster.workers is empty as soon as they are asked to leave
  });
  process.on('SIGTERM', () => cluster.disconnect());
  let listening = 0;
  cluster.on('listening', () => { if (++listening === 4) console.log('ready'); });
  for (let number = 0; number < 4; number++) cluster.fork();
} else {
  require('./tls_server.js');
}
