/** The other end of a bare exchange over a Unix socket: for so many bytes so many come back. */
import { createServer } from 'node:net';

const [, , path = '', question, answered] = process.argv;
const questionBytes = Number(question);
const answer = new Uint8Array(Number(answered)).fill(7);

createServer((socket) => {
  let bytes = 0;
  socket.on('data', (chunk) => {
    bytes += chunk.length;
    socket.cork();
    for (; bytes >= questionBytes; bytes -= questionBytes) socket.write(answer);
    socket.uncork();
  });
  socket.on('close', () => process.exit());
}).listen(path, () => process.send?.('ready'));
