/** The other end of a bare exchange over a Unix socket: for so many bytes so many come back. */
import { createServer } from 'node:net';

const [path = '', questionBytes = 0, answerBytes = 0] = process.argv
  .slice(2)
  .map((text, at) => (at === 0 ? text : Number(text))) as [string, number, number];
const answer = new Uint8Array(answerBytes).fill(7);

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
