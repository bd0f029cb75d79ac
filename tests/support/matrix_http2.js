// The matrix's HTTP/2 server without TLS: node matrix_http2.js PORT
const server = require('http2').createServer();
server.on('stream', (stream) => {
  const parts = [];
  stream.on('data', (part) => parts.push(part));
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/json' });
    stream.end(Buffer.concat(parts));
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1');
