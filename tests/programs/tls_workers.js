// The main thread and four worker threads, each an HTTPS client with a keep-alive agent and with fetch.
// tls_workers.js TURNS: each thread makes so many requests of both kinds to UPSTREAM, all threads at once.
'use strict';
const https = require('node:https');
const { Worker, isMainThread, threadId, workerData } = require('node:worker_threads');

async function run(turns) {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  for (let turn = 0; turn < turns; turn++) {
    await new Promise((resolve, reject) => {
      https.get(`${process.env.UPSTREAM}/echo?id=h${threadId}-${turn}`, { agent }, (reply) => {
        reply.on('end', resolve).resume();
      }).on('error', reject);
    });
    await (await fetch(`${process.env.UPSTREAM}/echo?id=f${threadId}-${turn}`)).text();
  }
  agent.destroy();
}

const turns = isMainThread ? Number(process.argv[2]) : workerData;
const ended = isMainThread ? Array.from({ length: 4 }, () => new Promise((resolve, reject) => {
  new Worker(__filename, { workerData: turns }).on('exit', resolve).on('error', reject);
})) : [];
run(turns).then(async () => {
  for (const code of await Promise.all(ended)) if (code !== 0) throw new Error(`a worker ended with ${code}`);
  if (isMainThread) console.log('done');
});
