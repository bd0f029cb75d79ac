// The matrix's server on Node's http: node matrix_node.js PORT
const http = require('http');
const large = Buffer.alloc(256 * 4096, 'node ');

function parts(request, response) {
  const trailers = request.httpVersion === '1.1'; // 1.0 has no chunks, and so no trailers
  response.writeHead(200, { 'content-type': 'text/event-stream', ...(trailers && { Trailer: 'x-parts' }) });
  let index = 0;
  const timer = setInterval(() => {
    response.write(`data: ${index}\n\n`);
    if (++index === 5) {
      clearInterval(timer);
      if (trailers) response.addTrailers({ 'x-parts': '5' });
      response.end();
    }
  }, 20);
}

function answer(request, response, body) {
  switch (request.url) {
    case '/stream':
    case '/events':
      return parts(request, response);
    case '/empty':
      response.writeHead(204);
      return response.end();
    case '/same':
      response.writeHead(304, { etag: '"1"' });
      return response.end();
    case '/twice':
      response.writeHead(200, { 'set-cookie': ['a=1', 'b=2'] });
      return response.end('twice');
    case '/headers':
      return response.end(request.rawHeaders.join('\n'));
    case '/large':
      return response.end(large);
    default:
      response.writeHead(200, { 'content-type': 'application/json' });
      return response.end(body.length ? body : '{"n": 1}');
  }
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => answer(request, response, Buffer.concat(parts)));
});
server.keepAliveTimeout = 30000;
server.listen(Number(process.argv[2]), '127.0.0.1');
