// An HTTP server that asks MongoDB: /WAY?id=.. answers with what came back.
const http = require('http');
const { MongoClient } = require('mongodb');

const secret = process.env.SECRET;
const options = { maxPoolSize: 4, heartbeatFrequencyMS: 500, ...JSON.parse(process.env.OPTIONS ?? '{}') };
const client = new MongoClient(process.env.MONGODB, options);

async function commands() {
  const items = client.db('shop').collection(`items${process.pid}`);
  const done = [
    (await items.insertMany([1, 2, 3].map((n) => ({ _id: n, text: secret })))).insertedCount,
    (await items.find({ text: secret }, { batchSize: 2 }).toArray()).length,
    (await items.updateOne({ _id: 1 }, { $set: { text: secret } })).matchedCount,
    (await items.deleteMany({ text: secret })).deletedCount,
    await client.db('shop').command({ nonsense: secret }).catch((error) => error.code),
  ];
  await items.drop();
  return done;
}

async function pooled(id) {
  const items = client.db('shop').collection(`items-${id}`);
  await items.insertOne({ text: secret });
  return await items.countDocuments({ text: secret }) > 0;
}

http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://h');
  const way = { '/commands': commands, '/pooled': pooled }[url.pathname];
  response.end(JSON.stringify(way ? await way(url.searchParams.get('id')) : null));
}).listen(process.env.PORT, '127.0.0.1');
