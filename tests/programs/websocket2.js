// WebSocket over HTTP/2 (RFC 8441): `node websocket2.js` serves on PORT and sends back what it gets, `node websocket2.js URL` opens
// one, sends what looks like requests, and prints what came back.
'use strict';
const http2 = require('node:http2');

if (!process.argv[2]) {
  http2.createServer({ settings: { enableConnectProtocol: true } }).on('stream', (stream, headers) => {
    if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
      stream.respond({ ':status': 404 }, { endStream: true });
      return;
    }
    stream.respond({ ':status': 200, 'sec-websocket-protocol': 'echo' });
    stream.pipe(stream);
  }).listen(process.env.PORT, '127.0.0.1');
} else {
  const session = http2.connect(process.argv[2]);
  session.once('remoteSettings', () => {
    const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat?room=1', 'sec-websocket-version': '13' });
    let text = '';
    stream.on('response', (headers) => {
      text += `${headers[':status']} ${headers['sec-websocket-protocol']}\n`;
      for (let n = 0; n < 3; n++) stream.write(`GET /inside?id=${n} HTTP/1.1\r\nHost: h\r\n\r\n`);
      stream.write(http2.getPackedSettings());
      stream.end('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    });
    stream.setEncoding('latin1');
    stream.on('data', (part) => { text += part; });
    stream.on('end', () => { console.log(JSON.stringify(text)); session.close(); });
  });
}
