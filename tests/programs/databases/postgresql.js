// /WAY?id=N&delay=MS runs `SELECT .. AS qN` on a connection of a pool of four; as a program with an argument it runs a few
// statements and prints what it got.
'use strict';
const http = require('node:http');
const { Client, Pool } = require('pg');

const ssl = process.env.SSL ? { rejectUnauthorized: false } : false;
const pool = new Pool({ connectionString: process.env.DATABASE_URL, ssl, max: 4 });

const ways = {
  pool: (text, delay) => pool.query(text, [delay]),
  prepared: (text, delay) => pool.query({ name: /q\d+/.exec(text)[0], text, values: [delay] }),
  async client(text, delay) {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      const result = await client.query(text, [delay]);
      await client.query('COMMIT');
      return result;
    } finally {
      client.release();
    }
  },
  callback: (text, delay) => new Promise((resolve, reject) => {
    pool.query(text, [delay], (error, result) => (error ? reject(error) : resolve(result)));
  }),
};

async function script() {
  const client = new Client({ connectionString: process.env.DATABASE_URL, ssl });
  await client.connect();
  const out = [];
  out.push((await client.query('SELECT 1 AS one')).rows);
  for (let turn = 0; turn < 2; turn += 1) {
    out.push((await client.query({ name: 'named', text: 'SELECT $1::text AS word', values: ['canary'] })).rows.length);
  }
  // Three that wait inside of the client.
  out.push((await Promise.all([1, 2, 3].map((n) => client.query(`SELECT $1::int AS r${n}`, [n])))).map((result) => result.rowCount));
  await client.query('SELECT nope', []).catch((error) => out.push(error.code));
  await client.end();
  console.log(JSON.stringify(out));
}

if (process.argv[2]) {
  script();
} else {
  http.createServer(async (request, response) => {
    const url = new URL(request.url, 'http://h');
    const id = url.searchParams.get('id');
    const delay = Number(url.searchParams.get('delay')) / 1000;
    const result = await ways[url.pathname.slice(1)](`SELECT ${id} AS q${id} FROM pg_sleep($1)`, delay);
    response.end(String(result.rowCount));
  }).listen(Number(process.env.PORT), '127.0.0.1');
}
