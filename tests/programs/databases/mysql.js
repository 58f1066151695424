// GET /query?id=7, /execute?id=7, /connection?id=7, /callback?id=7: a statement that names q7, by a pool of four that all requests share.
// `mysql.js calls`: statements one after the other; with `tls`, over TLS, with `zlib`, compressed, which it says.
const http = require("http");
const fs = require("fs");
const callbacks = require("mysql2");
const mysql = require("mysql2/promise");

const where = {
  host: "127.0.0.1",
  port: Number(process.env.MYSQL_PORT),
  user: "native",
  password: process.env.MYSQL_PASSWORD,
  database: "tests",
};

async function calls() {
  const secure = process.argv[3] === "tls" ? { host: "localhost", ssl: { ca: fs.readFileSync(process.env.CA) } } : {};
  const compress = process.argv[3] === "zlib";
  const connection = await mysql.createConnection({ ...where, ...secure, compress });
  if (compress) console.log((await connection.query("SHOW STATUS LIKE 'Compression'"))[0][0].Value);
  console.log((await connection.query("SELECT 'canary' AS one"))[0].length);
  for (const number of [1, 2]) console.log((await connection.execute("SELECT ? + 1 AS two", [number]))[0][0].two);
  connection.unprepare("SELECT ? + 1 AS two");
  for (const wrong of ["SELECT 'canary' FROM nothing", "SELECT nothing"]) {
    await connection.execute(wrong).catch((error) => console.log(error.errno));
  }
  await connection.beginTransaction();
  await connection.execute("SELECT seq FROM seq_1_to_1000 WHERE seq < ?", ["500"]);
  await connection.commit();
  await connection.ping();
  await connection.changeUser({ ...where, database: "mysql" });
  await connection.query("SELECT 3");
  await connection.changeUser({ ...where, password: "canary" }).catch((error) => console.log(error.errno));
  connection.destroy();
}

function serve() {
  const pool = mysql.createPool({ ...where, connectionLimit: 4 });
  const plain = callbacks.createPool({ ...where, connectionLimit: 4 });
  http
    .createServer(async (request, response) => {
      const url = new URL(request.url, "http://h");
      const statement = `SELECT SLEEP(${Number(url.searchParams.get("delay")) / 1000}) AS q${url.searchParams.get("id")}`;
      if (url.pathname === "/query") await pool.query(statement);
      else if (url.pathname === "/execute") await pool.execute(statement, []);
      else if (url.pathname === "/connection") {
        const connection = await pool.getConnection();
        await connection.query(statement);
        connection.release();
      } else if (url.pathname === "/callback") {
        plain.query(statement, () => response.end("ok"));
        return;
      }
      response.end("ok");
    })
    .listen(Number(process.env.PORT), "127.0.0.1");
}

if (process.argv[2] === "calls") calls();
else serve();
