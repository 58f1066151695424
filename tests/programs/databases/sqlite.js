// Statements by node:sqlite: `node sqlite.js FILE`.
const { DatabaseSync } = require('node:sqlite');

const store = new DatabaseSync(process.argv[2]);
console.log(store.prepare('SELECT v FROM t WHERE id > ?').all(1));
console.log(store.prepare('SELECT id FROM t').get());
try {
  store.prepare('INSERT INTO t VALUES (?, ?)').run(1, 'canary');
} catch (error) {
  console.log(error.errcode);
}
store.exec("DELETE FROM t WHERE v = 'canary'");
