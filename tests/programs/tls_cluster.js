// tls_server.js in four workers. SIGTERM: every worker has to leave by itself, else the exit status says so.
'use strict';
const cluster = require('node:cluster');

if (cluster.isPrimary) {
  let unclean = 0;
  cluster.on('exit', (worker, code, signal) => {
    if (code !== 0) {
      console.log(`worker ${worker.id} ended with ${code} ${signal}`);
      unclean = 1;
    }
  });
  process.on('SIGTERM', () => cluster.disconnect(() => process.exit(unclean)));
  let listening = 0;
  cluster.on('listening', () => { if (++listening === 4) console.log('ready'); });
  for (let number = 0; number < 4; number++) cluster.fork();
} else {
  require('./tls_server.js');
}
