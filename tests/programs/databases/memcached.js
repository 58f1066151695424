// An HTTP server that asks memcached by memjs (binary protocol): /WAY?id=.. answers with what came back.
const http = require('http');
const memjs = require('memjs');

const client = memjs.Client.create(process.env.MEMCACHED);
const secret = process.env.SECRET;

async function commands() {
  return [
    await client.set('name', secret, { expires: 60 }),
    String((await client.get('name')).value),
    (await client.get('absent')).value,
    await client.add('name', secret),
    await client.increment('count', 1, { initial: 5 }).then((r) => r.value),
    await client.delete('count'),
    await client.increment('name', 1).then((r) => r.success, () => false),
  ];
}

async function shared(id) {
  await client.set(`item-${id}`, secret + id, {});
  return String((await client.get(`item-${id}`)).value) === secret + id;
}

http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://h');
  const way = { '/commands': commands, '/shared': shared }[url.pathname];
  const body = JSON.stringify(way ? await way(url.searchParams.get('id')) : null);
  response.end(body);
}).listen(process.env.PORT, '127.0.0.1');
