// `sqlserver.js serve`: GET /query?id=7, /prepared?id=7, /transaction?id=7: a statement that names q7, by mssql's pool of four that all requests share.
// `sqlserver.js calls [HOW`: statements one after the other, by tedious alone; HOW they are encrypted: clear, all, strict (TLS comes first), untrusted.
const http = require("http");
const fs = require("fs");
const { Connection, Request, TYPES } = require("tedious");

const port = Number(process.env.SQLSERVER_PORT);
const userName = "secret";
const password = process.env.SQLSERVER_PASSWORD;
const ca = () => fs.readFileSync(process.env.CA);
const ENCRYPTION = {
  clear: () => ({ encrypt: false }),
  all: () => ({ encrypt: true, cryptoCredentialsDetails: { ca: ca() }, serverName: "localhost" }),
  untrusted: () => ({ encrypt: true }),
  strict: () => ({ encrypt: "strict", cryptoCredentialsDetails: { ca: ca() }, serverName: "localhost" }),
};

function connect(how, wanted = password) {
  const connection = new Connection({
    server: how === "clear" ? "127.0.0.1" : "localhost",
    authentication: { type: "default", options: { userName, password: wanted } },
    options: { port, database: "tests", trustServerCertificate: false, ...ENCRYPTION[how]() },
  });
  return new Promise((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve(connection))));
}

// Makes a request of a way of the connection's, and prints how many rows it had, or the number of its error.
function ask(connection, way, text, parameters = {}) {
  return new Promise((resolve) => {
    const request = new Request(text, (error, rows) => resolve(console.log(error ? error.number || error.code : rows)));
    for (const [name, value] of Object.entries(parameters)) {
      request.addParameter(name, typeof value === "number" ? TYPES.Int : TYPES.NVarChar, value);
    }
    connection[way](request);
  });
}

const until = (run) => new Promise((resolve, reject) => run((error) => (error ? reject(error) : resolve())));

async function prepared(connection) {
  const request = new Request("SELECT @number + 1, @text", () => {});
  request.addParameter("number", TYPES.Int);
  request.addParameter("text", TYPES.NVarChar);
  await new Promise((resolve) => connection.prepare(request.on("prepared", resolve)));
  for (const number of [1, 2]) {
    await new Promise((resolve) => {
      request.userCallback = (error, rows) => resolve(console.log(error ? error.number : rows));
      connection.execute(request, { number, text: "canary" });
    });
  }
  await new Promise((resolve) => {
    request.userCallback = resolve;
    connection.unprepare(request);
  });
}

async function calls(how) {
  const connection = await connect(how);
  await ask(connection, "execSqlBatch", "SELECT 'canary' AS one; SELECT 2");
  await ask(connection, "execSql", "SELECT @number + 1, @text", { number: 1, text: "canary" });
  await prepared(connection);
  await ask(connection, "callProcedure", "twice");
  await ask(connection, "execSql", "SELECT 'canary' FROM missing");
  await until((done) => connection.beginTransaction(done));
  await ask(connection, "execSqlBatch", "SELECT 3");
  await until((done) => connection.commitTransaction(done));
  await until((done) => connection.reset(done));
  const stopped = ask(connection, "execSqlBatch", "WAITFOR DELAY '00:01:00'");
  setTimeout(() => connection.cancel(), 200);
  await stopped;
  await ask(connection, "execSqlBatch", "SELECT 4");
  connection.close();
  await connect(how, "canary").catch((error) => console.log(error.code));
}

async function serve() {
  const mssql = require("mssql");
  const pool = new mssql.ConnectionPool({
    server: "127.0.0.1", port, user: userName, password, database: "tests",
    options: { encrypt: false }, pool: { max: 4 },
  });
  await pool.connect();
  http
    .createServer(async (request, response) => {
      const url = new URL(request.url, "http://h");
      const statement = `SELECT 1 AS q${url.searchParams.get("id")}`;
      if (url.pathname === "/query") {
        await pool.request().query(statement);
      } else if (url.pathname === "/prepared") {
        const one = new mssql.PreparedStatement(pool);
        await one.prepare(statement);
        await one.execute({});
        await one.unprepare();
      } else if (url.pathname === "/transaction") {
        const transaction = new mssql.Transaction(pool);
        await transaction.begin();
        await transaction.request().query(statement);
        await transaction.commit();
      }
      response.end("ok");
    })
    .listen(Number(process.env.PORT), "127.0.0.1");
}

if (process.argv[2] === "serve") serve();
else calls(process.argv[2]).catch((error) => console.log(error.code));
